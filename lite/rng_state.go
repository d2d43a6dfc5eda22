package lite

import (
	"fmt"

	"github.com/golite/golite/internal/wire"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
	"github.com/golite/golite/torch/serial/pickle"
)

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
