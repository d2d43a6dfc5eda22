package trainer

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

// restore reads what dump wrote. What is missing or of another type is 0.
func (f fields) restore(v any) (p progress) {
	m, _ := v.(map[string]any)
	part := func(v any) (c counts) {
		m, _ := v.(map[string]any)
		for _, name := range f {
			*c.at(name) = intOf(m[name])
		}
		return c
	}
	return progress{total: part(m["total"]), current: part(m["current"])}
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
