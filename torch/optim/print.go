package optim

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/text"
)

// String writes the groups with their settings as Python's print(optimizer) does (torch.optim.Optimizer.__repr__).
func (b *Base) String() string {
	if b == nil || b.rule == nil {
		return "Optimizer ()"
	}
	var out strings.Builder
	out.WriteString(b.rule.Name() + " (\n")
	text := func(_ string, v any) string { return pythonText("", v) }
	if _, own := b.rule.(torchRules); own {
		text = pythonText
	}
	for i, g := range b.groups {
		if i > 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "Parameter Group %d\n", i)
		settings := b.groupSettings(g)
		slices.SortFunc(settings, func(a, b setting) int { return cmp.Compare(a.key, b.key) })
		for _, s := range settings {
			fmt.Fprintf(&out, "    %s: %s\n", s.key, text(s.key, value(s.value)))
		}
	}
	out.WriteString(")")
	return out.String()
}

// wholeNumbers are the settings of PyTorch's optimizers whose default in Python is an int: they are printed as one
// where they have its value. Those of other rules are printed by their type.
var wholeNumbers = map[string]func(float64) bool{
	"momentum": isZero, "dampening": isZero, "weight_decay": isZero, "lr_decay": isZero,
	"initial_accumulator_value": isZero,
	"step_sizes":                func(v float64) bool { return v == 50 },
}

func isZero(v float64) bool { return v == 0 }

func pythonText(key string, v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return text.Bool(v)
	case float64:
		if whole := wholeNumbers[key]; whole != nil && whole(v) {
			return strconv.Itoa(int(v))
		}
		return text.Float(v)
	case string:
		return v
	}
	items, ok := list(v)
	if !ok {
		return fmt.Sprint(v)
	}
	parts := make([]string, len(items))
	for i, x := range items {
		parts[i] = pythonText(key, x)
	}
	if reflect.TypeOf(v).Kind() == reflect.Slice {
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return "(" + strings.Join(parts, ", ") + ")"
}
