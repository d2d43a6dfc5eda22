package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// Parse reads one schema. An error names the place where the text stops making sense.
func Parse(text string) (*Schema, error) {
	p := &parser{s: strings.TrimSpace(text)}
	s, err := p.schema()
	if err != nil {
		return nil, fmt.Errorf("schema %q: %w", text, err)
	}
	return s, nil
}

// parser walks the text; the first thing it can't read stops it.
type parser struct {
	s string
	i int
}

func (p *parser) failf(format string, args ...any) error {
	return fmt.Errorf("at character %d: %s", p.i, fmt.Sprintf(format, args...))
}

func (p *parser) space() {
	for p.i < len(p.s) && p.s[p.i] == ' ' {
		p.i++
	}
}

// have reads tok if it is next.
func (p *parser) have(tok string) bool {
	p.space()
	if strings.HasPrefix(p.s[p.i:], tok) {
		p.i += len(tok)
		return true
	}
	return false
}

func (p *parser) want(tok string) error {
	if !p.have(tok) {
		return p.failf("want %q", tok)
	}
	return nil
}

func letter(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

// word reads an identifier, with dots in it if dotted; "" if there is none.
func (p *parser) word(dotted bool) string {
	p.space()
	start := p.i
	for p.i < len(p.s) {
		c := p.s[p.i]
		if !letter(c) && (p.i == start || !digit(c) && (!dotted || c != '.')) {
			break
		}
		p.i++
	}
	return p.s[start:p.i]
}

func (p *parser) schema() (*Schema, error) {
	s := &Schema{}
	if s.Namespace = p.word(false); s.Namespace == "" {
		return nil, p.failf("want a namespace")
	}
	if err := p.want("::"); err != nil {
		return nil, err
	}
	if s.Name = p.word(false); s.Name == "" {
		return nil, p.failf("want an operator's name")
	}
	if p.have(".") {
		if s.Overload = p.word(true); s.Overload == "" {
			return nil, p.failf("want an overload's name")
		}
	}
	if err := p.args(s); err != nil {
		return nil, err
	}
	if err := p.want("->"); err != nil {
		return nil, err
	}
	if err := p.returns(s); err != nil {
		return nil, err
	}
	if p.space(); p.i < len(p.s) {
		return nil, p.failf("text after the end")
	}
	return s, nil
}

func (p *parser) args(s *Schema) error {
	if err := p.want("("); err != nil {
		return err
	}
	if p.have(")") {
		return nil
	}
	kw := false
	for {
		switch {
		case p.have("..."):
			s.Varargs = true
		case p.have("*"):
			if kw {
				return p.failf("a second *")
			}
			kw = true
		default:
			a, err := p.arg()
			if err != nil {
				return err
			}
			if a.Name == "" {
				return p.failf("want an argument's name")
			}
			a.KwOnly = kw
			s.Args = append(s.Args, a)
		}
		if p.have(")") {
			return nil
		}
		if err := p.want(","); err != nil {
			return err
		}
	}
}

func (p *parser) returns(s *Schema) error {
	if p.have("...") {
		s.Varrets = true
		return nil
	}
	if !p.have("(") {
		a, err := p.arg()
		s.Returns = []Arg{a}
		return err
	}
	if p.have(")") {
		return nil
	}
	for {
		a, err := p.arg()
		if err != nil {
			return err
		}
		s.Returns = append(s.Returns, a)
		if p.have(")") {
			return nil
		}
		if err := p.want(","); err != nil {
			return err
		}
	}
}

// arg reads a type, then a name and a default if they are there.
func (p *parser) arg() (a Arg, err error) {
	if a.Type, err = p.typ(&a.Alias, 0); err != nil {
		return a, err
	}
	if a.Name = p.word(false); a.Name == "" {
		return a, nil
	}
	if p.have("=") {
		a.HasDefault = true
		a.Default, err = p.literal(0)
	}
	return a, err
}

// deepest is how far types and default values may be nested.
const deepest = 16

func (p *parser) typ(alias *Alias, depth int) (Type, error) {
	if depth > deepest {
		return Type{}, p.failf("a type nested too deep")
	}
	t, err := p.leaf(depth)
	if err != nil {
		return t, err
	}
	for n := 0; ; n++ {
		switch {
		case n > deepest:
			return t, p.failf("a type nested too deep")
		case p.have("("):
			if len(alias.Sets) > 0 {
				return t, p.failf("a second alias annotation")
			}
			if err := p.alias(alias); err != nil {
				return t, err
			}
		case p.have("?"):
			e := t
			t = Type{Form: Optional, Elem: &e}
		case p.have("["):
			e := t
			t = Type{Form: List, Elem: &e}
			if n := p.digits(); n != "" {
				if t.Size, err = strconv.Atoi(n); err != nil || t.Size == 0 {
					return t, p.failf("the size %s of a list", n)
				}
			}
			if err := p.want("]"); err != nil {
				return t, err
			}
		default:
			return t, nil
		}
	}
}

// leaf reads a plain type, a tuple, or a type with parameters.
func (p *parser) leaf(depth int) (Type, error) {
	if p.have("(") {
		return p.params(Type{Form: Generic}, depth)
	}
	name := p.word(true)
	switch name {
	case "":
		return Type{}, p.failf("want a type")
	case "Dict", "Future", "RRef", "Await", "Union", "Tuple":
		if p.have("(") {
			return p.params(Type{Form: Generic, Name: name}, depth)
		}
	}
	return Type{Name: name}, nil
}

func (p *parser) params(t Type, depth int) (Type, error) {
	for {
		var alias Alias
		e, err := p.typ(&alias, depth+1)
		if err != nil {
			return t, err
		}
		if len(alias.Sets) > 0 {
			return t, p.failf("an alias annotation inside a type")
		}
		t.Params = append(t.Params, e)
		if p.have(")") {
			return t, nil
		}
		if err := p.want(","); err != nil {
			return t, err
		}
	}
}

// alias reads what stands behind "(": (a), (a!), (a|b), (a -> *), (a! -> a|b).
func (p *parser) alias(a *Alias) error {
	var err error
	if a.Sets, err = p.sets(); err != nil {
		return err
	}
	a.Write = p.have("!")
	if p.have("->") {
		if a.After, err = p.sets(); err != nil {
			return err
		}
	}
	return p.want(")")
}

func (p *parser) sets() ([]string, error) {
	var list []string
	for {
		if p.have("*") {
			list = append(list, "*")
		} else if w := p.word(false); w != "" {
			list = append(list, w)
		} else {
			return nil, p.failf("want an alias set")
		}
		if !p.have("|") {
			return list, nil
		}
	}
}

func (p *parser) digits() string {
	p.space()
	start := p.i
	for p.i < len(p.s) && digit(p.s[p.i]) {
		p.i++
	}
	return p.s[start:p.i]
}
