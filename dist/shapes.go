package dist

import (
	"slices"

	"github.com/golite/golite/torch"
)

// What a collective's tensors must have in common on one rank is checked before anything is sent, alike for all
// backends: Gloo finds some of it out in the middle of a collective, and goroutine ranks copy memory. The backends
// check shapes that differ between ranks.

// alike checks that tensors of one call have one dtype and are on one device.
func alike(name string, list ...*torch.Tensor) {
	for _, t := range list {
		if t == nil {
			torch.Fail("dist."+name, "a tensor is nil")
		}
	}
	for _, t := range list {
		if a, b := list[0].DType(), t.DType(); a != b {
			torch.Fail("dist."+name, "tensors of %v and %v: want one dtype for all tensors of the call", a, b)
		}
		if a, b := list[0].Device(), t.Device(); a != b {
			torch.Fail("dist."+name, "tensors on %v and %v: want one device for all tensors of the call", a, b)
		}
	}
}

// likeOut checks that the tensors in list have the dtype, device and shape of out.
func likeOut(name string, out *torch.Tensor, list []*torch.Tensor) {
	alike(name, append([]*torch.Tensor{out}, list...)...)
	want := out.Shape()
	for i, t := range list {
		if got := t.Shape(); !slices.Equal(got, want) {
			torch.Fail("dist."+name, "tensor %d of the list is %v, and out %v: want equal shapes", i, got, want)
		}
	}
}

// checkList checks the tensors of a coalesced collective.
func checkList(name string, list []*torch.Tensor) {
	if len(list) == 0 {
		torch.Fail("dist."+name, "the list is empty: want a tensor at least")
	}
	alike(name, list...)
}

// checkPairs checks the tensors of a coalesced collective with results of its own.
func checkPairs(name string, out, list []*torch.Tensor) {
	if len(out) != len(list) {
		torch.Fail("dist."+name, "want as many tensors to fill as there are in the list, got %d and %d", len(out), len(list))
	}
	checkList(name, append(list[:len(list):len(list)], out...))
}

// checkParts checks a tensor that holds a part for each rank, and one such part. As in PyTorch the whole may be the
// parts joined along dimension 0, or stacked along a new one; NCCL takes any tensor of as many elements, and so does
// this.
func (g *Group) checkParts(name, wholeName, partName string, whole, part *torch.Tensor) {
	alike(name, whole, part)
	if whole.Numel() != g.size*part.Numel() {
		torch.Fail("dist."+name, "%s is %v, and %s %v: want %d times as many elements, "+
			"the parts of the %d ranks joined along dimension 0 or stacked", wholeName, whole.Shape(), partName, part.Shape(),
			g.size, g.size)
	}
}

// joined returns views of both, contiguous ones, in the one form that all backends take: the parts joined along
// dimension 0.
func (g *Group) joined(whole, part *torch.Tensor) (_, _ *torch.Tensor) {
	shape := part.Shape()
	if len(shape) == 0 {
		shape = []int{1}
	}
	part = viewed(part, shape)
	shape[0] *= g.size
	return viewed(whole, shape), part
}

// viewed returns t, or a view of it with another shape.
func viewed(t *torch.Tensor, shape []int) (v *torch.Tensor) {
	if slices.Equal(t.Shape(), shape) {
		return t
	}
	torch.NoGrad(func() { v = t.Detach().View(shape...) })
	return v
}

// checkSplits checks the tensors of AllToAllSingle, and the rows of each part where they are given.
func (g *Group) checkSplits(name string, out, in *torch.Tensor, outLengths, inLengths []int) {
	alike(name, out, in)
	if len(outLengths) == 0 && len(inLengths) == 0 && out.Numel() != in.Numel() {
		torch.Fail("dist."+name, "out is %v, and in %v: want as many elements in both where no lengths are given",
			out.Shape(), in.Shape())
	}
	for _, side := range []struct {
		what    string
		t       *torch.Tensor
		lengths []int
	}{{"in", in, inLengths}, {"out", out, outLengths}} {
		shape := side.t.Shape()
		switch {
		case len(shape) == 0:
			torch.Fail("dist."+name, "%s is a scalar: want a tensor with rows", side.what)
		case len(side.lengths) == 0 && shape[0]%g.size != 0:
			torch.Fail("dist."+name, "%s is %v: want a multiple of %d rows, one part for each rank, or lengths",
				side.what, shape, g.size)
		case len(side.lengths) == 0:
			continue
		case len(side.lengths) != g.size:
			torch.Fail("dist."+name, "want %d lengths of %s, one for each rank, got %d", g.size, side.what, len(side.lengths))
		}
		sum := 0
		for _, n := range side.lengths {
			if n < 0 {
				torch.Fail("dist."+name, "the lengths of %s are %v: want none below 0", side.what, side.lengths)
			}
			sum += n
		}
		if sum != shape[0] {
			torch.Fail("dist."+name, "the lengths of %s are %v, %d rows in all: want %d, those of a tensor %v",
				side.what, side.lengths, sum, shape[0], shape)
		}
	}
}
