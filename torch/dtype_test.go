package torch

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// roundTrip takes values through a tensor, as a slice, one by one, and as bytes.
func roundTrip[E Elem](t *testing.T, dtype DType, values ...E) {
	t.Helper()
	Scope(func() {
		x := From(values)
		require.Equal(t, dtype, x.DType())
		require.Equal(t, values, ToSlice[E](x))
		for i, v := range values {
			require.Equal(t, v, Item[E](x.Select(0, i)), "%s, item %d", dtype, i)
		}
		require.True(t, FromBytes(x.ToBytes(), dtype, len(values)).Equal(x))
		require.Equal(t, values, ToSlice[E](x.View(1, -1).Expand(2, -1).Select(0, 1)))
	})
}

func TestElementsSurvive(t *testing.T) {
	roundTrip(t, Bool, true, false)
	roundTrip(t, UInt8, uint8(0), math.MaxUint8)
	roundTrip(t, Int8, int8(math.MinInt8), math.MaxInt8)
	roundTrip(t, Int16, int16(math.MinInt16), math.MaxInt16)
	roundTrip(t, Int32, int32(math.MinInt32), math.MaxInt32)
	roundTrip(t, Int64, int64(math.MinInt64), math.MaxInt64)
	roundTrip(t, Int64, math.MinInt, math.MaxInt)
	roundTrip(t, UInt16, uint16(0), math.MaxUint16)
	roundTrip(t, UInt32, uint32(0), math.MaxUint32)
	roundTrip(t, UInt64, uint64(0), 1<<63, math.MaxUint64)
	roundTrip(t, Float32, float32(-0.1), math.MaxFloat32, math.SmallestNonzeroFloat32)
	roundTrip(t, Float64, -0.1, math.MaxFloat64, math.SmallestNonzeroFloat64)
	roundTrip(t, Complex64, complex64(1+2i), -3i)
	roundTrip(t, Complex128, 1+2i, -3i)
}

// Every type holds small numbers, and gives them back as the Go type that is wide enough.
func TestEveryDType(t *testing.T) {
	for _, d := range []DType{Bool, UInt8, Int8, Int16, Int32, Int64, UInt16, UInt32, UInt64, Float16, BFloat16, Float32,
		Float64,
		Float8E4M3FN, Float8E5M2, Float8E4M3FNUZ, Float8E5M2FNUZ, Complex32, Complex64, Complex128} {
		t.Run(d.String(), func(t *testing.T) {
			Scope(func() {
				x := From([]float32{0, 1, 1}).To(d)
				require.Equal(t, d, x.DType())
				require.Len(t, x.ToBytes(), 3*d.Size())
				switch {
				case d.IsComplex():
					require.Equal(t, []complex128{0, 1, 1}, ToSlice[complex128](x))
				case d.IsFloating():
					require.Equal(t, []float64{0, 1, 1}, ToSlice[float64](x))
				case d == UInt64:
					require.Equal(t, []uint64{0, 1, 1}, ToSlice[uint64](x))
				default:
					require.Equal(t, []int64{0, 1, 1}, ToSlice[int64](x))
				}
				parsed, err := ParseDType(d.String())
				require.NoError(t, err)
				require.Equal(t, d, parsed)
			})
		})
	}
}

func TestConversionsThatWouldLose(t *testing.T) {
	for name, f := range map[string]func(){
		"float to int":        func() { ToSlice[int64](Ones(2)) },
		"wide to narrow":      func() { ToSlice[float32](Options{DType: Float64}.Ones(2)) },
		"int64 to float64":    func() { ToSlice[float64](Options{DType: Int64}.Ones(2)) },
		"signed to unsigned":  func() { ToSlice[uint64](Options{DType: Int32}.Ones(2)) },
		"uint64 to int64":     func() { ToSlice[int64](Options{DType: UInt64}.Ones(2)) },
		"complex to real":     func() { ToSlice[float64](Options{DType: Complex64}.Ones(2)) },
		"a number to a truth": func() { ToSlice[bool](Options{DType: UInt8}.Ones(2)) },
	} {
		require.ErrorContains(t, Try(f), "convert it first, with To(", name)
	}
	require.ErrorContains(t, Try(func() { From([]int{1, 2, 3}, 2, 2) }), "3 elements don't fill the shape [2, 2]")
	require.ErrorContains(t, Try(func() { FromBytes(make([]byte, 7), Float32, 2) }), "7 bytes don't fill")
}

// Tensors without memory are told apart all the same.
func TestStoragesWithoutMemory(t *testing.T) {
	Scope(func() {
		for _, o := range []Options{{Device: Meta}, {}} {
			x := o.Zeros(0, 3)
			require.True(t, x.SameStorage(x.View(3, 0)))
			require.False(t, x.SameStorage(o.Zeros(0, 3)))
			require.False(t, x.SameStorage(x.To(BFloat16)))
		}
	})
}
