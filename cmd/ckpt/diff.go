package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/cmplx"
	"reflect"
	"slices"

	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// diff compares two files by name and prints what differs.
func diff(c *context) error {
	if err := c.want(2, 2); err != nil {
		return err
	}
	a, err := open(c.args[0], c.key)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := open(c.args[1], c.key)
	if err != nil {
		return err
	}
	defer b.Close()
	left, right := leaves(a.root), leaves(b.root)
	name := names(left, right)
	byKey := map[string]any{}
	for _, l := range right {
		byKey[l.key] = l.value
	}
	same, differ := 0, 0
	say := func(format string, args ...any) {
		differ++
		fmt.Fprintf(c.stdout, format+"\n", args...)
	}
	for _, l := range left {
		other, ok := byKey[l.key]
		delete(byKey, l.key)
		if !ok {
			say("- %s: only in %s", name(l), c.args[0])
			continue
		}
		what, err := c.compare(a, b, l.value, other)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		if what != "" {
			say("! %s: %s", name(l), what)
		} else {
			same++
		}
	}
	for _, l := range right {
		if _, only := byKey[l.key]; only {
			say("+ %s: only in %s", name(l), c.args[1])
		}
	}
	fmt.Fprintf(c.stdout, "%d equal, %d different\n", same, differ)
	if differ > 0 {
		return errDiffer
	}
	return nil
}

// names returns what to call a leaf: its name, or its whole key where others have the same name.
func names(lists ...[]leaf) func(leaf) string {
	key, ambiguous := map[string]string{}, map[string]bool{}
	for _, list := range lists {
		for _, l := range list {
			if k, ok := key[l.name]; ok && k != l.key {
				ambiguous[l.name] = true
			}
			key[l.name] = l.key
		}
	}
	return func(l leaf) string {
		if ambiguous[l.name] {
			return l.key
		}
		return l.name
	}
}

// equal is reflect.DeepEqual where not-a-number equals itself.
func equal(x, y any) bool {
	switch a := x.(type) {
	case float64:
		b, ok := y.(float64)
		return ok && (a == b || math.IsNaN(a) && math.IsNaN(b))
	case complex128:
		b, ok := y.(complex128)
		return ok && equal(real(a), real(b)) && equal(imag(a), imag(b))
	case *pickle.Set:
		b, ok := y.(*pickle.Set)
		return ok && a.Frozen == b.Frozen && slices.EqualFunc(a.Items, b.Items, equal)
	case *pickle.Dict: // a leaf: an empty one
		b, ok := y.(*pickle.Dict)
		return ok && a.Len() == b.Len()
	}
	return reflect.DeepEqual(x, y)
}

// compare tells in words how two values differ, or nothing.
func (c *context) compare(a, b *file, x, y any) (string, error) {
	t, ok1 := x.(*ptfile.Tensor)
	u, ok2 := y.(*ptfile.Tensor)
	if !ok1 || !ok2 {
		if ok1 != ok2 || !equal(x, y) {
			return fmt.Sprintf("%s against %s", kind(x), kind(y)), nil
		}
		return "", nil
	}
	if t.DType != u.DType || t.Layout != u.Layout || !slices.Equal(t.Shape, u.Shape) {
		return fmt.Sprintf("%s against %s", kind(t), kind(u)), nil
	}
	if err := errors.Join(a.verifyTensor(t), b.verifyTensor(u)); err != nil {
		return "", err
	}
	if t.Layout == ptfile.Strided {
		return c.elements(t, u)
	}
	for i := range t.Parts {
		if !slices.Equal(t.Parts[i].Shape, u.Parts[i].Shape) {
			return "other elements are not zero", nil
		}
		if what, err := c.elements(t.Parts[i], u.Parts[i]); what != "" || err != nil {
			return what, err
		}
	}
	return "", nil
}

func kind(v any) string {
	if t, ok := v.(*ptfile.Tensor); ok {
		return fmt.Sprintf("%s %s%s", t.DType, shape(t), layout(t))
	}
	return show(v)
}

// stream gives a tensor's elements as a reader.
func stream(t *ptfile.Tensor) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		w.CloseWithError(t.Dense(func(p []byte) error { _, err := w.Write(p); return err }))
	}()
	return r
}

// elements finds the largest difference of two tensors of one dtype and shape, piece by piece.
func (c *context) elements(t, u *ptfile.Tensor) (string, error) {
	x, y := stream(t), stream(u)
	defer x.Close()
	defer y.Close()
	width := t.DType.Size()
	p, q := make([]byte, width<<15), make([]byte, width<<15)
	var largest float64
	count, at, where := 0, 0, 0
	for {
		n, err := io.ReadFull(x, p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return "", err
		}
		if _, err := io.ReadFull(y, q[:n]); err != nil {
			return "", err
		}
		for i := 0; i < n; i += width {
			if d, same := difference(t.DType, p[i:i+width], q[i:i+width]); !same && !(d <= c.atol) {
				count++
				if !(d <= largest) || count == 1 {
					largest, where = d, at+i/width
				}
			}
		}
		at += n / width
	}
	if count == 0 {
		return "", nil
	}
	return fmt.Sprintf("%d of %d elements differ, at most by %g (at %s)", count, t.Elements(), largest, index(t.Shape, where)), nil
}

// difference returns the distance of two elements; NaNs are equal to each other and infinitely far from numbers.
func difference(d ptfile.DType, p, q []byte) (float64, bool) {
	if bytes.Equal(p, q) {
		return 0, true
	}
	a, b := d.Number(p), d.Number(q)
	if cmplx.IsNaN(a) && cmplx.IsNaN(b) {
		return 0, true
	}
	dist := cmplx.Abs(a - b)
	if math.IsNaN(dist) {
		dist = math.Inf(1)
	}
	return dist, false
}

// index writes the position of the n-th element.
func index(shape []int, n int) string {
	at := make([]int, len(shape))
	for i := len(shape) - 1; i >= 0; i-- {
		at[i] = n % shape[i]
		n /= shape[i]
	}
	return fmt.Sprint(at)
}
