package aten

import (
	"slices"
	"strings"
	"sync"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/internal/schema"
	"github.com/golite/golite/torch"
)

// Kw holds keyword arguments of Call by their names in the schema. It stands last.
type Kw map[string]any

// Call runs any operator that libtorch has registered, of any namespace, by the name of its schema:
//
//	y := aten.Call("aten::add.Tensor", x, x, aten.Kw{"alpha": 2})[0].(*torch.Tensor)
//
// A name without overload means the overload that has none ("aten::relu"). Arguments are given in the schema's order
// or in a Kw, and those left out have the schema's defaults. Each is checked against the schema and converted before
// the call:
//
//	Tensor         *torch.Tensor
//	int, SymInt    any integer
//	float          float64, float32 or any integer
//	bool, str      bool, string
//	Scalar         torch.Scalar, any number or bool
//	ScalarType, Device, Layout, MemoryFormat, Generator   torch.DType, torch.Device or its name, torch.Layout …
//	T[]            a slice of those; for int[2] and its like also one number, which stands for all
//	T?             nil, T or *T
//
// The results come in the schema's order, as *torch.Tensor, []*torch.Tensor, int, float64, bool, torch.Scalar,
// torch.DType, string, or slices. What the operator writes in place (out too) comes back as the caller's own tensor,
// and an undefined tensor as a nil *torch.Tensor.
//
// Call panics with a *torch.Error that names the operator and the argument if the operator is unknown or refused, an
// argument is missing, unknown, given twice, or of the wrong kind, or libtorch refuses the call. It refuses libtorch's
// private operators too, save those that golite tests on arguments of all kinds: see CallPrivate.
func Call(name string, args ...any) []any {
	e := lookup(name)
	if e.private {
		torch.Fail(name, "it is private to libtorch, which checks few of its arguments: wrong ones end the process or "+
			"corrupt its memory. Where that is understood, aten.CallPrivate runs it")
	}
	return e.run(name, args)
}

// CallPrivate is Call for libtorch's private operators as well: those whose name begins with an underscore, and those
// of namespaces that libtorch keeps for itself (inductor, _c10d_functional, mkldnn …). They are written for callers
// inside of libtorch that get the arguments right. Arguments that the schema allows can end the process or write memory
// that is not theirs, as from Python. The kinds of the arguments are checked as by Call.
func CallPrivate(name string, args ...any) []any { return lookup(name).run(name, args) }

func (e *entry) run(name string, args []any) []any {
	values := bind(e.schema, args)
	if problem := settle(e.schema, values); problem != "" {
		torch.Fail(name, "%s", problem)
	}
	var a op.Args
	var r op.Results
	for i, arg := range e.schema.Args {
		if problem := encodeSized(&a, e.schema, arg, values[i]); problem != "" {
			torch.Fail(name, "argument %s (%s): %s", arg.Name, arg.Type, problem)
		}
	}
	if problem := guard(e.schema, values); problem != "" {
		torch.Fail(name, "%s", problem)
	}
	abi.Call(e.op, &a, &r)
	return decode(e.schema, values, &r)
}

// entry is an operator that Call has met.
type entry struct {
	op      *op.Op
	schema  *schema.Schema
	private bool // refused by Call
}

var entries sync.Map // by name: *entry

func lookup(name string) *entry {
	if e, ok := entries.Load(name); ok {
		return e.(*entry)
	}
	base, overload, dotted := strings.Cut(name, ".")
	if ns, n, found := strings.Cut(base, "::"); !found || ns == "" || n == "" || dotted && overload == "" {
		torch.Fail("aten.Call", "the operator's name %q: want namespace::name or namespace::name.overload, such as "+
			"aten::add.Tensor", name)
	}
	o := &op.Op{Name: name}
	id, err := o.Find()
	if err != nil {
		unknown(name, base)
	}
	text, failure := cgotorch.Schema(id)
	if failure != nil {
		torch.Fail(name, "libtorch does not give its schema: %s", failure)
	}
	s, err := schema.Parse(text)
	if err != nil {
		torch.Fail(name, "its schema can't be read: %s", err)
	}
	if why := s.Refusal(); why != "" {
		torch.Fail(name, "golite can't call it: %s", why)
	}
	e, _ := entries.LoadOrStore(name, &entry{o, s, private(s)})
	return e.(*entry)
}

// unknown panics, naming the overloads there are.
func unknown(name, base string) {
	list := overloads(base)
	if len(list) == 0 {
		torch.Fail("aten.Call", "libtorch has no operator %q", name)
	}
	torch.Fail("aten.Call", "libtorch has no operator %q: want one of %s", name, strings.Join(list, ", "))
}

func overloads(base string) []string {
	text, err := cgotorch.Schemas()
	if err != nil {
		return nil
	}
	var list []string
	for line := range strings.SplitSeq(text, "\n") {
		full, _, _ := strings.Cut(line, "(")
		if n, _, _ := strings.Cut(full, "."); n == base {
			list = append(list, full)
		}
	}
	slices.Sort(list)
	return list
}
