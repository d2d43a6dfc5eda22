package strategy_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// named is a strategy that has a name and nothing else.
type named struct{ name string }

func (n named) StrategyName() string { return n.name }

func (n named) Plan(r strategy.Request) (strategy.Plan, error) {
	return strategy.Plan{Ranks: strategy.OnePerDevice(r), Launcher: "here"}, nil
}

func (n named) Open(context.Context, *strategy.Env) (strategy.Session, error) {
	return nil, errors.New("a test's strategy")
}

func TestRegister(t *testing.T) {
	strategy.Register("Test_First", func() strategy.Strategy { return named{"test_first"} }, "test_alias")
	strategy.Register("test_second", func() strategy.Strategy { return named{"test_second"} })

	for _, name := range []string{"test_first", "TEST_FIRST", " test_first ", "test_alias"} {
		s, ok := strategy.New(name)
		require.True(t, ok, name)
		require.Equal(t, named{"test_first"}, s)
	}
	_, ok := strategy.New("test_third")
	require.False(t, ok)
	names := strategy.Names()
	at := slices.Index(names, "test_first")
	require.GreaterOrEqual(t, at, 0)
	require.Equal(t, "test_second", names[at+1], "in the order of registration, without aliases")
	require.NotContains(t, names, "test_alias")
}

func TestRefuse(t *testing.T) {
	strategy.Refuse("there is none; use another", "test_refused", "Test_Refused_Too")
	for _, name := range []string{"test_refused", "test_refused_too"} {
		problem, ok := strategy.Refused(name)
		require.True(t, ok, name)
		require.Equal(t, "there is none; use another", problem)
		_, ok = strategy.New(name)
		require.False(t, ok, name)
		require.NotContains(t, strategy.Names(), name)
	}
	_, ok := strategy.Refused("test_unknown")
	require.False(t, ok)
}

func TestRegisterPanics(t *testing.T) {
	make := func() strategy.Strategy { return named{"x"} }
	strategy.Register("test_taken", make)
	strategy.Refuse("no", "test_refused_before")
	for name, c := range map[string]struct {
		f    func()
		want []string
	}{
		"taken":           {func() { strategy.Register("Test_Taken", make) }, []string{`"Test_Taken"`, "TestRegisterPanics", "use another"}},
		"alias taken":     {func() { strategy.Register("test_free", make, "test_taken") }, []string{`"test_taken"`}},
		"refused before":  {func() { strategy.Register("test_refused_before", make) }, []string{`"test_refused_before"`}},
		"refuse of taken": {func() { strategy.Refuse("no", "test_taken") }, []string{"strategy.Refuse", `"test_taken"`}},
		"auto":            {func() { strategy.Register("auto", make) }, []string{"lite's own"}},
		"empty":           {func() { strategy.Register(" ", make) }, []string{"lite's own"}},
		"nil":             {func() { strategy.Register("test_nil", nil) }, []string{"the function is nil"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := torch.Try(c.f)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

// session has one part.
type session struct{ seeded uint64 }

func (s *session) SetupModule(context.Context, nn.Module, strategy.ModuleOptions) (strategy.Module, error) {
	return nil, nil
}
func (s *session) Close(error) error { return nil }
func (s *session) Seed(seed uint64)  { s.seeded = seed }

// open wraps a Session and keeps its parts, closed does not.
type open struct{ strategy.Session }

func (o open) Unwrap() any { return o.Session }

type closed struct{ strategy.Session }

func TestAs(t *testing.T) {
	inner := &session{}
	for name, c := range map[string]struct {
		v     any
		found bool
	}{
		"itself":        {inner, true},
		"wrapped":       {open{inner}, true},
		"wrapped twice": {open{open{inner}}, true},
		"hidden":        {closed{inner}, false},
		"nil":           {nil, false},
		"wraps nil":     {open{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, ok := strategy.As[strategy.Seeder](c.v)
			require.Equal(t, c.found, ok)
			if ok {
				s.Seed(7)
				require.EqualValues(t, 7, inner.seeded)
			}
			_, ok = strategy.As[strategy.Stepper](c.v)
			require.False(t, ok)
		})
	}
}

func TestOnePerDevice(t *testing.T) {
	gpu := func(i int) torch.Device { return torch.Device{Type: torch.CUDAType, Index: i} }
	ranks := strategy.OnePerDevice(strategy.Request{Devices: []torch.Device{gpu(2), gpu(0)}})
	require.Equal(t, [][]torch.Device{{gpu(2)}, {gpu(0)}}, ranks)
}
