package torch

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// elsewhere runs f on another goroutine and waits for it.
func elsewhere(f func()) {
	var wg sync.WaitGroup
	wg.Go(f)
	wg.Wait()
}

func TestForkCarriesTheCallersModes(t *testing.T) {
	look := func() (state [4]any) {
		k := NewThreadContext()
		elsewhere(func() {
			k.Do(func() {
				state = [4]any{GradEnabled(), InferenceEnabled(), Ones(1).DType(), Ones(1).Device()}
			})
		})
		k.Join()
		return state
	}
	require.Equal(t, [4]any{true, false, Float32, CPU}, look())
	NoGrad(func() { require.Equal(t, [4]any{false, false, Float32, CPU}, look()) })
	InferenceMode(func() { require.Equal(t, [4]any{false, true, Float32, CPU}, look()) })
	WithDevice(Meta, func() { require.Equal(t, [4]any{true, false, Float32, Meta}, look()) })
	WithDefaultDType(Float64, func() { require.Equal(t, [4]any{true, false, Float64, CPU}, look()) })
	elsewhere(func() {
		require.True(t, GradEnabled())
		require.Equal(t, Float32, DefaultDType())
	})
}

// What several goroutines make belongs to the scope of the one that forked, also where one of them panics.
func TestForkJoinsTheCallersScope(t *testing.T) {
	before := LiveTensors()
	const n = 4
	made := make([]*Tensor, n)
	innermost := make([]*Tensor, n)
	Scope(func() {
		var result *Tensor
		outer := ScopeOf(func() *Tensor {
			k := NewThreadContext()
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					_ = Try(func() {
						k.Do(func() {
							made[i] = Ones(3)
							Scope(func() { innermost[i] = Ones(2) })
							if i == 3 {
								Fail("test", "on purpose")
							}
						})
					})
				})
			}
			wg.Wait()
			require.False(t, made[3].Released(), "it lives until Join")
			k.Join()
			result = made[0].Add(made[1])
			return made[2]
		})
		require.True(t, made[0].Released())
		require.True(t, made[3].Released())
		require.True(t, result.Released())
		require.True(t, innermost[0].Released())
		require.Equal(t, 3.0, outer.Sum().Item(), "what the scope returns goes to the one around")
	})
	require.True(t, made[2].Released())
	require.LessOrEqual(t, LiveTensors(), before)
}

// Without a scope of the caller's the collector has what is made, wherever the other goroutine is.
func TestForkWithoutAScope(t *testing.T) {
	k := NewThreadContext()
	var x *Tensor
	elsewhere(func() { Scope(func() { k.Do(func() { x = Ones(3) }) }) })
	k.Join()
	require.Equal(t, 3.0, x.Sum().Item())
	runtime.KeepAlive(x)
}
