package trainer

import (
	"errors"
	"fmt"

	"github.com/golite/golite/torch"
)

// progress is Lightning's count of a loop's items: how many were fetched, begun, run, and run with all their hooks. The
// checkpoint has it in this form (loops).
type progress struct{ total, current counts }

type counts struct{ ready, started, processed, completed int }

func (p *progress) ready()     { p.total.ready++; p.current.ready++ }
func (p *progress) started()   { p.total.started++; p.current.started++ }
func (p *progress) processed() { p.total.processed++; p.current.processed++ }
func (p *progress) completed() { p.total.completed++; p.current.completed++ }

// reset begins a new pass.
func (p *progress) reset() { p.current = counts{} }

// fields are the counts that a kind of progress has in the file.
type fields []string

var (
	loopFields = fields{"ready", "completed", "started", "processed"}
	stepFields = fields{"ready", "completed"}
	zeroFields = fields{"ready", "completed", "started"}
)

func (c *counts) at(name string) *int {
	switch name {
	case "ready":
		return &c.ready
	case "started":
		return &c.started
	case "processed":
		return &c.processed
	}
	return &c.completed
}

func (f fields) dump(p progress) map[string]any {
	part := func(c counts) map[string]any {
		m := map[string]any{}
		for _, name := range f {
			m[name] = *c.at(name)
		}
		return m
	}
	return map[string]any{"total": part(p.total), "current": part(p.current)}
}

// restore reads what dump wrote. What is missing is 0.
func (f fields) restore(in map[string]any, key string) (p progress, err error) {
	m, err := entry[map[string]any](in, key)
	for part, to := range map[string]*counts{"total": &p.total, "current": &p.current} {
		c, e := entry[map[string]any](m, part)
		err = errors.Join(err, within(key, e))
		for _, name := range f {
			n, e := entry[int](c, name)
			if e == nil && n < 0 {
				e = fmt.Errorf("%s is %d: want 0 or more", name, n)
			}
			*to.at(name) = n
			err = errors.Join(err, within(key+"."+part, e))
		}
	}
	return p, err
}

// entry reads a key of a checkpoint, which is the type's zero value where it is missing or nil.
func entry[T any](m map[string]any, key string) (v T, err error) {
	x, ok := m[key]
	if !ok || x == nil {
		return v, nil
	}
	if v, ok = x.(T); !ok {
		if sd, is := x.(*torch.StateDict); is && sd.Len() == 0 { // an empty dictionary
			return v, nil
		}
		return v, fmt.Errorf("%s is a %T: want a %T", key, x, v)
	}
	return v, nil
}

// within puts a key before the one that an error names.
func within(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s.%w", key, err)
}

func intOf(v any) int {
	switch v := v.(type) {
	case int:
		return v
	case int64:
		return int(v)
	}
	return 0
}
