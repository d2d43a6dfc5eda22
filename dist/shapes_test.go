package dist_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
)

// counting is 0, 1, 2... in a shape.
func counting(shape ...int) *torch.Tensor {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return torch.Arange(float64(n)).To(torch.Float32).Reshape(shape...)
}

// TestShapesOfWholesAndParts: a tensor for all ranks is its parts joined or stacked, on every backend, and contiguous
// or not.
func TestShapesOfWholesAndParts(t *testing.T) {
	const n = 2
	for name, c := range map[string]struct{ whole, part []int }{
		"joined":             {[]int{4}, []int{2}},
		"stacked":            {[]int{2, 2}, []int{2}},
		"matrices, joined":   {[]int{4, 3}, []int{2, 3}},
		"matrices, stacked":  {[]int{2, 2, 3}, []int{2, 3}},
		"matrices, flat":     {[]int{12}, []int{2, 3}},
		"a flat part":        {[]int{2, 6}, []int{6}},
		"scalars":            {[]int{2}, nil},
		"scalars, stacked":   {[]int{2, 1}, nil},
		"nothing":            {[]int{0}, []int{0}},
		"nothing, in a row":  {[]int{2, 0}, []int{0}},
		"rows without items": {[]int{4, 0}, []int{2, 0}},
	} {
		for _, kind := range ranktest.AllKinds {
			for _, dtype := range []torch.DType{torch.Float32, torch.Int16} {
				t.Run(fmt.Sprintf("%s/%s/%v", name, kind, dtype), func(t *testing.T) {
					ranktest.RequireNone(t, ranktest.Run(t, kind, n, dist.Options{}, func(_ context.Context, g *dist.Group) error {
						whole, part := counting(c.whole...).To(dtype), counting(c.part...).To(dtype)
						for _, strided := range []bool{false, true} {
							layout := func(t *torch.Tensor) *torch.Tensor {
								if last := t.Dim() - 1; strided && last >= 0 {
									wide := torch.Cat([]*torch.Tensor{t, t}, last)
									return wide.Narrow(last, 0, t.Size(-1))
								}
								return t.Clone()
							}
							sum := g.ReduceScatterTensor(layout(torch.ZerosLike(part)), layout(whole), dist.Sum)
							all := g.AllGatherInto(layout(torch.ZerosLike(whole)), layout(part.AddScalar(float64(10*g.Rank()))))
							var wantSum, wantAll []float32
							size := whole.Numel() / n
							for i := range size {
								wantSum = append(wantSum, float32(n*(g.Rank()*size+i)))
							}
							for r := range n {
								for i := range size {
									wantAll = append(wantAll, float32(10*r+i))
								}
							}
							if got := floats(sum.To(torch.Float32).Contiguous()); !slices.Equal(got, wantSum) ||
								!slices.Equal(sum.Shape(), part.Shape()) {
								return fmt.Errorf("ReduceScatterTensor gives %v %v, want %v", sum.Shape(), got, wantSum)
							}
							if got := floats(all.To(torch.Float32).Contiguous()); !slices.Equal(got, wantAll) ||
								!slices.Equal(all.Shape(), whole.Shape()) {
								return fmt.Errorf("AllGatherInto gives %v %v, want %v", all.Shape(), got, wantAll)
							}
						}
						return nil
					}))
				})
			}
		}
	}
}

// TestShapesThatAreRefused are so on every backend before anything is sent: one rank's mistake leaves the others as
// they are.
func TestShapesThatAreRefused(t *testing.T) {
	double := func(shape ...int) *torch.Tensor { return torch.Options{DType: torch.Float64}.Zeros(shape...) }
	list := func(t ...*torch.Tensor) []*torch.Tensor { return t }
	z := torch.Zeros
	for name, c := range map[string]struct {
		want string
		call func(g *dist.Group)
	}{
		"ReduceScatterTensor, short": {"the tensor is [3], and out [2]: want 2 times as many elements",
			func(g *dist.Group) { g.ReduceScatterTensor(z(2), z(3), dist.Sum) }},
		"ReduceScatterTensor, long": {"the tensor is [2 3], and out [2]: want 2 times",
			func(g *dist.Group) { g.ReduceScatterTensor(z(2), z(2, 3), dist.Sum) }},
		"ReduceScatterTensor, dtype": {"tensors of float64 and float32: want one dtype",
			func(g *dist.Group) { g.ReduceScatterTensor(z(2), double(4), dist.Sum) }},
		"ReduceScatterTensor, device": {"tensors on cpu and meta: want one device", func(g *dist.Group) {
			g.ReduceScatterTensor(torch.Options{Device: torch.Meta}.Zeros(2), z(4), dist.Sum)
		}},
		"ReduceScatterTensor, nil": {"a tensor is nil", func(g *dist.Group) { g.ReduceScatterTensor(nil, z(4), dist.Sum) }},
		"AllGatherInto, short": {"out is [3], and the tensor [2]: want 2 times as many elements",
			func(g *dist.Group) { g.AllGatherInto(z(3), z(2)) }},
		"AllGatherInto, dtype": {"want one dtype", func(g *dist.Group) { g.AllGatherInto(double(4), z(2)) }},
		"ReduceScatter, shape": {"tensor 1 of the list is [1 2], and out [2]: want equal shapes",
			func(g *dist.Group) { g.ReduceScatter(z(2), list(z(2), z(1, 2)), dist.Sum) }},
		"ReduceScatter, dtype": {"want one dtype", func(g *dist.Group) {
			g.ReduceScatter(z(2), list(z(2), double(2)),
				dist.Sum)
		}},
		"Scatter, shape": {"tensor 0 of the list is [3], and out [2]: want equal shapes",
			func(g *dist.Group) { g.Scatter(z(2), list(z(3), z(2)), g.Rank()) }},
		"Scatter, dtype": {"want one dtype", func(g *dist.Group) {
			g.Scatter(z(2), list(z(2), double(2)),
				g.Rank())
		}},
		"AllToAll, dtype": {"want one dtype",
			func(g *dist.Group) { g.AllToAll(list(z(2), z(2)), list(z(2), double(2))) }},
		"AllToAll, nil": {"a tensor is nil",
			func(g *dist.Group) { g.AllToAll(list(z(2), nil), list(z(2), z(2))) }},
		"AllToAllSingle, rows": {"in is [3 2]: want a multiple of 2 rows",
			func(g *dist.Group) { g.AllToAllSingle(z(3, 2), z(3, 2), nil, nil) }},
		"AllToAllSingle, elements": {"out is [2], and in [4]: want as many elements",
			func(g *dist.Group) { g.AllToAllSingle(z(2), z(4), nil, nil) }},
		"AllToAllSingle, scalar": {"in is a scalar", func(g *dist.Group) { g.AllToAllSingle(z(), z(), nil, nil) }},
		"AllToAllSingle, dtype":  {"want one dtype", func(g *dist.Group) { g.AllToAllSingle(double(4), z(4), nil, nil) }},
		"AllToAllSingle, count": {"want 2 lengths of in, one for each rank, got 3",
			func(g *dist.Group) { g.AllToAllSingle(z(4), z(4), []int{1, 1, 2}, []int{2, 2}) }},
		"AllToAllSingle, sum": {"the lengths of out are [1 1], 2 rows in all: want 4",
			func(g *dist.Group) { g.AllToAllSingle(z(4), z(4), []int{2, 2}, []int{1, 1}) }},
		"AllToAllSingle, negative": {"want none below 0", func(g *dist.Group) {
			g.AllToAllSingle(z(4), z(4), []int{5, -1},
				[]int{2, 2})
		}},
	} {
		for _, kind := range ranktest.AllKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				ranktest.RequireNone(t, ranktest.Run(t, kind, 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
					if g.Rank() == 0 {
						err := torch.Try(func() { c.call(g) })
						if err == nil || !strings.Contains(err.Error(), c.want) {
							return fmt.Errorf("got %w, want %s", err, c.want)
						}
					}
					if sum := g.AllReduce(filled(1, 1), dist.Sum).Item(); sum != 2 {
						return fmt.Errorf("the sum afterwards is %v", sum)
					}
					return nil
				}))
			})
		}
	}
}

// writes are collectives, with what they read and what they write on rank 0 of 2.
var writes = map[string]func(g *dist.Group, in, out *torch.Tensor) (reads, written []*torch.Tensor){
	"AllReduce": func(g *dist.Group, in, _ *torch.Tensor) (_, _ []*torch.Tensor) {
		return nil, []*torch.Tensor{g.AllReduce(in, dist.Sum)}
	},
	"AllReduceAsync": func(g *dist.Group, in, _ *torch.Tensor) (_, _ []*torch.Tensor) {
		if err := g.AllReduceAsync(in, dist.Sum).Wait(context.Background()); err != nil {
			panic(err)
		}
		return nil, []*torch.Tensor{in}
	},
	"Broadcast": func(g *dist.Group, in, _ *torch.Tensor) (_, _ []*torch.Tensor) {
		return nil, []*torch.Tensor{g.Broadcast(in, 1)}
	},
	"Broadcast from here": func(g *dist.Group, in, _ *torch.Tensor) (_, _ []*torch.Tensor) {
		return []*torch.Tensor{g.Broadcast(in, 0)}, nil
	},
	"Reduce": func(g *dist.Group, in, _ *torch.Tensor) (_, _ []*torch.Tensor) {
		return nil, []*torch.Tensor{g.Reduce(in, 0, dist.Sum)}
	},
	"Reduce to another": func(g *dist.Group, in, _ *torch.Tensor) (_, _ []*torch.Tensor) {
		return []*torch.Tensor{g.Reduce(in, 1, dist.Sum)}, nil
	},
	"AllGather": func(g *dist.Group, in, _ *torch.Tensor) (_, _ []*torch.Tensor) {
		g.AllGather(in)
		return []*torch.Tensor{in}, nil
	},
	"AllGatherInto": func(g *dist.Group, in, out *torch.Tensor) (_, _ []*torch.Tensor) {
		part := in.Narrow(0, 0, 2)
		return []*torch.Tensor{in}, []*torch.Tensor{g.AllGatherInto(out, part)}
	},
	"ReduceScatter": func(g *dist.Group, in, out *torch.Tensor) (_, _ []*torch.Tensor) {
		return []*torch.Tensor{in}, []*torch.Tensor{g.ReduceScatter(out, []*torch.Tensor{in, in}, dist.Sum)}
	},
	"ReduceScatterTensor": func(g *dist.Group, in, out *torch.Tensor) (_, _ []*torch.Tensor) {
		g.ReduceScatterTensor(out.Narrow(0, 0, 2), in, dist.Sum)
		return []*torch.Tensor{in}, []*torch.Tensor{out}
	},
	"Scatter": func(g *dist.Group, in, out *torch.Tensor) (_, _ []*torch.Tensor) {
		return []*torch.Tensor{in}, []*torch.Tensor{g.Scatter(out, []*torch.Tensor{in, in}, 0)}
	},
	"Gather": func(g *dist.Group, in, _ *torch.Tensor) (_, _ []*torch.Tensor) {
		g.Gather(in, 0)
		return []*torch.Tensor{in}, nil
	},
	"AllToAll": func(g *dist.Group, in, out *torch.Tensor) (_, _ []*torch.Tensor) {
		halves := func(t *torch.Tensor) []*torch.Tensor { return []*torch.Tensor{t.Narrow(0, 0, 2), t.Narrow(0, 2, 2)} }
		g.AllToAll(halves(out), halves(in))
		return []*torch.Tensor{in}, []*torch.Tensor{out}
	},
	"AllToAllSingle": func(g *dist.Group, in, out *torch.Tensor) (_, _ []*torch.Tensor) {
		g.AllToAllSingle(out, in, nil, nil)
		return []*torch.Tensor{in}, []*torch.Tensor{out}
	},
	"Recv": func(g *dist.Group, in, out *torch.Tensor) (_, _ []*torch.Tensor) {
		if g.Rank() == 1 {
			g.Send(in, 0, 0)
			return nil, nil
		}
		g.Recv(out, 1, 0)
		return []*torch.Tensor{in}, []*torch.Tensor{out}
	},
}

// TestCollectivesCountAsWrites for autograd, on every backend and for tensors of types and layouts that travel as
// others: a backward pass that needs what was there before is refused.
func TestCollectivesCountAsWrites(t *testing.T) {
	for name, call := range writes {
		for _, kind := range ranktest.AllKinds {
			for _, dtype := range []torch.DType{torch.Float32, torch.Int16, torch.Bool} {
				for _, strided := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/%v/strided %v", name, kind, dtype, strided), func(t *testing.T) {
						ranktest.RequireNone(t, ranktest.Run(t, kind, 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
							make4 := func() *torch.Tensor {
								if strided {
									return torch.Zeros(4, 2).To(dtype).Select(1, 0)
								}
								return torch.Zeros(4).To(dtype)
							}
							in, out := make4(), make4()
							beforeIn, beforeOut := in.Version(), out.Version()
							reads, written := call(g, in, out)
							before := func(t *torch.Tensor) int {
								if t == in {
									return beforeIn
								}
								return beforeOut
							}
							if g.Rank() == 1 {
								return nil
							}
							for _, r := range reads {
								if r.Version() != before(r) {
									return fmt.Errorf("a tensor that is read is written %d times", r.Version()-before(r))
								}
							}
							for _, w := range written {
								if w.Version() == before(w) {
									return fmt.Errorf("a write is not counted")
								}
							}
							return nil
						}))
					})
				}
			}
		}
	}
	for _, kind := range ranktest.AllKinds {
		t.Run("backward/"+kind, func(t *testing.T) {
			ranktest.RequireNone(t, ranktest.Run(t, kind, 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
				x := torch.Ones(3).RequiresGrad_(true)
				y := x.Exp() // its backward needs the result
				torch.NoGrad(func() { g.AllReduce(y, dist.Sum) })
				err := torch.Try(func() { y.Sum().Backward() })
				if err == nil || !strings.Contains(err.Error(), "modified by an inplace operation") {
					return fmt.Errorf("got %w", err)
				}
				return nil
			}))
		})
		t.Run("inference/"+kind, func(t *testing.T) {
			ranktest.RequireNone(t, ranktest.Run(t, kind, 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
				x := torch.InferenceModeOf(func() *torch.Tensor { return torch.Ones(3) })
				return torch.Try(func() { g.AllReduce(x, dist.Sum) })
			}))
		})
	}
	require.Len(t, writes, 15)
}
