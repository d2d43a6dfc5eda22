package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
	"github.com/golite/golite/torch/serial/safetensors"
	"github.com/golite/golite/torch/serial/zero"
)

// convert writes a checkpoint in the format that the output's name says.
func convert(c *context) error {
	if err := c.want(2, 2); err != nil {
		return err
	}
	return c.rewrite(false)
}

// consolidate writes a sharded checkpoint as one file.
func consolidate(c *context) error {
	if err := c.want(2, 2); err != nil {
		return err
	}
	return c.rewrite(true)
}

// deepspeed writes a checkpoint as a folder of DeepSpeed's. A state dict alone is its model.
func deepspeed(c *context) (err error) {
	if err := c.want(2, 2); err != nil {
		return err
	}
	f, err := open(c.args[0], c.key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	root, ok := f.root.(*pickle.Dict)
	if !ok {
		return fmt.Errorf("%s holds %s: want a dict of tensors, or one with \"model\" and \"optimizer\"", f.path, pickle.Describe(f.root))
	}
	if _, err := f.check(); err != nil {
		return err
	}
	if v, _ := root.Get("model"); !isDict(v) {
		whole := pickle.NewDict(pickle.PlainDict)
		if err := whole.Set("model", root); err != nil {
			return err
		}
		root = whole
	}
	if err := zero.Write(c.args[1], root, zero.Options{Stage: c.stage, World: c.world}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "%s: stage %d, %d ranks\n", c.args[1], c.stage, c.world)
	return err
}

func isDict(v any) bool {
	_, ok := v.(*pickle.Dict)
	return ok
}

func (c *context) rewrite(sharded bool) (err error) {
	in, out := c.args[0], c.args[1]
	f, err := open(in, c.key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if sharded && !f.several {
		return fmt.Errorf("%s is one file already (%s)", in, f.format)
	}
	if _, err := f.check(); err != nil {
		return err
	}
	var a interface {
		Size() int64
		WriteTo(w io.WriterAt, base int64) error
	}
	if strings.EqualFold(filepath.Ext(out), ".safetensors") {
		a, err = f.asSafetensors()
	} else {
		a, err = ptfile.NewArchive(f.root, ptfile.Options{FullPickle: true})
	}
	if err != nil {
		return err
	}
	if err := atomicfile.Write(atomicfile.OS, out, a.Size(), func(w io.WriterAt) error { return a.WriteTo(w, 0) }); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "%s: %s\n", out, size(a.Size()))
	return err
}

// asSafetensors takes the state dict of a file: a dict of names and tensors.
func (f *file) asSafetensors() (*safetensors.Archive, error) {
	d, ok := f.root.(*pickle.Dict)
	if _, lightning := d.Get("pytorch-lightning_version"); ok && lightning {
		v, _ := d.Get("state_dict")
		d, ok = v.(*pickle.Dict)
	}
	if !ok {
		return nil, fmt.Errorf("%s holds no dict of tensors; name the part that is one with -key", f.path)
	}
	var list []safetensors.Named
	for k, v := range d.All() {
		name, ok1 := k.(string)
		t, ok2 := v.(*ptfile.Tensor)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("%s: %s is %s, and safetensors files hold named tensors alone; name the part that is a state dict with -key", f.path, pickle.Describe(k), pickle.Describe(v))
		}
		list = append(list, safetensors.Named{Name: name, Tensor: t})
	}
	meta := map[string]string{"format": "pt"}
	for k, v := range f.metadata {
		meta[k] = v
	}
	return safetensors.NewArchive(list, meta)
}
