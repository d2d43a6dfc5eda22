package trainer

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// field is a value in the name of a ModelCheckpoint's files, such as {epoch:02d} or {val_loss:.2f}.
var field = regexp.MustCompile(`\{([^{}:]*)(?::([^{}]*))?\}`)

// formatName fills a template. auto writes the name of each value before it, as epoch=3. A value that is not there is 0.
func formatName(template string, values map[string]float64, auto bool) (string, error) {
	var errs []error
	name := field.ReplaceAllStringFunc(template, func(f string) string {
		m := field.FindStringSubmatch(f)
		v := values[m[1]]
		text, err := formatNumber(v, m[2], m[1] == "epoch" || m[1] == "step" || !has(values, m[1]))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s in %q: %w", f, template, err))
		}
		if auto {
			return strings.ReplaceAll(m[1], "/", "_") + "=" + text
		}
		return text
	})
	return name, errors.Join(errs...)
}

func has(values map[string]float64, name string) bool {
	_, ok := values[name]
	return ok
}

var spec = regexp.MustCompile(`^(0?)(\d*)(?:\.(\d+))?([dfeEgG]?)$`)

// formatNumber writes a number by a format of Python, of those that serve for numbers: [0][width][.precision][d|f|e|g].
func formatNumber(v float64, format string, whole bool) (string, error) {
	m := spec.FindStringSubmatch(format)
	if m == nil {
		return "", fmt.Errorf("the format %q is not known: want such as 02d, .2f or .3e", format)
	}
	width, _ := strconv.Atoi(m[2])
	precision := -1
	if m[3] != "" {
		precision, _ = strconv.Atoi(m[3])
	}
	var text string
	switch kind := m[4]; {
	case kind == "d" || kind == "" && whole && precision < 0:
		if v != math.Trunc(v) {
			return "", fmt.Errorf("the value %v is not whole: want a format such as .2f", v)
		}
		text = strconv.FormatFloat(v, 'f', 0, 64)
	case kind == "":
		if precision < 0 {
			text = strconv.FormatFloat(v, 'f', -1, 64)
			if !strings.Contains(text, ".") {
				text += ".0"
			}
		} else {
			text = fmt.Sprintf("%.*g", precision, v)
		}
	default:
		if precision < 0 {
			precision = 6
		}
		text = strconv.FormatFloat(v, kind[0], precision, 64)
	}
	for len(text) < width {
		if m[1] == "0" && strings.HasPrefix(text, "-") {
			text = "-0" + text[1:]
		} else if m[1] == "0" {
			text = "0" + text
		} else {
			text = " " + text
		}
	}
	return text, nil
}

// pythonString is a text as Python's repr writes it, where it has no special characters.
func pythonString(s string) string {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(s) + "'"
}
