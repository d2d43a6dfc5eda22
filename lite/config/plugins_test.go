package config

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/lite/strategy"
	strategies "github.com/golite/golite/lite/strategy/builtin"
	"github.com/golite/golite/torch"
)

// own is a program's own strategy, which plans what the test says.
type own struct {
	plan strategy.Plan
	err  error
}

func (own) StrategyName() string                           { return "own" }
func (o own) Plan(strategy.Request) (strategy.Plan, error) { return o.plan, o.err }
func (own) Open(context.Context, *strategy.Env) (strategy.Session, error) {
	return nil, errors.New("a Plan opens nothing")
}

// pointed is a strategy by its pointer alone.
type pointed struct{ own }

func (p *pointed) Plan(r strategy.Request) (strategy.Plan, error) {
	return strategy.Plan{Ranks: strategy.OnePerDevice(r), Launcher: "goroutines", Timeout: time.Second}, nil
}

// TestOwnStrategy: a value that implements the interface is a strategy as golite's are, given by itself or as a plugin.
func TestOwnStrategy(t *testing.T) {
	s := &pointed{}
	for _, cfg := range []Config{{Strategy: s, Devices: "2"}, {Plugins: []any{s}, Devices: "2"}} {
		p, err := Resolve(cfg, box{})
		require.NoError(t, err)
		require.Same(t, s, p.Strategy)
		require.Equal(t, [][]torch.Device{{torch.CPU}, {torch.CPU}}, p.Ranks)
		require.Equal(t, "goroutines", p.Launcher)
		require.Equal(t, "gloo", p.Backend)
		require.Equal(t, time.Second, p.Timeout)
		require.Equal(t, cluster.Placement{MainAddress: "127.0.0.1", WorldSize: 2, LocalWorldSize: 2}, p.Placement)
	}

	one := strategy.Plan{Ranks: [][]torch.Device{{torch.CPU}}, Launcher: "here"}
	p, err := Resolve(Config{Strategy: own{plan: strategy.Plan{Warnings: []string{"a"}, Instead: own{plan: one}}}}, box{})
	require.NoError(t, err)
	require.Equal(t, own{plan: one}, p.Strategy)
	require.Equal(t, []string{"a"}, p.Warnings)
	p, err = Resolve(Config{Strategy: own{plan: strategy.Plan{Ranks: one.Ranks, Backend: "mine"}}}, box{})
	require.NoError(t, err)
	require.Equal(t, "here", p.Launcher, "one rank and no launcher")
	require.Equal(t, "mine", p.Backend)

	circle := &pointed{}
	for _, c := range []struct {
		s    strategy.Strategy
		text string
	}{
		{own{err: errors.New("want a full moon")}, `strategy="own" (from Config.Strategy): want a full moon; this machine has 4 CPU cores`},
		{own{}, "its Plan has ranks without a device: []"},
		{own{plan: strategy.Plan{Ranks: [][]torch.Device{{torch.CPU}, {}}}}, "its Plan has ranks without a device"},
		{own{plan: strategy.Plan{Ranks: [][]torch.Device{{torch.CPU}, {torch.CPU}}, Launcher: "here"}}, `its Plan has 2 ranks and launcher "here"`},
		{own{plan: strategy.Plan{Ranks: one.Ranks, Launcher: "rocket"}}, `its Plan has launcher "rocket": want "here", "goroutines", "processes" or one that was registered`},
		{own{plan: strategy.Plan{Instead: again{}}}, `4 strategies in a row ask for another in their place, the last for "again"`},
		{(*pointed)(nil), "the *pointed is nil: give a pointed{...}"},
	} {
		_, err := Resolve(Config{Strategy: c.s}, box{})
		require.ErrorContains(t, err, c.text)
	}
	_, err = Resolve(Config{Strategy: circle, Timeout: time.Minute}, box{})
	require.ErrorContains(t, err, `strategy="own" (from Config.Strategy): its Timeout is 1s, and timeout=1m0s is given as well (from Config.Timeout)`)
}

// again asks for itself in its place.
type again struct{ own }

func (again) StrategyName() string { return "again" }
func (again) Plan(strategy.Request) (strategy.Plan, error) {
	return strategy.Plan{Instead: again{}}, nil
}

// TestOwnAccelerator: an accelerator is given by its value, as a plugin, or by the names that it was registered under.
func TestOwnAccelerator(t *testing.T) {
	two := npu{n: 2}
	registered := box{gpus: 1, others: []accelerator.Entry{{Accelerator: two, Aliases: []string{"Neural"}, Priority: -1}}}
	for name, c := range map[string]struct {
		cfg Config
		box box
	}{
		"a value":              {Config{Accelerator: two}, box{}},
		"a value beside GPUs":  {Config{Accelerator: two}, box{gpus: 4}},
		"a value and gpus":     {Config{Accelerator: two, GPUs: "2"}, box{}},
		"a pointer":            {Config{Accelerator: &two}, box{}},
		"a plugin":             {Config{Plugins: []any{two}}, box{}},
		"a plugin and devices": {Config{Plugins: []any{two}, Devices: "2"}, box{}},
		"a name":               {Config{Accelerator: "NPU"}, registered},
		"an alias":             {Config{Accelerator: "neural", Devices: "0,1"}, registered},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Resolve(c.cfg, c.box)
			require.NoError(t, err)
			require.Equal(t, "npu", p.Accelerator.Name())
			require.Equal(t, [][]torch.Device{{{Type: torch.XPUType}}, {{Type: torch.XPUType, Index: 1}}}, p.Ranks)
			require.Equal(t, strategies.DDP{}, p.Strategy)
			require.Equal(t, "ring", p.Backend)
		})
	}
	p, err := Resolve(Config{Accelerator: "auto"}, registered)
	require.NoError(t, err)
	require.Equal(t, "cuda", p.Accelerator.Name(), "a negative priority is never auto")
	p, err = Resolve(Config{Accelerator: two}, box{env: map[string]string{"LITE_ACCELERATOR": "cpu"}})
	require.NoError(t, err)
	require.Equal(t, "cpu", p.Accelerator.Name(), "a later place replaces a value")

	const missing = `accelerator="npu" (from Config.Accelerator): there is no NPU (the driver is missing); use accelerator "cpu" or "auto"`
	const names = "no such accelerator: the names are auto, cpu, gpu, cuda, mps"
	for _, c := range []struct {
		cfg  Config
		box  box
		text string
	}{
		{Config{Accelerator: npu{broken: true}}, box{}, missing},
		{Config{Accelerator: npu{}}, box{}, `there is no device of accelerator "npu"; use accelerator "cpu" or "auto"`},
		{Config{Plugins: []any{two}, Devices: "3"}, box{}, "asks for xpu:2: indices of the 2 visible go from 0 to 1"},
		{Config{Plugins: []any{two}, Devices: "0"}, box{}, `no device, but accelerator="npu" (from Config.Plugins[0])`},
		{Config{Plugins: []any{two}, Accelerator: "cpu"}, box{},
			"an accelerator is given as well by Config.Accelerator: give one of the two"},
		{Config{Plugins: []any{two}, GPUs: "1"}, box{}, "an accelerator is given as well by Config.GPUs: give one of the two"},
		{Config{Plugins: []any{two, two}}, box{}, "(from Config.Plugins[1]): this is the second accelerator"},
		{Config{Accelerator: two, GPUs: "0"}, box{}, `accelerator="npu" is given as well (from Config.Accelerator)`},
		{Config{Accelerator: lonely{two}}, box{}, `accelerator "npu" runs one rank: use strategy "single_device"`},
		{Config{Accelerator: "cuda", TPUCores: "1"}, box{gpus: 1},
			`tpu_cores="1" (from Config.TPUCores): accelerator="cuda" is given as well (from Config.Accelerator)`},
		{Config{Accelerator: (*npu)(nil)}, box{}, "the *config.npu is nil"},
		{Config{Accelerator: (*npu)(nil), GPUs: "1"}, box{}, "the *config.npu is nil"},
		{Config{Accelerator: "neural"}, box{}, names},
		{Config{Accelerator: "neuron"}, registered, names + ", Neural, npu"},
	} {
		_, err := Resolve(c.cfg, c.box)
		require.ErrorContains(t, err, c.text)
	}
}

// TestPluginOfSeveralKinds: a value serves as all that it implements.
func TestPluginOfSeveralKinds(t *testing.T) {
	both := struct {
		cluster.Environment
		checkpointIO
	}{cluster.NewLocal(nil), nil}
	p, err := Resolve(Config{Plugins: []any{both}}, box{})
	require.NoError(t, err)
	require.Equal(t, both, p.Environment)
	require.Equal(t, both, p.IO)
	_, err = Resolve(Config{Plugins: []any{both, files{}}}, box{})
	require.ErrorContains(t, err, "(from Config.Plugins[1]): this is the second checkpoint I/O")
}
