package sampler

import "iter"

// BatchSampler gives the indices of one batch after another (what torch.utils.data.DataLoader takes as batch_sampler).
type BatchSampler interface {
	// Len returns how many batches a pass has.
	Len() int
	// Batches starts a pass. The slices are the receiver's to keep.
	Batches() iter.Seq[[]int]
}

// Batch groups a sampler's indices (torch.utils.data.BatchSampler).
type Batch struct {
	s        Sampler
	size     int
	dropLast bool
}

// NewBatch makes batches of size indices; with dropLast a last one with fewer is left out. It panics with a *torch.Error if size
// is less than 1 or s is nil.
func NewBatch(s Sampler, size int, dropLast bool) *Batch {
	given(s, "sampler.NewBatch", "the sampler")
	checked(size > 0, "sampler.NewBatch", "want a batch size of 1 or more, got %d", size)
	return &Batch{s, size, dropLast}
}

// Sampler returns the sampler that gives the indices.
func (b *Batch) Sampler() Sampler { return b.s }

// Size returns the number of indices in a full batch.
func (b *Batch) Size() int { return b.size }

// DropLast reports whether a last batch with fewer indices is left out.
func (b *Batch) DropLast() bool { return b.dropLast }

// WithSampler returns the same batching of another sampler.
func (b *Batch) WithSampler(s Sampler) *Batch { return &Batch{s, b.size, b.dropLast} }

// Len returns the number of batches a pass.
func (b *Batch) Len() int {
	n := b.s.Len()
	if b.dropLast || n%b.size == 0 {
		return n / b.size
	}
	return n/b.size + 1
}

// SetEpoch passes the number of the pass on to the sampler, if that is an EpochSetter.
func (b *Batch) SetEpoch(epoch int) {
	if s, ok := b.s.(EpochSetter); ok {
		s.SetEpoch(epoch)
	}
}

// Batches starts a pass.
func (b *Batch) Batches() iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		room := min(b.size, max(b.s.Len(), 0), 1<<16) // a batch size may be any number: all samples in one batch
		batch := make([]int, 0, room)
		for i := range b.s.Indices() {
			batch = append(batch, i)
			if len(batch) == b.size {
				if !yield(batch) {
					return
				}
				batch = make([]int, 0, room)
			}
		}
		if len(batch) > 0 && !b.dropLast {
			yield(batch)
		}
	}
}
