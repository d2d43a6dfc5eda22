package ddp

import (
	"fmt"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// PowerSGD is a Hook that sends two thin matrices in place of a gradient
// (torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook, after https://arxiv.org/abs/1905.13727). It holds
// settings alone, whose zero value is PyTorch's default: one value may serve any number of models and ranks, each of
// which has a state of its own.
type PowerSGD struct {
	// Rank is the rank of the matrices that stand for a gradient; 0 is 1.
	Rank int
	// StartStep is the step from which gradients are compressed; 0 is 1000. At least 2, because buckets are laid out anew
	// after the first, unless no state is kept between steps.
	StartStep int
	// MinCompressionRate leaves a gradient as it is that wouldn't get smaller by this factor; 0 is 2.
	MinCompressionRate float64
	// NoErrorFeedback drops what compression loses instead of adding it to the next step's gradient.
	NoErrorFeedback bool
	// NoWarmStart starts each step from random matrices and not from the last step's.
	NoWarmStart bool
	// Epsilon is added to norms before they divide, for gradients that vanish.
	Epsilon float64
	// Seed is that of the random matrices, the same on all ranks.
	Seed uint32
}

func (o PowerSGD) install(d *DistributedDataParallel) error {
	if o.Rank == 0 {
		o.Rank = 1
	}
	if o.StartStep == 0 {
		o.StartStep = 1000
	}
	if o.MinCompressionRate == 0 {
		o.MinCompressionRate = 2
	}
	switch {
	case o.Rank < 0 || o.StartStep < 0 || o.MinCompressionRate < 0 || o.Epsilon < 0:
		return fmt.Errorf("ddp.PowerSGD: want no negative settings, got %+v", o)
	case o.StartStep < 2 && !(o.NoErrorFeedback && o.NoWarmStart):
		return fmt.Errorf("ddp.PowerSGD: StartStep is %d: want at least 2, as buckets are laid out anew after the first step",
			o.StartStep)
	}
	s := &compressor{o: o, random: newMT19937(o.Seed), err: map[int]*torch.Tensor{}, p: map[int]*torch.Tensor{},
		q: map[int]*torch.Tensor{}}
	return BucketHook(s.reduce).install(d)
}

// compressor is PowerSGD's state between steps for one model on one rank. Tensors are by bucket.
type compressor struct {
	o      PowerSGD
	step   int
	random *mt19937
	err    map[int]*torch.Tensor // what compression lost
	p, q   map[int]*torch.Tensor // the factors of all its matrices, one after the other
}

// factor is a gradient as a matrix, with its two factors: m is about p times q transposed.
type factor struct{ m, p, q *torch.Tensor }

func (s *compressor) reduce(g *dist.Group, b *Bucket) *torch.Tensor {
	defer func() {
		if b.Last {
			s.step++
		}
	}()
	if s.step < s.o.StartStep {
		b.Buffer.DivScalar_(float64(g.Size()))
		g.AllReduce(b.Buffer, dist.Sum)
		return nil
	}
	var before *torch.Tensor
	if !s.o.NoErrorFeedback {
		if e := s.err[b.Index]; e != nil {
			b.Buffer.Add_(e)
		}
		before = b.Buffer.Clone()
	}
	matrices, rest := s.split(b)
	flat := flatten(rest, b.Buffer)
	factors, fresh := s.factors(b, matrices)
	if fresh {
		s.randomize(factors)
	} else {
		for _, f := range factors {
			orthogonalize(f.q, s.o.Epsilon)
		}
	}
	for _, f := range factors {
		aten.BmmOut(f.m, f.q, f.p)
	}
	g.AllReduce(flat, dist.Sum).DivScalar_(float64(g.Size()))
	unflatten(flat, rest)
	g.AllReduce(s.p[b.Index], dist.Sum) // orthogonalized next: no need to divide
	for _, f := range factors {
		orthogonalize(f.p, s.o.Epsilon)
		aten.BmmOut(f.m.Transpose(1, 2), f.p, f.q)
	}
	g.AllReduce(s.q[b.Index], dist.Sum).DivScalar_(float64(g.Size()))
	for _, f := range factors {
		aten.BmmOut(f.p, f.q.Transpose(1, 2), f.m)
	}
	if before != nil {
		s.keep(s.err, b.Index, before.Sub(b.Buffer))
	}
	if s.o.NoWarmStart {
		s.forget(b.Index)
	}
	return nil
}

// keep stores a tensor over steps, in place of the one before.
func (s *compressor) keep(m map[int]*torch.Tensor, index int, t *torch.Tensor) {
	m[index].Release()
	m[index] = t.Keep()
}

func (s *compressor) forget(index int) {
	for _, m := range []map[int]*torch.Tensor{s.p, s.q} {
		m[index].Release()
		delete(m, index)
	}
}

// split parts gradients into those that are worth compressing, as matrices, and the rest.
func (s *compressor) split(b *Bucket) (matrices, rest []*torch.Tensor) {
	for _, t := range b.Gradients {
		m := t.View(t.Size(0), -1)
		rows, columns := m.Size(0), m.Size(1)
		small := (rows + columns) * min(rows, columns, s.o.Rank)
		if float64(small)*s.o.MinCompressionRate < float64(rows*columns) {
			matrices = append(matrices, m)
		} else {
			rest = append(rest, t)
		}
	}
	// Equal shapes are grouped, at the place of the first one.
	var ordered []*torch.Tensor
	seen := map[string]bool{}
	for _, m := range matrices {
		shape := fmt.Sprint(m.Shape())
		if seen[shape] {
			continue
		}
		seen[shape] = true
		for _, n := range matrices {
			if fmt.Sprint(n.Shape()) == shape {
				ordered = append(ordered, n.Unsqueeze(0))
			}
		}
	}
	return ordered, rest
}

// factors cuts the bucket's two long tensors, new ones in its first step, into the matrices' factors.
func (s *compressor) factors(b *Bucket, matrices []*torch.Tensor) (list []factor, fresh bool) {
	rank := func(m *torch.Tensor) int { return min(m.Size(1), m.Size(2), s.o.Rank) }
	if s.p[b.Index] == nil {
		fresh = true
		p, q := 0, 0
		for _, m := range matrices {
			p += m.Size(1) * rank(m)
			q += m.Size(2) * rank(m)
		}
		o := torch.Options{DType: b.Buffer.DType(), Device: b.Buffer.Device()}
		s.p[b.Index], s.q[b.Index] = o.Empty(p).Keep(), o.Empty(q).Keep()
	}
	p, q := 0, 0
	for _, m := range matrices {
		r := rank(m)
		list = append(list, factor{
			m: m,
			p: s.p[b.Index].Narrow(0, p, m.Size(1)*r).View(1, m.Size(1), r),
			q: s.q[b.Index].Narrow(0, q, m.Size(2)*r).View(1, m.Size(2), r),
		})
		p += m.Size(1) * r
		q += m.Size(2) * r
	}
	return list, fresh
}

// randomize draws the first right factors: the same on all ranks, others in each step.
func (s *compressor) randomize(factors []factor) {
	g := torch.NewGenerator(uint64(s.random.below(1_000_000_000)))
	for _, f := range factors {
		f.q.Copy_(torch.Options{DType: f.q.DType(), Generator: g}.Randn(f.q.Shape()...))
		orthogonalize(f.q, s.o.Epsilon)
	}
}

func flatten(list []*torch.Tensor, like *torch.Tensor) *torch.Tensor {
	if len(list) == 0 {
		return torch.Options{DType: like.DType(), Device: like.Device()}.Empty(0)
	}
	flat := make([]*torch.Tensor, len(list))
	for i, t := range list {
		flat[i] = t.View(-1)
	}
	return torch.Cat(flat, 0)
}

func unflatten(flat *torch.Tensor, list []*torch.Tensor) {
	at := 0
	for _, t := range list {
		n := t.Numel()
		t.Copy_(flat.Narrow(0, at, n).ViewAs(t))
		at += n
	}
}

// orthogonalize makes the columns of matrices [1, n, r] orthonormal, in place: by Gram and Schmidt where there are few.
func orthogonalize(m *torch.Tensor, epsilon float64) {
	r := m.Size(2)
	if r > 2 && m.DType() != torch.Float16 && m.DType() != torch.BFloat16 {
		q, _ := m.QR()
		m.Copy_(q)
		return
	}
	for i := range r {
		column := m.Narrow(2, i, 1)
		norm := column.NormKeepDim(1)
		if epsilon != 0 {
			norm = norm.AddScalar(epsilon)
		}
		column.Div_(norm)
		if i+1 < r {
			rest := m.Narrow(2, i+1, r-i-1)
			rest.Sub_(column.Mul(rest).SumKeepDim(1).Mul(column))
		}
	}
}
