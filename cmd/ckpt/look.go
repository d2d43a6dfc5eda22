package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// list prints the tensors of a file, and with -a the other values.
func list(c *context) error {
	if err := c.want(1, 1); err != nil {
		return err
	}
	f, err := open(c.args[0], c.key)
	if err != nil {
		return err
	}
	defer f.Close()
	w := tabwriter.NewWriter(c.stdout, 0, 8, 2, ' ', 0)
	var tensors, elements int
	var bytes int64
	seen := map[*ptfile.Storage]bool{}
	for _, l := range leaves(f.root) {
		t, ok := l.value.(*ptfile.Tensor)
		if !ok {
			if c.all {
				fmt.Fprintf(w, "%s\t%s\t\t\n", l.name, show(l.value))
			}
			continue
		}
		tensors++
		elements += t.Elements()
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.name, strings.TrimPrefix(t.DType.String(), "torch."), shape(t)+layout(t), size(t.Bytes()))
		if t.Storage != nil && !seen[t.Storage] {
			seen[t.Storage] = true
			bytes += t.Storage.Size
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "%d tensors, %d elements, %s stored, %s\n", tensors, elements, size(bytes), f.format)
	return err
}

func layout(t *ptfile.Tensor) string {
	if t.Layout == ptfile.Strided {
		return ""
	}
	return " " + string(t.Layout)
}

// size writes bytes for people.
func size(n int64) string {
	for _, u := range []struct {
		name string
		n    int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.n {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.n), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// show writes a value that is no tensor on one line.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case string:
		return fmt.Sprintf("%q", v)
	case pickle.Bytes:
		return fmt.Sprintf("b%q", []byte(v))
	case pickle.ByteArray:
		return fmt.Sprintf("bytearray(b%q)", []byte(v))
	case *pickle.Set:
		return fmt.Sprintf("set of %d", len(v.Items))
	case *pickle.Dict, []any, pickle.Tuple:
		return pickle.Describe(v)
	case ptfile.Size:
		return fmt.Sprintf("torch.Size(%v)", []int(v))
	case *ptfile.NumpyArray:
		return fmt.Sprintf("numpy %s%v", v.DType, v.Shape)
	}
	return fmt.Sprint(v)
}

// cat prints one value, or all.
func cat(c *context) error {
	if err := c.want(1, 2); err != nil {
		return err
	}
	f, err := open(c.args[0], c.key)
	if err != nil {
		return err
	}
	defer f.Close()
	found := false
	for _, l := range leaves(f.root) {
		if len(c.args) == 2 && l.name != c.args[1] && !strings.HasPrefix(l.name, c.args[1]+".") {
			continue
		}
		found = true
		t, ok := l.value.(*ptfile.Tensor)
		if !ok {
			if _, err := fmt.Fprintf(c.stdout, "%s = %s\n", l.name, show(l.value)); err != nil {
				return err
			}
			continue
		}
		if err := f.verifyTensor(t); err != nil {
			return err
		}
		if err := c.tensor(l.name, t); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("%s has no value called %q; ckpt ls lists them", c.args[0], c.args[1])
	}
	return nil
}

// tensor prints elements in row-major order, a row of the last dimension a line.
func (c *context) tensor(name string, t *ptfile.Tensor) error {
	if _, err := fmt.Fprintf(c.stdout, "%s = %s %s%s\n", name, t.DType, shape(t), layout(t)); err != nil {
		return err
	}
	if t.Layout != ptfile.Strided {
		for i, p := range t.Parts {
			if err := c.tensor(fmt.Sprintf("%s<%d>", name, i), p); err != nil {
				return err
			}
		}
		return nil
	}
	row := 1
	if n := len(t.Shape); n > 0 {
		row = max(t.Shape[n-1], 1)
	}
	i, width := 0, t.DType.Size()
	err := t.Dense(func(p []byte) error {
		for ; len(p) > 0; p = p[width:] {
			if !c.all && i >= c.n {
				return errEnough
			}
			sep := " "
			if (i+1)%row == 0 {
				sep = "\n"
			}
			i++
			if _, err := io.WriteString(c.stdout, t.DType.Format(p[:width])+sep); err != nil {
				return err
			}
		}
		return nil
	})
	if err == errEnough {
		_, err = fmt.Fprintf(c.stdout, "... (%d elements in all; -a prints them)\n", t.Elements())
	}
	return err
}

var errEnough = fmt.Errorf("enough elements are printed")

// verify checks files whole.
func verify(c *context) error {
	if len(c.args) == 0 {
		return errUsage
	}
	var bad error
	for _, path := range c.args {
		f, err := open(path, "")
		var n int64
		if err == nil {
			n, err = f.check()
			f.Close()
		}
		switch {
		case err != nil:
			fmt.Fprintf(c.stdout, "%s: BAD: %v\n", path, err)
			bad = errDiffer
		case n == 0:
			fmt.Fprintf(c.stdout, "%s: readable; the %s format has no checksum\n", path, f.format)
		default:
			fmt.Fprintf(c.stdout, "%s: ok, %s under checksums\n", path, size(n))
		}
	}
	return bad
}
