package lite_test

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// pairs is a batch sampler of the program's own, which draws from a generator.
type pairs struct {
	s *sampler.Random
}

func (p pairs) Len() int                    { return p.s.Len() / 2 }
func (p pairs) Generator() *torch.Generator { return p.s.Generator() }
func (p pairs) Batches() iter.Seq[[]int]    { return sampler.NewBatch(p.s, 2, false).Batches() }

// TestOwnGeneratorsAreResumedOnSeveralRanks: a later pass of a sampler that draws from a generator goes on in its own
// order, by any number of ranks.
func TestOwnGeneratorsAreResumedOnSeveralRanks(t *testing.T) {
	const n, passes, last = 24, 3, 2 // two passes, and two batches of the third
	loaders := map[string]func() *data.Loader[*torch.Tensor]{
		"sampler": func() *data.Loader[*torch.Tensor] {
			s := sampler.NewRandom(n, sampler.RandomOptions{Generator: torch.NewGenerator(5)})
			return data.NewLoader[*torch.Tensor](counted(n), 2, data.Options{Sampler: s})
		},
		"subset": func() *data.Loader[*torch.Tensor] {
			all := make([]int, n)
			for i := range all {
				all[i] = i
			}
			o := data.Options{Sampler: sampler.NewSubsetRandom(all, torch.NewGenerator(5))}
			return data.NewLoader[*torch.Tensor](counted(n), 2, o)
		},
		"batch sampler": func() *data.Loader[*torch.Tensor] {
			s := sampler.NewRandom(n, sampler.RandomOptions{Generator: torch.NewGenerator(5)})
			return data.NewLoader[*torch.Tensor](counted(n), 0, data.Options{BatchSampler: pairs{s}})
		},
	}
	for kind, loader := range loaders {
		for _, worlds := range [][2]int{{1, 1}, {2, 2}, {2, 1}, {1, 2}, {3, 2}} {
			t.Run(fmt.Sprintf("%s/%v", kind, worlds), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "state.pt")
				read := func(world int, resume, stop bool) (order [][]int) {
					require.NoError(t, spawn(t, lite.DDPSpawn{}, world, func(l *lite.Lite) error {
						ld, err := lite.SetupDataLoader(l, loader())
						if err != nil {
							return err
						}
						pass := 0
						state := lite.State{"loader": ld, "pass": &pass}
						if resume {
							if _, err := l.Load(path, state); err != nil {
								return err
							}
						}
						var mine []int
						for ; pass < passes; pass++ {
							batches := 0
							for b, err := range ld.Batches(context.Background()) {
								if err != nil {
									return err
								}
								if pass == passes-1 {
									for _, v := range torch.ToSlice[int64](b) {
										mine = append(mine, int(v))
									}
								}
								if batches++; stop && pass == passes-1 && batches == last {
									if err := l.Save(path, state); err != nil {
										return err
									}
									break
								}
							}
						}
						if all := lite.AllGather(l, mine); l.IsGlobalZero() {
							order = all
						}
						return nil
					}))
					return order
				}
				begun := read(worlds[0], false, true)
				rest := read(worlds[1], true, false)
				every := slices.Concat(slices.Concat(begun...), slices.Concat(rest...))
				slices.Sort(every)
				for i := range n {
					require.Contains(t, every, i, "%v, then %v", begun, rest)
				}
				require.Len(t, slices.Compact(every), n)
				if worlds[0] == worlds[1] {
					for r, whole := range read(worlds[0], false, false) {
						require.Equal(t, whole, slices.Concat(begun[r], rest[r]), "rank %d", r)
					}
				}
			})
		}
	}
}
