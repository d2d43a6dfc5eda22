package ddp

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"slices"

	"github.com/golite/golite/internal/distabi"
	"github.com/golite/golite/torch"
)

// paramSpec is what ranks must agree about in a parameter or a buffer.
type paramSpec struct {
	Name  string
	Shape []int
	DType string
	Fixed bool // a parameter without gradient
}

func (p paramSpec) String() string {
	s := fmt.Sprintf("%s %s%v", p.Name, p.DType, p.Shape)
	if p.Fixed {
		s += " without gradient"
	}
	return s
}

func (p paramSpec) equal(q paramSpec) bool {
	return p.Name == q.Name && p.DType == q.DType && p.Fixed == q.Fixed && slices.Equal(p.Shape, q.Shape)
}

// modelSpec is a rank's model, in its order. Buffers that each rank keeps for itself are no part of it.
type modelSpec struct{ Parameters, Buffers []paramSpec }

// verify compares the models of all ranks. Every rank gets all of them, so that every rank finds the same difference.
// Where some ranks are PyTorch's it is PyTorch's comparison.
func (d *DistributedDataParallel) verify(mine modelSpec) error {
	if distabi.WithPyTorch(d.g) {
		return d.verifyAsPyTorch()
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(mine); err != nil {
		return fmt.Errorf("ddp.New: %w", err)
	}
	parameters, buffers := make([][]paramSpec, d.g.Size()), make([][]paramSpec, d.g.Size())
	for r, list := range d.g.AllGatherBytes(b.Bytes()) {
		var other modelSpec
		if err := gob.NewDecoder(bytes.NewReader(list)).Decode(&other); err != nil {
			return fmt.Errorf("ddp.New: rank %d's list of parameters: %w", r, err)
		}
		parameters[r], buffers[r] = other.Parameters, other.Buffers
	}
	for _, diff := range []string{difference("parameter", parameters), difference("buffer", buffers)} {
		if diff != "" {
			return fmt.Errorf("ddp.New: the ranks' models differ: %s; every rank must build the same model", diff)
		}
	}
	return nil
}

// difference describes the first parameter, or buffer, in which a rank's list differs from rank 0's, "" if there is
// none.
func difference(what string, all [][]paramSpec) string {
	first, at, who := "", -1, -1
	for r := 1; r < len(all); r++ {
		for i := range max(len(all[0]), len(all[r])) {
			if i < len(all[0]) && i < len(all[r]) && all[0][i].equal(all[r][i]) {
				continue
			}
			if at < 0 || i < at {
				first, at, who = fmt.Sprintf("%s %d is %s on rank 0 and %s on rank %d", what, i, entry(all[0], i), entry(all[r], i),
					r), i, r
			}
			break
		}
	}
	if who > 0 && len(all[0]) != len(all[who]) {
		first += fmt.Sprintf(" (%d and %d %ss)", len(all[0]), len(all[who]), what)
	}
	return first
}

func entry(list []paramSpec, i int) string {
	if i >= len(list) {
		return "missing"
	}
	return list[i].String()
}

// verifyAsPyTorch makes the collectives that the constructor of torch's DistributedDataParallel makes: all ranks
// publish how many parameters they train, and rank 0 the sizes and strides of its own. So rank 0 does not detect a
// difference.
func (d *DistributedDataParallel) verifyAsPyTorch() error {
	count := torch.From([]int64{int64(len(d.trained))}, 1)
	defer count.Release()
	for r, n := range d.g.AllGather(count) {
		if got := int(n.Item()); got != len(d.trained) {
			return fmt.Errorf("ddp.New: the ranks' models differ: %d parameters to train here, on rank %d, and %d on rank %d",
				len(d.trained), d.g.Rank(), got, r)
		}
		n.Release()
	}
	var mine []int64
	var owner []int // of each number
	for i, p := range d.trained {
		for _, list := range [][]int{p.Shape(), p.Strides()} {
			for _, n := range list {
				mine, owner = append(mine, int64(n)), append(owner, i)
			}
		}
	}
	layout := torch.From(mine, len(mine))
	defer layout.Release()
	for i, n := range torch.ToSlice[int64](d.g.Broadcast(layout, 0)) {
		if n != mine[i] {
			return fmt.Errorf("ddp.New: the ranks' models differ: parameter %d, %s, is %v here, on rank %d, and another on "+
				"rank 0",
				owner[i], d.names[owner[i]], d.trained[owner[i]].Shape(), d.g.Rank())
		}
	}
	return nil
}
