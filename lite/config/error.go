package config

import (
	"fmt"
	"strings"
)

// Error is a Config that can't be run: contradictory, malformed, or asking for what is not there.
type Error struct {
	Setting string // the field or fields, such as "devices"
	Value   string // what was given
	From    string // where: "Config.Devices", "LITE_DEVICES", "-devices", a file
	Problem string // what is wrong, with the remedy
	Machine string // what this machine has, where that matters
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("lite: ")
	b.WriteString(e.Setting)
	if e.Value != "" {
		fmt.Fprintf(&b, "=%q", e.Value)
	}
	if e.From != "" {
		fmt.Fprintf(&b, " (from %s)", e.From)
	}
	b.WriteString(": " + e.Problem)
	if e.Machine != "" {
		b.WriteString("; this machine has " + e.Machine)
	}
	return b.String()
}
