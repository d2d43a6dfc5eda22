package pickle

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

const (
	listingLines = 1000 // of a Dict's String; what follows is counted
	listingDepth = 8    // of dicts and lists inside of each other
	listingInRow = 8    // scalars of a list that are written out
)

// String lists the keys and values, one a line, nested values indented below their key: tensors by type and shape,
// scalars as they are, long lists by their length. Its length is bounded, whatever the dict holds.
//
//	dict of 2:
//	  model: collections.OrderedDict of 2:
//	    fc1.weight: float32 [128, 784]
//	    fc1.bias: float32 [128]
//	  epoch: 3
func (d *Dict) String() string {
	l := &lister{}
	l.dict("", d, 0)
	return strings.TrimSuffix(l.out.String(), "\n")
}

type lister struct {
	out   strings.Builder
	lines int
}

// line writes one line, and reports whether another may follow.
func (l *lister) line(depth int, text string) bool {
	l.lines++
	l.out.WriteString(strings.Repeat("  ", depth) + text + "\n")
	return l.lines < listingLines
}

func (l *lister) dict(key string, d *Dict, depth int) bool {
	if d == nil {
		return l.line(depth, key+"<nil>")
	}
	title := fmt.Sprintf("%s%s of %d", key, d.Kind, d.Len())
	if d.Len() == 0 || depth == listingDepth {
		return l.line(depth, title)
	}
	more, n := l.line(depth, title+":"), 0
	for k, v := range d.All() {
		if !more {
			l.rest(depth+1, d.Len()-n)
			return false
		}
		n++
		more = l.value(listedKey(k)+": ", v, depth+1)
	}
	return more
}

// rest is the mark for what is left out. Of nested values the innermost alone has one.
func (l *lister) rest(depth, n int) {
	if l.lines == listingLines {
		l.line(depth, fmt.Sprintf("... and %d more", n))
	}
}

func listedKey(k any) string {
	if s, ok := k.(string); ok && len(s) <= describeLength {
		return s
	}
	return Describe(k)
}

func (l *lister) value(key string, v any, depth int) bool {
	switch v := v.(type) {
	case *Dict:
		return l.dict(key, v, depth)
	case Tuple:
		return l.list(key, "tuple", v, depth)
	}
	if s, ok := tensorText(v); ok {
		return l.line(depth, key+s)
	}
	if items, ok := Items(v); ok {
		return l.list(key, "list", items, depth)
	}
	switch v := v.(type) {
	case Bytes, ByteArray, *Set, Unfinished:
	case fmt.Stringer: // a tensor that was not read, a type, a device
		if r := reflect.ValueOf(v); r.Kind() != reflect.Pointer || !r.IsNil() {
			s, _, _ := strings.Cut(v.String(), "\n")
			return l.line(depth, key+s)
		}
	}
	return l.line(depth, key+Describe(v))
}

func (l *lister) list(key, kind string, items []any, depth int) bool {
	if len(items) <= listingInRow {
		parts := make([]string, len(items))
		plain := true
		for i, v := range items {
			switch v.(type) {
			case nil, bool, int, float64, string:
				parts[i] = Describe(v)
			default:
				plain = false
			}
		}
		if plain && kind == "tuple" {
			return l.line(depth, key+"("+strings.Join(parts, ", ")+")")
		}
		if plain {
			return l.line(depth, key+"["+strings.Join(parts, ", ")+"]")
		}
	}
	title := fmt.Sprintf("%s%s of %d", key, kind, len(items))
	if len(items) > listingInRow || depth == listingDepth {
		return l.line(depth, title)
	}
	more := l.line(depth, title+":")
	for i, v := range items {
		if !more {
			l.rest(depth+1, len(items)-i)
			return false
		}
		more = l.value(strconv.Itoa(i)+": ", v, depth+1)
	}
	return more
}

// tensorText is a tensor's type and shape. The methods are looked for by name, as this package does not know torch's
// tensors.
func tensorText(v any) (string, bool) {
	shaped, ok := v.(interface{ Shape() []int })
	if !ok {
		return "", false
	}
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.Pointer && r.IsNil() {
		return "<nil>", true
	}
	dtype := ""
	if m := r.MethodByName("DType"); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
		dtype = fmt.Sprint(m.Call(nil)[0].Interface()) + " "
	}
	return dtype + shapeText(shaped.Shape()), true
}

func shapeText(shape []int) string {
	return "[" + strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]") + "]"
}
