package torch

import "github.com/golite/golite/internal/op"

var (
	opFill_            = op.Op{Name: "aten::fill_.Scalar"}
	opFillTensor_      = op.Op{Name: "aten::fill_.Tensor"}
	opZero_            = op.Op{Name: "aten::zero_"}
	opResize_          = op.Op{Name: "aten::resize_"}
	opSet_             = op.Op{Name: "aten::set_.source_Tensor"}
	opUniform_         = op.Op{Name: "aten::uniform_"}
	opNormal_          = op.Op{Name: "aten::normal_"}
	opLogNormal_       = op.Op{Name: "aten::log_normal_"}
	opCauchy_          = op.Op{Name: "aten::cauchy_"}
	opExponential_     = op.Op{Name: "aten::exponential_"}
	opGeometric_       = op.Op{Name: "aten::geometric_"}
	opBernoulli_       = op.Op{Name: "aten::bernoulli_.float"}
	opBernoulliTensor_ = op.Op{Name: "aten::bernoulli_.Tensor"}
	opRandom_          = op.Op{Name: "aten::random_"}
	opRandomFrom_      = op.Op{Name: "aten::random_.from"}
	opBernoulli        = op.Op{Name: "aten::bernoulli"}
	opMultinomial      = op.Op{Name: "aten::multinomial"}
	opPoisson          = op.Op{Name: "aten::poisson"}
	opNormal           = op.Op{Name: "aten::normal.Tensor_Tensor"}
	opEmptyLike        = op.Op{Name: "aten::empty_like"}
	opZerosLike        = op.Op{Name: "aten::zeros_like"}
	opOnesLike         = op.Op{Name: "aten::ones_like"}
	opFullLike         = op.Op{Name: "aten::full_like"}
	opRandLike         = op.Op{Name: "aten::rand_like.generator"}
	opRandnLike        = op.Op{Name: "aten::randn_like.generator"}
	opRandIntLike      = op.Op{Name: "aten::randint_like.low_generator_dtype"}
)

// Fill_ sets every element to v (Tensor.fill_).
func (t *Tensor) Fill_(v float64) *Tensor { return callScalar_(&opFill_, t, Number(v)) }

// FillTensor_ sets every element to a scalar tensor's value.
func (t *Tensor) FillTensor_(v *Tensor) *Tensor { return call_(&opFillTensor_, t, v) }

// Zero_ sets every element to zero (Tensor.zero_).
func (t *Tensor) Zero_() *Tensor { return call_(&opZero_, t) }

// Resize_ changes t's shape and grows its memory if need be; new elements are whatever it held (Tensor.resize_).
func (t *Tensor) Resize_(shape ...int) *Tensor {
	var a op.Args
	put(&a, &opResize_, t)
	a.Ints(shape)
	a.None()
	return inPlace(&opResize_, &a, t)
}

// SetStorage_ makes t share source's memory, shape and strides (Tensor.set_).
func (t *Tensor) SetStorage_(source *Tensor) *Tensor { return call_(&opSet_, t, source) }

// random calls an operator that fills t with random numbers of a distribution with these parameters.
func random(o *op.Op, t *Tensor, g []*Generator, params ...float64) *Tensor {
	var a op.Args
	put(&a, o, t)
	for _, p := range params {
		a.Float(p)
	}
	abi.Generator(&a, optional(o, g, nil))
	return inPlace(o, &a, t)
}

// Uniform_ draws uniformly from [low, high), with the default generator or another one (Tensor.uniform_).
func (t *Tensor) Uniform_(low, high float64, g ...*Generator) *Tensor {
	return random(&opUniform_, t, g, low, high)
}

// Normal_ draws from a normal distribution, with the default generator or another one (Tensor.normal_).
func (t *Tensor) Normal_(mean, std float64, g ...*Generator) *Tensor {
	return random(&opNormal_, t, g, mean, std)
}

// LogNormal_ draws numbers whose logarithm has a normal distribution, with the default generator or another one
// (Tensor.log_normal_).
func (t *Tensor) LogNormal_(mean, std float64, g ...*Generator) *Tensor {
	return random(&opLogNormal_, t, g, mean, std)
}

// Cauchy_ draws from a Cauchy distribution, with the default generator or another one (Tensor.cauchy_).
func (t *Tensor) Cauchy_(median, sigma float64, g ...*Generator) *Tensor {
	return random(&opCauchy_, t, g, median, sigma)
}

// Exponential_ draws from an exponential distribution of that rate, with the default generator or another one
// (Tensor.exponential_).
func (t *Tensor) Exponential_(rate float64, g ...*Generator) *Tensor {
	return random(&opExponential_, t, g, rate)
}

// Geometric_ draws the number of trials up to the first success, which has probability p, with the default generator or
// another one (Tensor.geometric_).
func (t *Tensor) Geometric_(p float64, g ...*Generator) *Tensor {
	return random(&opGeometric_, t, g, p)
}

// Bernoulli_ draws ones with probability p and zeros, with the default generator or another one (Tensor.bernoulli_).
func (t *Tensor) Bernoulli_(p float64, g ...*Generator) *Tensor {
	return random(&opBernoulli_, t, g, p)
}

// BernoulliTensor_ is Bernoulli_ with a probability for each element.
func (t *Tensor) BernoulliTensor_(p *Tensor, g ...*Generator) *Tensor {
	var a op.Args
	put(&a, &opBernoulliTensor_, t, p)
	abi.Generator(&a, optional(&opBernoulliTensor_, g, nil))
	return inPlace(&opBernoulliTensor_, &a, t)
}

// Random_ draws integers from the whole range of t's type, in floating types of those that it holds exactly
// (Tensor.random_).
func (t *Tensor) Random_(g ...*Generator) *Tensor { return random(&opRandom_, t, g) }

// RandomRange_ draws integers from [low, high) (Tensor.random_).
func (t *Tensor) RandomRange_(low, high int, g ...*Generator) *Tensor {
	var a op.Args
	put(&a, &opRandomFrom_, t)
	a.Int(int64(low))
	a.Int(int64(high))
	abi.Generator(&a, optional(&opRandomFrom_, g, nil))
	return inPlace(&opRandomFrom_, &a, t)
}

func draw(o *op.Op, t *Tensor, g []*Generator) *Tensor {
	var a op.Args
	put(&a, o, t)
	abi.Generator(&a, optional(o, g, nil))
	return result(o, &a)
}

// Bernoulli draws ones and zeros, where t holds the probabilities (torch.bernoulli).
func (t *Tensor) Bernoulli(g ...*Generator) *Tensor { return draw(&opBernoulli, t, g) }

// Poisson draws from Poisson distributions whose rates t holds (torch.poisson).
func (t *Tensor) Poisson(g ...*Generator) *Tensor { return draw(&opPoisson, t, g) }

// Multinomial draws n indices, with the weights in t or in each of its rows, with or without drawing one again
// (torch.multinomial).
func (t *Tensor) Multinomial(n int, replacement bool, g ...*Generator) *Tensor {
	var a op.Args
	put(&a, &opMultinomial, t)
	a.Int(int64(n))
	a.Bool(replacement)
	abi.Generator(&a, optional(&opMultinomial, g, nil))
	return result(&opMultinomial, &a)
}

// Normal draws from normal distributions, each element with its own mean and deviation (torch.normal).
func Normal(mean, std *Tensor, g ...*Generator) *Tensor {
	var a op.Args
	put(&a, &opNormal, mean, std)
	abi.Generator(&a, optional(&opNormal, g, nil))
	return result(&opNormal, &a)
}

// like ends the arguments of a factory that takes a tensor for a pattern, and calls it.
func like(o *op.Op, a *op.Args, opts []Options) *Tensor {
	on := optional(o, opts, Options{})
	on.write(a)
	a.None()
	return on.call(o, a)
}

func likeDraw(o *op.Op, t *Tensor, opts []Options) *Tensor {
	var a op.Args
	put(&a, o, t)
	abi.Generator(&a, optional(o, opts, Options{}).Generator)
	return like(o, &a, opts)
}

// EmptyLike makes a tensor like t, whose elements are whatever the memory held. Here and in the functions below, shape,
// type, device and order in memory are t's unless options say otherwise (torch.empty_like).
func EmptyLike(t *Tensor, opts ...Options) *Tensor {
	var a op.Args
	put(&a, &opEmptyLike, t)
	return like(&opEmptyLike, &a, opts)
}

// ZerosLike makes zeros like t (torch.zeros_like).
func ZerosLike(t *Tensor, opts ...Options) *Tensor {
	var a op.Args
	put(&a, &opZerosLike, t)
	return like(&opZerosLike, &a, opts)
}

// OnesLike makes ones like t (torch.ones_like).
func OnesLike(t *Tensor, opts ...Options) *Tensor {
	var a op.Args
	put(&a, &opOnesLike, t)
	return like(&opOnesLike, &a, opts)
}

// FullLike makes a tensor like t with every element v (torch.full_like).
func FullLike(t *Tensor, v float64, opts ...Options) *Tensor {
	var a op.Args
	put(&a, &opFullLike, t)
	Number(v).write(&a)
	return like(&opFullLike, &a, opts)
}

// RandLike draws uniformly from [0, 1) into a tensor like t (torch.rand_like).
func RandLike(t *Tensor, opts ...Options) *Tensor { return likeDraw(&opRandLike, t, opts) }

// RandnLike draws from the normal distribution of mean 0 and deviation 1 into a tensor like t (torch.randn_like).
func RandnLike(t *Tensor, opts ...Options) *Tensor { return likeDraw(&opRandnLike, t, opts) }

// RandIntLike draws integers from [low, high) into a tensor like t (torch.randint_like).
func RandIntLike(t *Tensor, low, high int, opts ...Options) *Tensor {
	var a op.Args
	put(&a, &opRandIntLike, t)
	a.Int(int64(low))
	a.Int(int64(high))
	abi.Generator(&a, optional(&opRandIntLike, opts, Options{}).Generator)
	return like(&opRandIntLike, &a, opts)
}
