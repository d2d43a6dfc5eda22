// Package typename writes the types of values for messages.
package typename

import (
	"fmt"
	"strings"
)

// public are the names under which package serial exports the types of packages below it.
var public = strings.NewReplacer("ptfile.Tensor", "serial.TensorInfo", "ptfile.", "serial.", "pickle.", "serial.",
	"errs.", "serial.",
	"interface {}", "any")

// Of returns the type of a value as %T writes it, with the names that a program uses: "*serial.Dict", "map[string]any".
func Of(v any) string {
	if v == nil {
		return "nil"
	}
	return public.Replace(fmt.Sprintf("%T", v))
}
