package torch

import "github.com/golite/golite/internal/op"

var (
	opConj          = op.Op{Name: "aten::conj"}
	opConjPhysical  = op.Op{Name: "aten::conj_physical"}
	opViewAsReal    = op.Op{Name: "aten::view_as_real"}
	opViewAsComplex = op.Op{Name: "aten::view_as_complex"}
	opReal          = op.Op{Name: "aten::real"}
	opImag          = op.Op{Name: "aten::imag"}
	opComplex       = op.Op{Name: "aten::complex"}
	opPolar         = op.Op{Name: "aten::polar"}
	opFFT           = op.Op{Name: "aten::fft_fft"}
	opIFFT          = op.Op{Name: "aten::fft_ifft"}
	opRFFT          = op.Op{Name: "aten::fft_rfft"}
	opIRFFT         = op.Op{Name: "aten::fft_irfft"}
	opHFFT          = op.Op{Name: "aten::fft_hfft"}
	opIHFFT         = op.Op{Name: "aten::fft_ihfft"}
	opFFT2          = op.Op{Name: "aten::fft_fft2"}
	opIFFT2         = op.Op{Name: "aten::fft_ifft2"}
	opRFFT2         = op.Op{Name: "aten::fft_rfft2"}
	opIRFFT2        = op.Op{Name: "aten::fft_irfft2"}
	opFFTN          = op.Op{Name: "aten::fft_fftn"}
	opIFFTN         = op.Op{Name: "aten::fft_ifftn"}
	opRFFTN         = op.Op{Name: "aten::fft_rfftn"}
	opIRFFTN        = op.Op{Name: "aten::fft_irfftn"}
	opFFTShift      = op.Op{Name: "aten::fft_fftshift"}
	opIFFTShift     = op.Op{Name: "aten::fft_ifftshift"}
	opFFTFreq       = op.Op{Name: "aten::fft_fftfreq"}
	opRFFTFreq      = op.Op{Name: "aten::fft_rfftfreq"}
)

// Conj returns the complex conjugate, as a view (torch.conj).
func (t *Tensor) Conj() *Tensor { return call(&opConj, t) }

// ConjPhysical returns the complex conjugate, computed (torch.conj_physical).
func (t *Tensor) ConjPhysical() *Tensor { return call(&opConjPhysical, t) }

// ViewAsReal returns a view of a complex tensor with real and imaginary parts in a new last dimension of 2
// (torch.view_as_real).
func (t *Tensor) ViewAsReal() *Tensor { return call(&opViewAsReal, t) }

// ViewAsComplex returns a view of a tensor whose last dimension is 2 as complex numbers (torch.view_as_complex).
func (t *Tensor) ViewAsComplex() *Tensor { return call(&opViewAsComplex, t) }

// Real returns a view of the real parts (Tensor.real).
func (t *Tensor) Real() *Tensor { return call(&opReal, t) }

// Imag returns a view of the imaginary parts (Tensor.imag).
func (t *Tensor) Imag() *Tensor { return call(&opImag, t) }

// Complex makes complex numbers of real and imaginary parts (torch.complex).
func Complex(re, im *Tensor) *Tensor { return call(&opComplex, re, im) }

// Polar makes complex numbers of magnitudes and angles in radians (torch.polar).
func Polar(abs, angle *Tensor) *Tensor { return call(&opPolar, abs, angle) }

// FFTOptions are the optional arguments of the Fourier transforms. The zero value is PyTorch's default.
type FFTOptions struct {
	N    int    // the length to cut or pad the dimension to; 0: as it is
	Dim  *int   // the dimension; nil: the last
	Norm string // "backward" (the default), "ortho" or "forward"
}

func fft(o *op.Op, t *Tensor, opts []FFTOptions) *Tensor {
	f := optional(o, opts, FFTOptions{})
	var a op.Args
	put(&a, o, t)
	if f.N == 0 {
		a.None()
	} else {
		a.Int(int64(f.N))
	}
	if f.Dim == nil {
		a.Int(-1)
	} else {
		a.Int(int64(*f.Dim))
	}
	optText(&a, f.Norm)
	return result(o, &a)
}

// optText writes a text, or None for "".
func optText(a *op.Args, s string) {
	if s == "" {
		a.None()
		return
	}
	a.String(s)
}

// FFTNOptions are the optional arguments of the Fourier transforms of several dimensions.
type FFTNOptions struct {
	S    []int  // the lengths to cut or pad the dimensions to; nil: as they are
	Dims []int  // the dimensions; nil: the last two for FFT2 and its kind, else all
	Norm string // "backward" (the default), "ortho" or "forward"
}

func fftn(o *op.Op, t *Tensor, opts []FFTNOptions, dims []int) *Tensor {
	f := optional(o, opts, FFTNOptions{})
	var a op.Args
	put(&a, o, t)
	optDims(&a, f.S)
	if f.Dims != nil {
		dims = f.Dims
	}
	optDims(&a, dims)
	optText(&a, f.Norm)
	return result(o, &a)
}

// FFT returns the discrete Fourier transform (torch.fft.fft).
func (t *Tensor) FFT(opts ...FFTOptions) *Tensor { return fft(&opFFT, t, opts) }

// IFFT returns the inverse Fourier transform (torch.fft.ifft).
func (t *Tensor) IFFT(opts ...FFTOptions) *Tensor { return fft(&opIFFT, t, opts) }

// RFFT returns the Fourier transform of real numbers, without the half that mirrors the other (torch.fft.rfft).
func (t *Tensor) RFFT(opts ...FFTOptions) *Tensor { return fft(&opRFFT, t, opts) }

// IRFFT returns the inverse of RFFT, real; N is the length of the result if it is odd (torch.fft.irfft).
func (t *Tensor) IRFFT(opts ...FFTOptions) *Tensor { return fft(&opIRFFT, t, opts) }

// HFFT returns the Fourier transform of a signal that is Hermitian (torch.fft.hfft).
func (t *Tensor) HFFT(opts ...FFTOptions) *Tensor { return fft(&opHFFT, t, opts) }

// IHFFT returns the inverse of HFFT (torch.fft.ihfft).
func (t *Tensor) IHFFT(opts ...FFTOptions) *Tensor { return fft(&opIHFFT, t, opts) }

// FFT2 is FFT over two dimensions, the last unless options say otherwise (torch.fft.fft2).
func (t *Tensor) FFT2(opts ...FFTNOptions) *Tensor { return fftn(&opFFT2, t, opts, []int{-2, -1}) }

// IFFT2 is IFFT over two dimensions, the last unless options say otherwise (torch.fft.ifft2).
func (t *Tensor) IFFT2(opts ...FFTNOptions) *Tensor { return fftn(&opIFFT2, t, opts, []int{-2, -1}) }

// RFFT2 is RFFT over two dimensions, the last unless options say otherwise (torch.fft.rfft2).
func (t *Tensor) RFFT2(opts ...FFTNOptions) *Tensor { return fftn(&opRFFT2, t, opts, []int{-2, -1}) }

// IRFFT2 is IRFFT over two dimensions, the last unless options say otherwise (torch.fft.irfft2).
func (t *Tensor) IRFFT2(opts ...FFTNOptions) *Tensor { return fftn(&opIRFFT2, t, opts, []int{-2, -1}) }

// FFTN is FFT over several dimensions, all unless options say otherwise (torch.fft.fftn).
func (t *Tensor) FFTN(opts ...FFTNOptions) *Tensor { return fftn(&opFFTN, t, opts, nil) }

// IFFTN is IFFT over several dimensions, all unless options say otherwise (torch.fft.ifftn).
func (t *Tensor) IFFTN(opts ...FFTNOptions) *Tensor { return fftn(&opIFFTN, t, opts, nil) }

// RFFTN is RFFT over several dimensions, all unless options say otherwise (torch.fft.rfftn).
func (t *Tensor) RFFTN(opts ...FFTNOptions) *Tensor { return fftn(&opRFFTN, t, opts, nil) }

// IRFFTN is IRFFT over several dimensions, all unless options say otherwise (torch.fft.irfftn).
func (t *Tensor) IRFFTN(opts ...FFTNOptions) *Tensor { return fftn(&opIRFFTN, t, opts, nil) }

// FFTShift moves frequency 0 to the middle of dims, or of all dimensions (torch.fft.fftshift).
func (t *Tensor) FFTShift(dims ...int) *Tensor { return shiftDims(&opFFTShift, t, dims) }

// IFFTShift undoes FFTShift (torch.fft.ifftshift).
func (t *Tensor) IFFTShift(dims ...int) *Tensor { return shiftDims(&opIFFTShift, t, dims) }

func shiftDims(o *op.Op, t *Tensor, dims []int) *Tensor {
	var a op.Args
	put(&a, o, t)
	optDims(&a, dims)
	return result(o, &a)
}

// FFTFreq returns the frequencies of FFT's n results for samples d apart (torch.fft.fftfreq).
func FFTFreq(n int, d float64) *Tensor { return frequencies(&opFFTFreq, n, d) }

// RFFTFreq returns the frequencies of RFFT's results for n samples d apart (torch.fft.rfftfreq).
func RFFTFreq(n int, d float64) *Tensor { return frequencies(&opRFFTFreq, n, d) }

func frequencies(o *op.Op, n int, d float64) *Tensor {
	var a op.Args
	a.Int(int64(n))
	a.Float(d)
	Options{}.write(&a)
	return result(o, &a)
}
