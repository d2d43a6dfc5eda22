package ptfile

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// Number returns one element as a complex number; integers beyond 2^53 are rounded. p holds the element's bytes.
func (d DType) Number(p []byte) complex128 {
	le := binary.LittleEndian
	switch d {
	case "complex128":
		return complex(math.Float64frombits(le.Uint64(p)), math.Float64frombits(le.Uint64(p[8:])))
	case "complex64":
		return complex(float64(math.Float32frombits(le.Uint32(p))), float64(math.Float32frombits(le.Uint32(p[4:]))))
	case "complex32":
		return complex(half(le.Uint16(p)), half(le.Uint16(p[2:])))
	case "uint64":
		return complex(float64(le.Uint64(p)), 0)
	}
	if f, ok := d.float(p); ok {
		return complex(f, 0)
	}
	return complex(float64(d.integer(p)), 0)
}

// float decodes the floating types.
func (d DType) float(p []byte) (float64, bool) {
	le := binary.LittleEndian
	switch d {
	case "float64":
		return math.Float64frombits(le.Uint64(p)), true
	case "float32":
		return float64(math.Float32frombits(le.Uint32(p))), true
	case "bfloat16":
		return float64(math.Float32frombits(uint32(le.Uint16(p)) << 16)), true
	case "float16":
		return half(le.Uint16(p)), true
	case "float8_e5m2":
		return half(uint16(p[0]) << 8), true
	case "float8_e4m3fn":
		return small(p[0], 3, 7, p[0]&0x7f == 0x7f), true
	case "float8_e4m3fnuz":
		return small(p[0], 3, 8, p[0] == 0x80), true
	case "float8_e5m2fnuz":
		return small(p[0], 2, 16, p[0] == 0x80), true
	case "float8_e8m0fnu":
		if p[0] == 0xff {
			return math.NaN(), true
		}
		return math.Ldexp(1, int(p[0])-127), true
	}
	return 0, false
}

// integer decodes the integers; two packed 4-bit floats are given as their byte.
func (d DType) integer(p []byte) int64 {
	le := binary.LittleEndian
	switch d {
	case "int64", "uint64":
		return int64(le.Uint64(p))
	case "int32":
		return int64(int32(le.Uint32(p)))
	case "uint32":
		return int64(le.Uint32(p))
	case "int16":
		return int64(int16(le.Uint16(p)))
	case "uint16":
		return int64(le.Uint16(p))
	case "int8":
		return int64(int8(p[0]))
	}
	return int64(p[0])
}

// half decodes IEEE's 16-bit floats.
func half(u uint16) float64 {
	sign, exp, frac := 1.0, int(u>>10&0x1f), float64(u&0x3ff)
	if u>>15 != 0 {
		sign = -1
	}
	switch exp {
	case 0:
		return sign * math.Ldexp(frac, -24)
	case 31:
		if frac != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}

// small decodes an 8-bit float with the given bits of fraction and exponent bias.
func small(u byte, bits, bias int, nan bool) float64 {
	if nan {
		return math.NaN()
	}
	sign, exp, frac := 1.0, int(u&0x7f)>>bits, float64(u&(1<<bits-1))
	if u>>7 != 0 {
		sign = -1
	}
	if exp == 0 {
		return sign * math.Ldexp(frac, 1-bias-bits)
	}
	return sign * math.Ldexp(float64(int(1)<<bits)+frac, exp-bias-bits)
}

// Format writes one element as text, exactly.
func (d DType) Format(p []byte) string {
	switch d {
	case "bool":
		return strconv.FormatBool(p[0] != 0)
	case "uint64":
		return strconv.FormatUint(binary.LittleEndian.Uint64(p), 10)
	case "complex128", "complex64", "complex32":
		return fmt.Sprint(d.Number(p))
	case "float32":
		return strconv.FormatFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(p))), 'g', -1, 32)
	}
	if f, ok := d.float(p); ok {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return strconv.FormatInt(d.integer(p), 10)
}
