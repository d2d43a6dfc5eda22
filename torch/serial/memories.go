package serial

import (
	"slices"
	"unsafe"
)

// memories are runs of memory that do not overlap. They lie in blocks of sorted runs, so that to add one of many takes
// no longer than to add one of few, in whatever order they come.
type memories struct{ blocks [][]run }

// run is the memory from one address up to another.
type run struct{ from, to uintptr }

// mostRuns is how many runs a block has before it is cut in two.
const mostRuns = 512

// add adds a slice's memory, and reports whether it overlaps none that was added before. Else nothing is added.
func (m *memories) add(p []byte) bool {
	if len(p) == 0 {
		return true
	}
	from := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	r := run{from, from + uintptr(len(p))}
	// The block with the last run that begins before r, or the first block.
	b, _ := slices.BinarySearchFunc(m.blocks, r, func(block []run, r run) int {
		if block[0].from <= r.from {
			return -1
		}
		return 1
	})
	if b--; b < 0 {
		b = 0
		if len(m.blocks) == 0 {
			m.blocks = [][]run{nil}
		}
	}
	block := m.blocks[b]
	i, _ := slices.BinarySearchFunc(block, r, func(other, r run) int {
		if other.from <= r.from {
			return -1
		}
		return 1
	})
	if i > 0 && block[i-1].to > r.from || i < len(block) && block[i].from < r.to {
		return false
	}
	if i == len(block) && b+1 < len(m.blocks) && m.blocks[b+1][0].from < r.to {
		return false
	}
	block = slices.Insert(block, i, r)
	m.blocks[b] = block
	if len(block) > mostRuns {
		m.blocks[b] = block[: mostRuns/2 : mostRuns/2]
		m.blocks = slices.Insert(m.blocks, b+1, slices.Clone(block[mostRuns/2:]))
	}
	return true
}
