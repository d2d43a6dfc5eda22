package deepspeed

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// key is what is done with a key of the configuration: exactly one of do, in, ignore and refuse is set.
type key struct {
	name   string
	old    string            // another name of it
	do     func(v any) error // takes the value, which is not null
	in     []key             // the keys of the object that it has
	ignore string            // why it has no effect here
	refuse string            // what to do instead
	unless any               // the value, given as JSON decodes it, that an ignored or refused key needs no word for
}

// reader reads an object by a table.
type reader struct {
	errs  []error
	notes []string
}

func (r *reader) fail(path, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

func (r *reader) object(path string, object []entry, table []key) {
	given := map[string]string{}
	for _, e := range object {
		path := join(path, e.key)
		i := slices.IndexFunc(table, func(k key) bool { return k.name == e.key || k.old != "" && k.old == e.key })
		if i < 0 {
			r.fail(path, "unknown key%s", nearest(e.key, table))
			continue
		}
		k := table[i]
		if other, twice := given[k.name]; twice {
			r.fail(path, "it is the same as %s: keep one", other)
			continue
		}
		given[k.name] = e.key
		if e.value == nil {
			continue // as if it were not given
		}
		r.value(path, k, e.value)
	}
}

func (r *reader) value(path string, k key, v any) {
	if s, ok := v.(string); ok && strings.EqualFold(s, "auto") {
		r.fail(path, `"auto" is for Hugging Face's Trainer to fill: give the value, or leave the key out for its default`)
		return
	}
	switch {
	case k.do != nil:
		if err := k.do(v); err != nil {
			r.fail(path, "%v", err)
		}
	case k.in != nil:
		object, ok := v.([]entry)
		if !ok {
			r.fail(path, "%s is a %s: want an object, {...}", show(v), kindOf(v))
			return
		}
		r.object(path, object, k.in)
	case harmless(k.unless, v):
	case k.refuse != "":
		r.fail(path, "%s is not supported: %s", show(v), k.refuse)
	default:
		r.notes = append(r.notes, fmt.Sprintf("DeepSpeed's %s has no effect: %s", path, k.ignore))
	}
}

// harmless reports whether v is the value for which a key needs no word. A block that is switched off is one.
func harmless(want, v any) bool {
	if object, ok := v.([]entry); ok {
		on := len(object) > 0
		for _, e := range object {
			if enabled, ok := e.value.(bool); ok && e.key == "enabled" {
				on = enabled
			}
		}
		return !on
	}
	if n, ok := v.(json.Number); ok {
		f, err := n.Float64()
		w, isNumber := want.(float64)
		return err == nil && isNumber && f == w
	}
	switch v.(type) {
	case bool, string:
		return want == v
	}
	return false
}

// nearest names the key that an unknown one most resembles.
func nearest(name string, table []key) string {
	best, least := "", max(2, len(name)/3)+1
	for _, k := range table {
		for _, n := range []string{k.name, k.old} {
			if d := distance(strings.ToLower(name), n); n != "" && d < least {
				best, least = n, d
			}
		}
	}
	if best == "" {
		return ": DeepSpeed 0.19.8 has none of that name here; remove it"
	}
	return fmt.Sprintf(": did you mean %q?", best)
}

// distance is Levenshtein's, in bytes. Long names are cut: they resemble none.
func distance(a, b string) int {
	a, b = a[:min(len(a), 100)], b[:min(len(b), 100)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

func wrongKind(v any, want string) error {
	return fmt.Errorf("%s is a %s: want %s", show(v), kindOf(v), want)
}

func boolean(to *bool) func(any) error {
	return func(v any) error {
		b, ok := v.(bool)
		if !ok {
			return wrongKind(v, "true or false")
		}
		*to = b
		return nil
	}
}

// number takes numbers from least on, or above it where open.
func number(to *float64, least float64, open bool) func(any) error {
	return func(v any) error {
		n, ok := v.(json.Number)
		if !ok {
			return wrongKind(v, "a number")
		}
		f, err := n.Float64()
		switch {
		case err != nil || math.IsInf(f, 0):
			return fmt.Errorf("%s is no number of 64 bits", show(v))
		case open && f <= least:
			return fmt.Errorf("%s: want a number above %v", show(v), least)
		case f < least:
			return fmt.Errorf("%s: want %v or more", show(v), least)
		}
		*to = f
		return nil
	}
}

// integer takes whole numbers from least on, also those written as 5e8.
func integer(to *int, least int) func(any) error {
	return func(v any) error {
		var f float64
		if err := number(&f, math.Inf(-1), false)(v); err != nil {
			return err
		}
		if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return fmt.Errorf("%s: want a whole number", show(v))
		}
		if f < float64(least) {
			return fmt.Errorf("%s: want %d or more", show(v), least)
		}
		*to = int(f)
		return nil
	}
}

func text(to *string, among ...string) func(any) error {
	return func(v any) error {
		s, ok := v.(string)
		if !ok {
			return wrongKind(v, "a string")
		}
		if len(among) > 0 && !slices.Contains(among, s) {
			return fmt.Errorf("%s: want one of %s", show(v), strings.Join(among, ", "))
		}
		*to = s
		return nil
	}
}

// set runs f with true where it has taken a value.
func given[T any](to **T, take func(*T) func(any) error) func(any) error {
	return func(v any) error {
		value := new(T)
		if err := take(value)(v); err != nil {
			return err
		}
		*to = value
		return nil
	}
}

// numbers takes a number, or a list with one for each parameter group.
func numbers(to *[]float64) func(any) error {
	return func(v any) error {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		} else if len(list) == 0 {
			return fmt.Errorf("an empty list: want a number, or one for each parameter group")
		}
		out := make([]float64, len(list))
		for i, v := range list {
			if err := number(&out[i], math.Inf(-1), false)(v); err != nil {
				return err
			}
		}
		*to = out
		return nil
	}
}

func wrongValue(v any, want string) error { return fmt.Errorf("%s: want %s", show(v), want) }
