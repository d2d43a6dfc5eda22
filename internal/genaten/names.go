package main

import (
	"go/token"
	"strings"

	"github.com/golite/golite/internal/schema"
)

// namer gives operators their Go names. It has all public operators, to detect a private one of the same name.
type namer map[string]bool

func newNamer(all []*schema.Schema) namer {
	n := namer{}
	for _, s := range all {
		if !strings.HasPrefix(s.Name, "_") {
			n[strings.TrimRight(s.Name, "_")] = true
		}
	}
	return n
}

// name is the function's name; doc.go of torch/aten documents the same rule.
func (n namer) name(s *schema.Schema) string {
	base, inPlace, private := s.Name, "", false
	if strings.HasPrefix(base, "__") && strings.HasSuffix(base, "__") {
		base = strings.Trim(base, "_")
	} else {
		if strings.HasSuffix(base, "_") {
			base, inPlace = strings.TrimSuffix(base, "_"), "_"
		}
		private = strings.HasPrefix(base, "_")
		base = strings.TrimLeft(base, "_")
	}
	prefix := ""
	if private && n[base] {
		prefix = "Internal"
	}
	if strings.HasSuffix(s.Overload, "_") { // aten::range.out_ is another than aten::range.out
		inPlace = "_"
	}
	return prefix + camel(base) + camel(s.Overload) + inPlace
}

// camel writes snake_case as SnakeCase; capitals that are there stay.
func camel(s string) string {
	var b strings.Builder
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '_' || r == '.' }) {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// taken are names that a generated function uses itself.
var taken = map[string]bool{"args": true, "res": true, "abi": true, "op": true, "torch": true, "need": true,
	"needAll": true,
	"int":     true, "int64": true, "float64": true, "bool": true, "string": true}

// param is an argument's name in Go.
func param(s string) string {
	p := camel(s)
	k := 0
	for k < len(p) && p[k] >= 'A' && p[k] <= 'Z' {
		k++
	}
	switch {
	case k == len(p): // A, LU, UPLO
		p = strings.ToLower(p)
	case k > 1: // LUData
		p = strings.ToLower(p[:k-1]) + p[k-1:]
	default:
		p = strings.ToLower(p[:1]) + p[1:]
	}
	if token.IsKeyword(p) || taken[p] {
		return p + "Arg"
	}
	return p
}

// params are the names of all arguments, none twice.
func params(s *schema.Schema) []string {
	list := make([]string, len(s.Args))
	seen := map[string]bool{}
	for i, a := range s.Args {
		p := param(a.Name)
		for seen[p] {
			p += "2"
		}
		seen[p] = true
		list[i] = p
	}
	return list
}
