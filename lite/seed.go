package lite

import (
	"fmt"
	"math/rand/v2"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/wire"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
	"github.com/golite/golite/torch/serial/pickle"
)

// SeedOptions are SeedEverything's optional arguments.
type SeedOptions struct {
	// NoWorkers leaves the workers of the loaders that are set up from now on to the loaders' own seeds, as PyTorch does:
	// these come from the default generator and so follow from the seed as well, but are the same on all ranks. Else the
	// rank is mixed into them (Fabric.seed_everything(workers=True)).
	NoWorkers bool
}

// SeedEverything makes the run reproducible: it seeds torch's default generators, the GPUs' too, alike on every rank,
// so that models start with equal weights; and, differently on each, RankGenerator and Rand. The seed is at most 2^32-1
// (libtorch's generator uses no more bits); a larger one panics. Go's global math/rand can't be seeded: use Rand.
//
// Lightning's writes the seed into environment variables; this doesn't: ranks that share a process share those.
func (l *Lite) SeedEverything(seed uint64, opts ...SeedOptions) {
	if seed > 1<<32-1 {
		torch.Fail("lite.SeedEverything", "the seed %d is more than 4294967295, and libtorch would cut it off silently", seed)
	}
	o := options.Must("lite.SeedEverything", opts, torch.Fail)
	l.seed, l.noWorkers = seed, o.NoWorkers
	torch.ManualSeed(seed)
	l.seedDevices(seed)
	l.parts.seed(seed)
	l.seedRank(mixSeed(seed, uint64(l.rank.GlobalRank)))
}

// seedDevices restarts the default generators of all devices, as torch.manual_seed does; of goroutine ranks each
// restarts that of its own device, as the others are other ranks'.
func (l *Lite) seedDevices(seed uint64) {
	accelerator.Seed(l.accelerator, seed, l.device)
	inProcess := l.rank.WorldSize > 1 && l.group.InProcess()
	for _, e := range accelerator.Entries() {
		own := e.Accelerator.Type() == l.device.Type
		if r, ok := e.Accelerator.(accelerator.Randomizer); ok && !(own && inProcess) {
			r.Seed(seed)
		}
	}
}

func (l *Lite) seedRank(mixed uint64) {
	l.rankGen.ManualSeed(mixed & (1<<32 - 1))
	l.pcg.Seed(mixed, l.seed)
}

// mixSeed gives each rank a seed of its own: neighbouring seeds and ranks end far apart (the finaliser of splitmix64).
func mixSeed(seed, rank uint64) uint64 {
	z := seed*0x9e3779b97f4a7c15 + (rank+1)*0xd1342543de82ef95
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// RankGenerator returns the random stream that differs from rank to rank: for a GAN's noise and the like. Its state is
// part of every checkpoint.
func (l *Lite) RankGenerator() *torch.Generator { return l.rankGen }

// Rand returns a source of Go's random numbers that differs from rank to rank and follows from the seed. Its state is
// part of every checkpoint.
func (l *Lite) Rand() *rand.Rand { return l.rand }

// initRandom makes the rank's streams, seeded at random until SeedEverything is called.
func (l *Lite) initRandom() {
	l.rankGen = torch.NewGeneratorOn(l.device, rand.Uint64()&(1<<32-1))
	l.pcg = rand.NewPCG(rand.Uint64(), rand.Uint64())
	l.rand = rand.New(l.pcg)
}

// reservedKey is the key of the run state, RNG states and scaler, that Save adds to every checkpoint.
const reservedKey = "golite"

// rngState is the states of one rank's random number generators.
type rngState struct {
	Default, Device, Rank, Rand []byte
	Strategy                    []byte // the state of a Stateful session, packed
}

func (l *Lite) ownRNGState() (s rngState, err error) {
	torch.Scope(func() {
		s.Default = torch.DefaultGenerator(torch.CPU).State().ToBytes()
		s.Rank = l.rankGen.State().ToBytes()
		if g := accelerator.Generator(l.accelerator, l.device); g != nil {
			s.Device = g.State().ToBytes()
		}
		if l.parts.state != nil {
			err = guard(func() error { s.Strategy = wire.Pack("lite.Save", l.parts.state.StateDict()); return nil })
		}
	})
	s.Rand, _ = l.pcg.MarshalBinary() // it has no way to fail
	return s, err
}

// gatherRNGStates returns the states of all ranks, on each of them.
func (l *Lite) gatherRNGStates() ([]rngState, error) {
	own, err := l.ownRNGState()
	return AllGather(l, own), err
}

// runState is what stands under the reserved key: tensors, numbers and text, so that Python reads it too.
func (l *Lite) runState(all []rngState) map[string]any {
	ranks := make([]any, len(all))
	for i, s := range all {
		r := map[string]any{"default": torch.From(s.Default), "rank": torch.From(s.Rank), "rand": torch.From(s.Rand)}
		if len(s.Device) > 0 {
			r["device"] = torch.From(s.Device)
		}
		if len(s.Strategy) > 0 {
			r["strategy"] = wire.Unpack[map[string]any]("lite.Save", s.Strategy)
		}
		ranks[i] = r
	}
	state := map[string]any{
		"format": 1, "world_size": l.rank.WorldSize, "precision": l.precision.Name(), "seed": int(l.seed), "streams": ranks,
	}
	if s := l.precision.Scaler(); s != nil {
		state["scaler"] = s.StateDict()
	}
	return state
}

// setRunState restores scaler and generators. A file without them, from Python, changes nothing.
func (l *Lite) setRunState(v any) error {
	state, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	if s := l.precision.Scaler(); s != nil {
		if d, ok := state["scaler"].(map[string]any); ok {
			if err := s.LoadStateDict(d); err != nil {
				return err
			}
		}
	}
	ranks, _ := state["streams"].([]any)
	if len(ranks) != l.rank.WorldSize {
		if len(ranks) > 0 && l.IsGlobalZero() {
			l.log.Warn(fmt.Sprintf("the checkpoint is of another number of ranks, %d in place of %d: the random streams and the strategy's state of its ranks are not restored, "+
				"and loaders divide what is left of their passes anew", len(ranks), l.rank.WorldSize))
		}
		return nil
	}
	r, ok := ranks[l.rank.GlobalRank].(map[string]any)
	if !ok {
		return fmt.Errorf("the random streams of rank %d are damaged", l.rank.GlobalRank)
	}
	return l.setRNGState(r)
}

func (l *Lite) setRNGState(r map[string]any) error {
	get := func(key string) *torch.Tensor { t, _ := r[key].(*torch.Tensor); return t }
	if t := get("rand"); t != nil {
		if err := l.pcg.UnmarshalBinary(t.ToBytes()); err != nil {
			return fmt.Errorf("the state of Go's random numbers is damaged: %w", err)
		}
	}
	if err := l.setStrategyState(r); err != nil {
		return err
	}
	foreign := false
	restore := func(g *torch.Generator, state *torch.Tensor) {
		switch {
		case state == nil:
		case state.Numel() == g.State().Numel():
			g.SetState(state)
		default:
			foreign = true
		}
	}
	err := torch.Try(func() {
		restore(torch.DefaultGenerator(torch.CPU), get("default"))
		restore(l.rankGen, get("rank"))
		if g := accelerator.Generator(l.accelerator, l.device); g != nil {
			restore(g, get("device"))
		}
	})
	if foreign {
		l.log.Warn("the checkpoint is of another kind of device, which draws random numbers in its own way: streams of that kind are not restored")
	}
	return err
}

// setStrategyState restores the state of a Stateful session.
func (l *Lite) setStrategyState(r map[string]any) error {
	state, ok := r["strategy"].(map[string]any)
	if old, is := r["replicas"]; is && !ok { // where earlier versions kept that of "dp"
		state, ok = map[string]any{"replicas": old}, true
	}
	if !ok || l.parts.state == nil {
		return nil
	}
	if err := guard(func() error { return l.parts.state.LoadStateDict(state) }); err != nil {
		return fmt.Errorf("the state of strategy %q: %w", l.strategy, err)
	}
	return nil
}

// goValue converts what package serial reads into Go's own types: dictionaries with names into map[string]any, those
// with numbers into map[int]any, ordered dictionaries of tensors into *torch.StateDict.
func goValue(v any) any {
	switch v := v.(type) {
	case *serial.Dict:
		return goDict(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = goValue(v[i])
		}
		return out
	case serial.Tuple:
		out := make(serial.Tuple, len(v))
		for i := range v {
			out[i] = goValue(v[i])
		}
		return out
	}
	return v
}

func goDict(d *serial.Dict) any {
	names, numbers, tensors := 0, 0, 0
	for k, v := range d.All() {
		switch k.(type) {
		case string:
			names++
		case int:
			numbers++
		}
		if _, ok := v.(*torch.Tensor); ok {
			tensors++
		}
	}
	switch n := d.Len(); {
	case names == n && tensors == n && d.Kind == pickle.OrderedDict:
		sd := &torch.StateDict{}
		for k, v := range d.All() {
			sd.Set(k.(string), v.(*torch.Tensor))
		}
		return sd
	case names == n:
		m := make(map[string]any, n)
		for k, v := range d.All() {
			m[k.(string)] = goValue(v)
		}
		return m
	case numbers == n:
		m := make(map[int]any, n)
		for k, v := range d.All() {
			m[k.(int)] = goValue(v)
		}
		return m
	}
	return d
}
