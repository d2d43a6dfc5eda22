package accelerator_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
)

// named is an accelerator that has a name, and devices of a type that nothing else here has.
type named string

func (n named) Name() string           { return string(n) }
func (named) Type() torch.DeviceType   { return torch.XPUType }
func (named) Probe() ([]string, error) { return nil, errors.New("no XPU") }
func (n named) Select(r accelerator.Request) ([]torch.Device, error) {
	return accelerator.Indexed(n.Type(), 3, r)
}

// names are those of the entries.
func names() (list []string) {
	for _, e := range accelerator.Entries() {
		list = append(list, e.Accelerator.Name())
	}
	return list
}

func TestRegister(t *testing.T) {
	for _, name := range []named{"test_second", "test_first"} {
		accelerator.Register(accelerator.Entry{Accelerator: name, Aliases: []string{"test_alias"}})
	}
	require.Equal(t, []string{"test_first", "test_second"}, names(), "sorted; an alias is shared")

	accelerator.Refuse("there is none; use another", "test_refused", "Test_Refused_Too")
	for _, name := range []string{"test_refused", " TEST_refused_too"} {
		problem, ok := accelerator.Refused(name)
		require.True(t, ok, name)
		require.Equal(t, "there is none; use another", problem)
	}
	_, ok := accelerator.Refused("test_first")
	require.False(t, ok)

	before := names()
	register := func(name string, aliases ...string) func() {
		return func() { accelerator.Register(accelerator.Entry{Accelerator: named(name), Aliases: aliases}) }
	}
	for name, c := range map[string]struct {
		f    func()
		want string
	}{
		"taken":                   {register("Test_First"), "test_first was registered by"},
		"named as an alias":       {register("test_alias"), "test_alias was registered by"},
		"an alias that is a name": {register("test_third", "Test_Second"), "test_second was registered by"},
		"refused before":          {register("test_refused"), "test_refused was given to Refuse"},
		"an alias refused before": {register("test_third", "test_refused"), "test_refused was given to Refuse"},
		"refuse of taken":         {func() { accelerator.Refuse("no", "test_second") }, "test_second was registered by"},
		"auto":                    {register("Auto"), "lite's own"},
		"empty":                   {register(" "), "lite's own"},
		"nil":                     {func() { accelerator.Register(accelerator.Entry{}) }, "the Accelerator is nil"},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorContains(t, torch.Try(c.f), c.want) })
	}
	require.Equal(t, before, names(), "what was refused left nothing")
}

func TestIndexed(t *testing.T) {
	for name, c := range map[string]struct {
		devices  accelerator.Devices
		visible  int
		external bool
		want     []int
		problem  string
	}{
		"none given":                {"", 3, false, []int{0, 1, 2}, ""},
		"auto":                      {"auto", 3, false, []int{0, 1, 2}, ""},
		"all":                       {"-1", 2, false, []int{0, 1}, ""},
		"a count":                   {"2", 3, false, []int{0, 1}, ""},
		"a list":                    {"2, 0", 3, false, []int{2, 0}, ""},
		"too many":                  {"4", 3, false, nil, "asks for xpu:3: indices of the 3 visible go from 0 to 2"},
		"an index too high":         {"3,", 3, false, nil, "asks for xpu:3: indices of the 3 visible go from 0 to 2"},
		"none":                      {"0", 3, false, nil, `no device, but accelerator="x" (from a test): leave one of the two out`},
		"an engine, one visible":    {"3", 1, true, []int{0, 0, 0}, ""},
		"an engine, all visible":    {"2", 2, true, []int{0, 1}, ""},
		"no engine, one visible":    {"3", 1, false, nil, "asks for xpu:1: indices of the 1 visible go from 0 to 0"},
		"an engine, a list of more": {"1,", 1, true, nil, "asks for xpu:1"},
	} {
		t.Run(name, func(t *testing.T) {
			spec, err := c.devices.Parse()
			require.NoError(t, err)
			r := accelerator.Request{Devices: spec, Given: `accelerator="x" (from a test)`, External: c.external}
			devices, err := accelerator.Indexed(torch.XPUType, c.visible, r)
			if c.problem != "" {
				require.ErrorContains(t, err, c.problem)
				require.Nil(t, devices)
				return
			}
			require.NoError(t, err)
			var got []int
			for _, d := range devices {
				require.Equal(t, torch.XPUType, d.Type)
				got = append(got, d.Index)
			}
			require.Equal(t, c.want, got)
		})
	}
}

// bare has no optional part, full has those with a default that can be seen on a CPU.
type bare struct{ named }

type full struct {
	named
	calls *[]string
}

func (f full) note(call string)                        { *f.calls = append(*f.calls, call) }
func (f full) With(_ torch.Device, body func())        { f.note("With"); body() }
func (f full) Backend() (string, string)               { return "gloo", "" }
func (f full) Seed(uint64, ...torch.Device)            { f.note("Seed") }
func (f full) Generator(torch.Device) *torch.Generator { f.note("Generator"); return nil }
func (f full) Move(t *torch.Tensor, d torch.Device) *torch.Tensor {
	f.note("Move")
	return t.To(d)
}

func TestDefaults(t *testing.T) {
	torch.RunRank(func() {
		b := bare{"npu"}
		ran := false
		accelerator.With(b, torch.CPU, func() { ran = true })
		require.True(t, ran)
		name, reason := accelerator.Backend(b)
		require.Empty(t, name)
		require.Equal(t, `accelerator "npu" runs one rank: use strategy "single_device", or accelerator "cpu"`, reason)
		require.Equal(t, torch.DefaultGenerator(torch.CPU), accelerator.Generator(b, torch.CPU))
		accelerator.Seed(b, 7, torch.CPU)
		first := torch.Rand(3)
		accelerator.Seed(b, 7, torch.CPU)
		require.Equal(t, torch.ToSlice[float32](first), torch.ToSlice[float32](torch.Rand(3)))
		require.Same(t, first, accelerator.Move(b, first, torch.CPU))
		require.Equal(t, torch.Meta, accelerator.Move(b, first, torch.Meta).Device())

		var calls []string
		f := full{"npu", &calls}
		accelerator.With(f, torch.CPU, func() { calls = append(calls, "body") })
		name, reason = accelerator.Backend(f)
		require.Equal(t, []string{"gloo", ""}, []string{name, reason})
		accelerator.Seed(f, 7)
		require.Nil(t, accelerator.Generator(f, torch.CPU))
		require.Same(t, first, accelerator.Move(f, first, torch.CPU), "it is there")
		require.Equal(t, torch.Meta, accelerator.Move(f, first, torch.Meta).Device())
		require.Equal(t, []string{"With", "body", "Seed", "Generator", "Move"}, calls)
	})
}
