package profiler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/torch"
)

func newProfile(list []cgotorch.Profiled) *Profile {
	p := &Profile{Events: make([]Event, len(list))}
	slices.SortStableFunc(list, func(a, b cgotorch.Profiled) int { return cmp.Compare(a.Start, b.Start) })
	for i, e := range list {
		p.Events[i] = Event{e.Name, torch.DeviceType(e.Device + 1), e.Thread, time.Duration(e.Start - list[0].Start),
			time.Duration(e.Duration)}
	}
	return p
}

// Total is what all events of one name took together.
type Total struct {
	Name  string
	Count int           // how many events
	CPU   time.Duration // on the CPU, with what they called
	Self  time.Duration // on the CPU, without what they called
	CUDA  time.Duration // on the GPU, of kernels and copies
}

// Totals sums the events by name (profile.key_averages), the one with the most time of its own first.
func (p *Profile) Totals() []Total {
	byName := map[string]*Total{}
	of := func(name string) *Total {
		t := byName[name]
		if t == nil {
			t = &Total{Name: name}
			byName[name] = t
		}
		return t
	}
	onCPU := map[string]bool{}
	for _, e := range p.Events {
		onCPU[e.Name] = onCPU[e.Name] || e.Device == torch.CPUType
	}
	open := map[uint64][]Event{} // of each thread, those that the present one lies in
	for _, e := range p.Events {
		if e.Device == torch.CUDAType && onCPU[e.Name] {
			continue // a range's shadow on the GPU's timeline: its kernels are events of their own
		}
		t := of(e.Name)
		t.Count++
		if e.Device == torch.CUDAType {
			t.CUDA += e.Duration
			continue
		}
		stack := open[e.Thread]
		for len(stack) > 0 && stack[len(stack)-1].Start+stack[len(stack)-1].Duration < e.Start+e.Duration {
			stack = stack[:len(stack)-1]
		}
		if len(stack) > 0 {
			of(stack[len(stack)-1].Name).Self -= e.Duration
		}
		open[e.Thread] = append(stack, e)
		t.CPU += e.Duration
		t.Self += e.Duration
	}
	list := make([]Total, 0, len(byName))
	for _, t := range byName {
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b Total) int {
		return cmp.Or(cmp.Compare(b.Self+b.CUDA, a.Self+a.CUDA), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// Table is the first rows of Totals as text, all of them with rows 0.
func (p *Profile) Table(rows int) string {
	list := p.Totals()
	if rows > 0 && rows < len(list) {
		list = list[:rows]
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "name\tcalls\tself CPU\tCPU\tCUDA") // a strings.Builder has no way to fail
	for _, t := range list {
		fmt.Fprintf(w, "%s\t%d\t%v\t%v\t%v\n", t.Name, t.Count, round(t.Self), round(t.CPU), round(t.CUDA))
	}
	_ = w.Flush()
	return b.String()
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Nanosecond) }
