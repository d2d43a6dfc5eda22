package schema

import (
	"math"
	"strconv"
	"strings"
)

// literal reads a default value.
func (p *parser) literal(depth int) (any, error) {
	p.space()
	if p.i == len(p.s) {
		return nil, p.failf("want a default value")
	}
	switch c := p.s[p.i]; {
	case c == '[':
		return p.list(depth)
	case c == '"' || c == '\'':
		return p.text()
	case letter(c):
		return p.named()
	}
	return p.number()
}

func (p *parser) list(depth int) (any, error) {
	if depth > deepest {
		return nil, p.failf("a default value nested too deep")
	}
	p.i++
	list := []any{}
	if p.have("]") {
		return list, nil
	}
	for {
		v, err := p.literal(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if p.have("]") {
			return list, nil
		}
		if err := p.want(","); err != nil {
			return nil, err
		}
	}
}

func (p *parser) named() (any, error) {
	switch w := p.word(false); w {
	case "None":
		return nil, nil
	case "True":
		return true, nil
	case "False":
		return false, nil
	case "inf":
		return math.Inf(1), nil
	case "nan":
		return math.NaN(), nil
	default:
		return nil, p.failf("%q is no default value", w)
	}
}

func (p *parser) number() (any, error) {
	start := p.i
	for p.i < len(p.s) && (digit(p.s[p.i]) || strings.IndexByte("+-.eE", p.s[p.i]) >= 0) {
		p.i++
	}
	s := p.s[start:p.i]
	if s == "-" && strings.HasPrefix(p.s[p.i:], "inf") {
		p.i += len("inf")
		return math.Inf(-1), nil
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, p.failf("%q is no number", s)
	}
	return f, nil
}

// text reads a quoted text with C's escapes.
func (p *parser) text() (any, error) {
	quote := p.s[p.i]
	var b strings.Builder
	for p.i++; p.i < len(p.s); p.i++ {
		c := p.s[p.i]
		if c == quote {
			p.i++
			return b.String(), nil
		}
		if c == '\\' {
			var err error
			if c, err = p.escape(); err != nil {
				return nil, err
			}
		}
		b.WriteByte(c)
	}
	return nil, p.failf("a text without its end")
}

// escape reads what stands behind a backslash and leaves p on its last character.
func (p *parser) escape() (byte, error) {
	p.i++
	if p.i == len(p.s) {
		return 0, p.failf("a text without its end")
	}
	const from, to = `abfnrtv`, "\a\b\f\n\r\t\v"
	c := p.s[p.i]
	if k := strings.IndexByte(from, c); k >= 0 {
		return to[k], nil
	}
	if c < '0' || c > '7' {
		return c, nil
	}
	end := p.i
	for end < len(p.s) && end < p.i+3 && p.s[end] >= '0' && p.s[end] <= '7' {
		end++
	}
	n, err := strconv.ParseUint(p.s[p.i:end], 8, 8)
	if err != nil {
		return 0, p.failf("the escape \\%s", p.s[p.i:end])
	}
	p.i = end - 1
	return byte(n), nil
}

// literal prints a default value as libtorch does.
func literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return float(v)
	case string:
		return quoted(v)
	case []any:
		list := make([]string, len(v))
		for i, e := range v {
			list[i] = literal(e)
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	return "?"
}

func float(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	case math.IsNaN(v):
		return "nan"
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return strconv.FormatFloat(v, 'f', -1, 64) + "."
	}
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += "."
	}
	return s
}

func quoted(s string) string {
	const from, to = "\a\b\f\n\r\t\v", `abfnrtv`
	b := []byte{'"'}
	for i := range len(s) {
		c := s[i]
		switch k := strings.IndexByte(from, c); {
		case k >= 0:
			b = append(b, '\\', to[k])
		case c == '"' || c == '\'' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
