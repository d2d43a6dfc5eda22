package shard

import (
	"encoding/binary"
	"fmt"
)

// maxCorners bounds the work of checking how a tensor's chunks lie: a chunk that is cut in d dimensions has 2^d
// corners.
const maxCorners = 1 << 22

// check verifies that the chunks lie within the tensor, do not overlap, and cover it.
func (e *Entry) check() error {
	total := 1
	for _, n := range e.Shape {
		if n < 0 || n > 0 && total > (1<<56)/n {
			return fmt.Errorf("shape %v", e.Shape)
		}
		total *= n
	}
	covered := 0
	for _, c := range e.Chunks {
		if len(c.Offsets) != len(e.Shape) || len(c.Sizes) != len(e.Shape) {
			return fmt.Errorf("a chunk of %d dimensions for a tensor of %d", len(c.Sizes), len(e.Shape))
		}
		for d := range e.Shape {
			if c.Offsets[d] < 0 || c.Sizes[d] < 0 || c.Offsets[d] > e.Shape[d]-c.Sizes[d] {
				return fmt.Errorf("chunk %v+%v lies outside of %v", c.Offsets, c.Sizes, e.Shape)
			}
		}
		covered = min(covered+product(c.Sizes), 1<<57) // more than any tensor has
	}
	tiled, err := e.tiled()
	switch {
	case err != nil:
		return err
	case tiled:
		return nil
	case covered < total:
		return fmt.Errorf("the chunks have %d of %d elements: a rank's part is missing", covered, total)
	}
	return fmt.Errorf("the chunks overlap: they have %d elements of a tensor of %d", covered, total)
}

// tiled reports whether the chunks cover the tensor exactly once. The function that counts, for each element, the
// chunks over it is determined by its differences along all dimensions, and those of a box are plus and minus ones at
// its corners. So the chunks tile the tensor if their corners, added up, are those of the whole: one pass, however many
// chunks there are.
func (e *Entry) tiled() (bool, error) {
	cut := e.cutDimensions()
	if len(cut) > 20 || len(e.Chunks)<<len(cut) > maxCorners {
		return false, fmt.Errorf("%d chunks cut in %d dimensions are too many", len(e.Chunks), len(cut))
	}
	sum := map[string]int{}
	whole := make([]int, len(e.Shape))
	addCorners(sum, cut, whole, e.Shape, -1)
	for _, c := range e.Chunks {
		addCorners(sum, cut, c.Offsets, c.Sizes, 1)
	}
	return len(sum) == 0, nil
}

// cutDimensions lists the dimensions in which some chunk is smaller than the tensor.
func (e *Entry) cutDimensions() (cut []int) {
	for d := range e.Shape {
		for _, c := range e.Chunks {
			if c.Sizes[d] != e.Shape[d] {
				cut = append(cut, d)
				break
			}
		}
	}
	return cut
}

// addCorners adds a box's signs to those at its corners; a corner at which they cancel out is gone. An empty box has
// none.
func addCorners(sum map[string]int, cut, offsets, sizes []int, sign int) {
	if product(sizes) == 0 {
		return
	}
	key := make([]byte, 8*len(cut))
	for corner := range 1 << len(cut) {
		s := sign
		for i, d := range cut {
			at := offsets[d]
			if corner>>i&1 == 1 {
				at += sizes[d]
				s = -s
			}
			binary.LittleEndian.PutUint64(key[8*i:], uint64(at))
		}
		if n := sum[string(key)] + s; n != 0 {
			sum[string(key)] = n
		} else {
			delete(sum, string(key))
		}
	}
}

// intersect returns the box that two boxes share, or nil.
func intersect(offsetsA, sizesA, offsetsB, sizesB []int) (offsets, sizes []int) {
	offsets, sizes = make([]int, len(sizesA)), make([]int, len(sizesA))
	for d := range sizesA {
		from := max(offsetsA[d], offsetsB[d])
		to := min(offsetsA[d]+sizesA[d], offsetsB[d]+sizesB[d])
		if from >= to {
			return nil, nil
		}
		offsets[d], sizes[d] = from, to-from
	}
	return offsets, sizes
}
