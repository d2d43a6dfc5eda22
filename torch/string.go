package torch

import (
	"math"
	"strconv"
	"strings"
	"sync/atomic"
)

// PrintOptions say how String prints (torch.set_printoptions). Zero numbers stand for PyTorch's defaults.
type PrintOptions struct {
	Precision int   // digits behind the point; 0: 4
	Threshold int   // with more elements than this the middle of long dimensions is left out; 0: 1000
	EdgeItems int   // elements at each end that are not left out; 0: 3
	LineWidth int   // characters a line; 0: 80
	SciMode   *bool // scientific notation; nil: where numbers are large, small or far apart
}

var printOptions atomic.Pointer[PrintOptions]

// SetPrintOptions sets how tensors are printed, in the whole process, and returns what it was
// (torch.set_printoptions).
func SetPrintOptions(o PrintOptions) PrintOptions {
	if before := printOptions.Swap(&o); before != nil {
		return *before
	}
	return PrintOptions{}
}

func currentPrintOptions() PrintOptions {
	var o PrintOptions
	if p := printOptions.Load(); p != nil {
		o = *p
	}
	for _, d := range []struct {
		n       *int
		missing int
	}{{&o.Precision, 4}, {&o.Threshold, 1000}, {&o.EdgeItems, 3}, {&o.LineWidth, 80}} {
		if *d.n <= 0 {
			*d.n = d.missing
		}
	}
	return o
}

// String prints the tensor as Python's repr does: elements, then the type, device and autograd where they are not the
// default. Of more than 1000 elements the middle is left out.
func (t *Tensor) String() string {
	if t == nil {
		return "None"
	}
	if t.Released() {
		return "tensor(released)"
	}
	var s string
	Scope(func() { NoGrad(func() { s = (&printer{PrintOptions: currentPrintOptions()}).tensor(t) }) })
	return s
}

// printer prints one tensor.
type printer struct {
	PrintOptions
	suffixes []string
	newline  bool // the suffixes begin on a line of their own
}

const printPrefix = "tensor("

func (p *printer) tensor(t *Tensor) string {
	if d := t.Device(); d.Type != CPUType {
		p.suffixes = append(p.suffixes, "device='"+d.String()+"'")
	}
	prefix, body := printPrefix, ""
	switch {
	case abi.IsNested(t):
		prefix, body = "nested_", p.parts(t)
	case abi.IsZeroTensor(t):
		body = p.body(t.Clone()) // it has no memory to read
	default:
		body = p.body(t)
	}
	if l := t.Layout(); l != Strided {
		p.suffixes = append(p.suffixes, "layout=torch."+layoutName(l))
	}
	if name := t.GradFn(); name != "" {
		p.suffixes = append(p.suffixes, "grad_fn=<"+name[strings.LastIndex(name, ":")+1:]+">")
	} else if t.RequiresGrad() {
		p.suffixes = append(p.suffixes, "requires_grad=True")
	}
	return p.join(prefix + body)
}

// parts prints those of a nested tensor, each on lines of its own.
func (p *printer) parts(t *Tensor) string {
	list := t.Unbind(0)
	lines := make([]string, len(list))
	for i, part := range list {
		text := (&printer{PrintOptions: p.PrintOptions}).tensor(part)
		lines[i] = "  " + strings.ReplaceAll(text, "\n", "\n  ")
	}
	return "tensor([\n" + strings.Join(lines, ",\n") + "\n]"
}

func layoutName(l Layout) string {
	if l == MKLDNN {
		return "_mkldnn"
	}
	return l.String()
}

// body prints the elements, and notes size and type for the suffixes where they don't show.
func (p *printer) body(t *Tensor) string {
	d := t.DType()
	plain := d == DefaultDType()
	switch {
	case t.Layout() == SparseCOO:
		return p.sparse(t, "indices", call(&opSparseIndices, t), "values", call(&opSparseValues, t))
	case t.Layout() == SparseCSR || t.Layout() == SparseBSR:
		return p.sparse(t, "crow_indices", call(&opCrow, t), "col_indices", call(&opCol, t), "values", call(&opValues, t))
	case t.Layout() == SparseCSC || t.Layout() == SparseBSC:
		return p.sparse(t, "ccol_indices", call(&opCCol, t), "row_indices", call(&opRow, t), "values", call(&opValues, t))
	case t.Device().Type == MetaType || d == QInt8 || d == QUInt8 || d == QInt32:
		p.size(t)
		p.dtype(d, plain)
		return "..."
	case t.Numel() == 0:
		if t.Dim() != 1 {
			p.size(t)
		}
		p.dtype(d, plain)
		return "[]"
	}
	p.dtype(d, showsItself(d))
	return p.elements(t, len(printPrefix))
}

// showsItself reports whether the printed elements make the type evident.
func showsItself(d DType) bool {
	return d == DefaultDType() || d == Int64 || d == Bool || d.IsComplex() && d.Size() == 2*DefaultDType().Size()
}

func (p *printer) dtype(d DType, plain bool) {
	if !plain {
		p.suffixes = append(p.suffixes, "dtype=torch."+d.String())
	}
}

func (p *printer) size(t *Tensor) { p.suffixes = append(p.suffixes, "size="+tuple(t.Shape())) }

// tuple prints a shape as Python does.
func tuple(shape []int) string {
	if len(shape) == 1 {
		return "(" + strconv.Itoa(shape[0]) + ",)"
	}
	s := shapeString(shape)
	return "(" + s[1:len(s)-1] + ")"
}

// join puts the suffixes behind the elements, on a new line where they don't fit.
func (p *printer) join(s string) string {
	var b strings.Builder
	b.WriteString(s)
	column := len(s) - strings.LastIndex(s, "\n") + 1
	for _, suffix := range p.suffixes {
		if p.newline || column+len(suffix)+2 > p.LineWidth {
			b.WriteString(",\n" + strings.Repeat(" ", len(printPrefix)) + suffix)
			column = len(printPrefix) + len(suffix)
			p.newline = false
		} else {
			b.WriteString(", " + suffix)
			column += len(suffix) + 2
		}
	}
	return b.String() + ")"
}

// elements prints a dense tensor's elements in brackets.
func (p *printer) elements(t *Tensor, indent int) string {
	if t.Numel() == 0 {
		return "[]"
	}
	shape := t.Shape()
	short := t.Numel() > p.Threshold
	if short {
		t = p.summary(t)
	}
	g := grid{p: p, shape: shape, words: p.words(t)}
	g.cut = short
	g.width = g.words.width()
	s, _ := g.block(0, 0, indent)
	return s
}

// summary keeps the ends of long dimensions.
func (p *printer) summary(t *Tensor) *Tensor {
	for dim, n := range t.Shape() {
		if n > 2*p.EdgeItems {
			t = Cat([]*Tensor{t.Narrow(dim, 0, p.EdgeItems), t.Narrow(dim, n-p.EdgeItems, p.EdgeItems)}, dim)
		}
	}
	return t
}

// grid lays printed elements out by shape.
type grid struct {
	p     *printer
	shape []int
	cut   bool // words hold only the ends of long dimensions
	words words
	width int
}

func (g *grid) shown(dim int) (n int, cut bool) {
	if n = g.shape[dim]; g.cut && n > 2*g.p.EdgeItems {
		return 2 * g.p.EdgeItems, true
	}
	return n, false
}

// block prints the elements from at on that belong to a dimension, and returns the place after them.
func (g *grid) block(dim, at, indent int) (string, int) {
	if dim == len(g.shape) {
		return g.words.word(at), at + 1
	}
	n, cut := g.shown(dim)
	last := dim == len(g.shape)-1
	var items []string
	for i := range n {
		if cut && i == g.p.EdgeItems {
			items = append(items, map[bool]string{true: " ...", false: "..."}[last])
		}
		var s string
		s, at = g.block(dim+1, at, indent+1)
		items = append(items, s)
	}
	if last {
		return "[" + g.lines(items, indent) + "]", at
	}
	between := "," + strings.Repeat("\n", len(g.shape)-dim-1) + strings.Repeat(" ", indent+1)
	return "[" + strings.Join(items, between) + "]", at
}

// lines breaks a vector into lines.
func (g *grid) lines(items []string, indent int) string {
	most := max(1, (g.p.LineWidth-indent)/g.width)
	var lines []string
	for len(items) > 0 {
		n := min(most, len(items))
		lines = append(lines, strings.Join(items[:n], ", "))
		items = items[n:]
	}
	return strings.Join(lines, ",\n"+strings.Repeat(" ", indent+1))
}

// words are the elements of a tensor, in print.
type words interface {
	word(i int) string
	width() int // of an element and what follows it
}

func (p *printer) words(t *Tensor) words {
	d := t.DType()
	switch {
	case d.IsComplex():
		z := t.Resolve().To(Complex128)
		return pairWords{p.floats(z.Real()), p.floats(z.Imag())}
	case d == Float4E2M1FNx2:
		return p.floats(t.ViewDType(UInt8))
	case d.IsFloating():
		return p.floats(t)
	}
	return newPlainWords(t)
}

// plainWords are integers and truth values.
type plainWords struct {
	list []string
	max  int
}

func newPlainWords(t *Tensor) (w plainWords) {
	switch t.DType() {
	case Bool:
		for _, v := range ToSlice[bool](t) {
			w.list = append(w.list, map[bool]string{true: "True", false: "False"}[v])
		}
	case UInt64:
		for _, v := range ToSlice[uint64](t) {
			w.list = append(w.list, strconv.FormatUint(v, 10))
		}
	default:
		for _, v := range ToSlice[int64](t.Long()) {
			w.list = append(w.list, strconv.FormatInt(v, 10))
		}
	}
	for _, s := range w.list {
		w.max = max(w.max, len(s))
	}
	return w
}

func (w plainWords) width() int        { return w.max + 2 }
func (w plainWords) word(i int) string { return pad(w.list[i], w.max) }

func pad(s string, width int) string { return strings.Repeat(" ", max(0, width-len(s))) + s }

// floatWords are floating-point numbers, all in one notation.
type floatWords struct {
	list      []float64
	precision int
	whole     bool // every number is: "2."
	sci       bool
	max       int
}

func (p *printer) floats(t *Tensor) *floatWords {
	w := &floatWords{list: ToSlice[float64](t.To(Float64)), precision: p.Precision, whole: true, max: 1}
	low, high := math.Inf(1), 0.0
	for _, v := range w.list {
		if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
			continue
		}
		low, high = min(low, math.Abs(v)), max(high, math.Abs(v))
		w.whole = w.whole && v == math.Ceil(v)
	}
	if high == 0 {
		return w
	}
	w.sci = high/low > 1000 || high > 1e8 || low < 1e-4
	if p.SciMode != nil {
		w.sci = *p.SciMode
	}
	for _, v := range w.list {
		if v != 0 && !math.IsInf(v, 0) && !math.IsNaN(v) {
			w.max = max(w.max, len(w.format(v)))
		}
	}
	return w
}

func (w *floatWords) format(v float64) string {
	switch {
	case math.IsNaN(v):
		return "nan"
	case math.IsInf(v, 0):
		return map[bool]string{true: "inf", false: "-inf"}[v > 0]
	case w.sci:
		return strconv.FormatFloat(v, 'e', w.precision, 64)
	case w.whole:
		return strconv.FormatFloat(v, 'f', 0, 64) + "."
	}
	return strconv.FormatFloat(v, 'f', w.precision, 64)
}

func (w *floatWords) width() int        { return w.max + 2 }
func (w *floatWords) word(i int) string { return pad(w.format(w.list[i]), w.max) }

// pairWords are complex numbers.
type pairWords struct{ re, im *floatWords }

func (w pairWords) width() int { return w.re.width() + w.im.max + 1 }

func (w pairWords) word(i int) string {
	im := strings.TrimLeft(w.im.word(i)+"j", " ")
	if im[0] != '-' {
		im = "+" + im
	}
	return w.re.word(i) + im
}
