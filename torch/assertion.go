package torch

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/schema"
)

// assertionMark is in the text of a failed TORCH_INTERNAL_ASSERT.
const assertionMark = "INTERNAL ASSERT FAILED at "

// sameViewMark is in the text about a view that is the tensor itself, such as a nested tensor's Transpose(1, 1).
const sameViewMark = "View operation returned a tensor that is the same as the input base tensor"

var assertionText = regexp.MustCompile(`(?s)^(.*?)\s*INTERNAL ASSERT FAILED at "([^"]*)":(\d+), please report a bug to PyTorch\.\s*(.*)$`)

// assertion rewrites the text of a failed assertion of libtorch's: mostly its caller gave arguments that the operator's
// kernel does not check. It names those that the condition names, else all of them.
func assertion(operation, text string) string {
	if strings.Contains(text, sameViewMark) {
		return "it would give the tensor itself back, as it changes nothing, and not a view: use the tensor as it is"
	}
	m := assertionText.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	condition, file, line, more := m[1], m[2][strings.LastIndex(m[2], "/")+1:], m[3], strings.TrimSpace(m[4])
	what := "the arguments are not what libtorch's kernel takes for granted"
	if names := argumentsIn(operation, condition+" "+more); names != "" {
		what = names + " not what libtorch's kernel takes for granted"
	}
	switch {
	case more != "" && (condition == "" || condition == "false"):
		what += ": " + more
	case more != "":
		what += fmt.Sprintf(": %s (%s)", more, condition)
	case condition != "false" && condition != "":
		what += ": " + condition
	}
	return fmt.Sprintf("%s [libtorch's %s:%s]", what, file, line)
}

// argumentsIn says "argument self is", or "arguments self, other are", of the operator's arguments that a text names,
// or of all.
func argumentsIn(operation, text string) string {
	name, overload, _ := strings.Cut(operation, ".")
	id, ok := cgotorch.Find(name, overload)
	if !ok {
		return ""
	}
	line, err := cgotorch.Schema(id)
	if err != nil {
		return ""
	}
	s, bad := schema.Parse(line)
	if bad != nil || len(s.Args) == 0 {
		return ""
	}
	words := strings.FieldsFunc(text, func(r rune) bool {
		return !(r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
	})
	var named, all []string
	for _, a := range s.Args {
		all = append(all, a.Name)
		for _, w := range words {
			if w == a.Name || w == a.Name+"_" {
				named = append(named, a.Name)
				break
			}
		}
	}
	if named == nil {
		named = all
	}
	if len(named) == 1 {
		return "argument " + named[0] + " is"
	}
	return "arguments " + strings.Join(named, ", ") + " are"
}
