package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row compares two contestants in one figure. Where peer is empty, ours stands alone.
type row struct {
	name, ours, peer string
	field, unit      string
	goal             float64 // the most that ours/peer may be, or ours alone; 0: none
	cpu              string  // the field of the processor time; "": none
	base             string  // of a row without a peer: the field of ours that it is divided by
}

// line is a measurement as the results file holds it.
type line struct {
	Name       string   `json:"name"`
	Ours       float64  `json:"ours"`
	Peer       *float64 `json:"peer"`
	PeerName   string   `json:"peer_name"`
	Ratio      *float64 `json:"ratio"`
	Goal       *float64 `json:"goal"`
	Unit       string   `json:"unit"`
	Spread     float64  `json:"spread"`
	PeerSpread float64  `json:"peer_spread"`
	CPURatio   *float64 `json:"cpu_ratio,omitempty"`
	Rounds     int      `json:"rounds"`
	OursName   string   `json:"ours_name"`
	Threads    int      `json:"threads"`
	Card       string   `json:"card,omitempty"` // the GPU
	Processor  string   `json:"processor"`
	MKLAVX512  bool     `json:"mkl_avx512"` // golite's matrix products used kernels for AVX-512 that its peers go without
	Overrides  string   `json:"overrides"`  // GOLITE_OVERRIDES
	Time       string   `json:"time"`
}

type results struct {
	file    *os.File
	threads int
	card    string
	lines   []line
	switches
}

func openResults(dir string, threads int) (*results, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	name := time.Now().UTC().Format("2006-01-02") + "-" + machine(processor()) + ".jsonl"
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return &results{file: f, threads: threads}, err
}

// processor is the processor as /proc/cpuinfo describes it: virtual machines often hide the model's name, and the
// vendor, family and model then determine which kernels a library takes.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	return processorOf(string(b))
}

// processorOf reads the first processor of /proc/cpuinfo.
func processorOf(info string) string {
	first, _, _ := strings.Cut(info, "\n\n")
	about := map[string]string{}
	for l := range strings.Lines(first) {
		if k, v, ok := strings.Cut(l, ":"); ok {
			about[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	if about["model name"] == "" {
		return runtime.GOARCH
	}
	if about["vendor_id"] == "" {
		return about["model name"]
	}
	return fmt.Sprintf("%s (%s, family %s, model %s)",
		about["model name"], about["vendor_id"], about["cpu family"], about["model"])
}

// machine names the processor and how many cores there are.
func machine(processor string) string {
	model, _, _ := strings.Cut(processor, " (")
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(model))
	return fmt.Sprintf("%dx-%s", runtime.NumCPU(), clean)
}

// add computes a row of what was measured.
func (r *results) add(w row, samples map[string][]sample) error {
	ours, spread, n := middle(samples[w.ours], w.field)
	if n == 0 {
		return fmt.Errorf("%s: nothing was measured of %q", w.name, w.ours)
	}
	l := line{Name: w.name, Ours: ours, Unit: w.unit, Spread: spread, Rounds: n, OursName: w.ours, PeerName: w.peer}
	if w.goal != 0 {
		l.Goal = &w.goal
	}
	switch {
	case w.peer != "":
		peer, spread, n := middle(samples[w.peer], w.field)
		if n == 0 {
			return fmt.Errorf("%s: nothing was measured of %q", w.name, w.peer)
		}
		l.Peer, l.PeerSpread, l.Ratio = &peer, spread, new(ours/peer)
		if w.cpu != "" {
			a, _, _ := middle(samples[w.ours], w.cpu)
			b, _, _ := middle(samples[w.peer], w.cpu)
			l.CPURatio = new(a / b)
		}
	case w.base != "":
		base, spread, _ := middle(samples[w.ours], w.base)
		l.Peer, l.PeerName, l.PeerSpread, l.Ratio = &base, w.base, spread, new(ours/base)
	}
	return r.write(l)
}

// write completes a line by what all lines of a run share, and appends it to the file.
func (r *results) write(l line) error {
	l.Threads, l.Card, l.Time = r.threads, r.card, time.Now().UTC().Format(time.RFC3339)
	l.Processor, l.MKLAVX512, l.Overrides = processor(), r.MKLAVX512, r.Overrides
	r.lines = append(r.lines, l)
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = r.file.Write(append(b, '\n'))
	return err
}

func (r *results) close() error { return errors.Join(r.file.Sync(), r.file.Close()) }

// middle is the median of a field, the distance of its quartiles over it, and how many samples there are.
func middle(samples []sample, field string) (median, spread float64, n int) {
	var v []float64
	for _, s := range samples {
		if x, ok := s[field]; ok {
			v = append(v, x)
		}
	}
	if len(v) == 0 {
		return math.NaN(), 0, 0
	}
	slices.Sort(v)
	at := func(q float64) float64 {
		p := q * float64(len(v)-1)
		low := int(p)
		high := min(low+1, len(v)-1)
		return v[low] + (p-float64(low))*(v[high]-v[low])
	}
	if median = at(0.5); median != 0 {
		spread = (at(0.75) - at(0.25)) / median
	}
	return median, spread, len(v)
}

// print writes the table for people.
func (r *results) print(out io.Writer) {
	fmt.Fprintf(out, "%s; MKL's kernels for AVX-512 beyond PyTorch's: %t; GOLITE_OVERRIDES=%q\n",
		processor(), r.MKLAVX512, r.Overrides)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tours\t±\tpeer\t±\t\tratio\tby cpu\tgoal\t")
	for _, l := range r.lines {
		peer, spread, ratio, cpu, goal, verdict := "", "", "", "", "", ""
		if l.Peer != nil {
			peer, spread = figure(*l.Peer, l.Unit), percent(l.PeerSpread)
		}
		value := l.Ours
		if l.Ratio != nil {
			value = *l.Ratio
			ratio = fmt.Sprintf("%.3f", value)
		}
		if l.CPURatio != nil {
			cpu = fmt.Sprintf("%.3f", *l.CPURatio)
		}
		if l.Goal != nil {
			goal, verdict = fmt.Sprintf("%.4g", *l.Goal), "met"
			if value > *l.Goal {
				verdict = "missed"
			}
			if l.CPURatio != nil && (*l.CPURatio <= *l.Goal) != (value <= *l.Goal) {
				verdict += " (by cpu not)"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, figure(l.Ours, l.Unit), percent(l.Spread), peer, spread, l.PeerName,
			ratio, cpu, goal, verdict)
	}
	w.Flush()
}

func percent(v float64) string { return fmt.Sprintf("%.0f%%", 100*v) }

func figure(v float64, unit string) string {
	switch unit {
	case "bytes":
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	case "us":
		if v >= 1e4 {
			return fmt.Sprintf("%.1f ms", v/1e3)
		}
		return fmt.Sprintf("%.4g us", v)
	}
	return fmt.Sprintf("%.4g %s", v, unit)
}
