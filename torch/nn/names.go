package nn

import (
	"strings"
	"unicode"
)

// snake turns a field's name into a state dict's key. A word begins at a capital after a small letter, at the last of
// several capitals before a small letter, and at a capital after a digit if a small letter follows: InProj in_proj,
// QKVProj qkv_proj, LayerNorm2 layer_norm2, L1Norm l1_norm, Conv2D conv2d.
func snake(name string) string {
	r := []rune(name)
	var b strings.Builder
	for i, c := range r {
		if i > 0 && unicode.IsUpper(c) {
			before := r[i-1]
			smallNext := i+1 < len(r) && unicode.IsLower(r[i+1])
			switch {
			case unicode.IsLower(before):
				b.WriteByte('_')
			case smallNext && (unicode.IsUpper(before) || unicode.IsDigit(before)):
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// tag is a field's `torch:"name,optional,nonpersistent"`.
type tag struct {
	name                          string
	skip, optional, nonpersistent bool
}

// parseTag reads a tag; what is wrong with it comes back as text.
func parseTag(text string) (t tag, wrong string) {
	if text == "-" {
		return tag{skip: true}, ""
	}
	parts := strings.Split(text, ",")
	t.name = parts[0]
	if strings.Contains(t.name, ".") {
		return t, "a name must not contain a dot"
	}
	for _, p := range parts[1:] {
		switch p {
		case "optional":
			t.optional = true
		case "nonpersistent":
			t.nonpersistent = true
		default:
			return t, "want optional or nonpersistent after the name, got \"" + p + "\""
		}
	}
	return t, ""
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
