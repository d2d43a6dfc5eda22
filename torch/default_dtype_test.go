package torch

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// defaults gives the types of what is made or promoted without one: by golite, and inside of libtorch.
func defaults() (types []DType) {
	Scope(func() {
		whole := From([]int64{1, 2})
		for _, x := range []*Tensor{Zeros(2), Rand(2), Full(1, 2), Arange(0.5, 2), Linspace(0, 1, 3), Eye(2),
			whole.MulScalar(0.5), whole.Div(whole), whole.Sqrt(), Options{}.Scalar(1)} {
			types = append(types, x.DType())
		}
		types = append(types, DefaultDType())
	})
	return types
}

func all(d DType) []DType {
	types := make([]DType, 11)
	for i := range types {
		types[i] = d
	}
	return types
}

// A goroutine's default type is what libtorch itself goes by, and no other goroutine's.
func TestDefaultDTypeIsTheGoroutines(t *testing.T) {
	require.Equal(t, all(Float32), defaults())
	WithDefaultDType(Float64, func() {
		require.Equal(t, all(Float64), defaults())
		WithDefaultDType(BFloat16, func() { require.Equal(t, all(BFloat16), defaults()) })
		require.Equal(t, all(Float64), defaults())
		Scope(func() {
			require.Equal(t, Complex128, callScalar(&opMulScalar, From([]int64{1}), ComplexNumber(1i)).DType())
		})

		others := make(chan []DType)
		go func() { others <- defaults() }()
		require.Equal(t, all(Float32), <-others)
	})
	require.Equal(t, all(Float32), defaults())

	require.Error(t, Try(func() { WithDefaultDType(Float64, func() { Fail("test", "enough") }) }))
	require.Equal(t, all(Float32), defaults(), "a panic ends it")
	require.ErrorContains(t, Try(func() { WithDefaultDType(Int64, func() {}) }), "floating")
}

// The process's default is that of every goroutine without its own.
func TestDefaultDTypeOfTheProcess(t *testing.T) {
	require.Equal(t, Float32, SetDefaultDType(Float64))
	defer SetDefaultDType(Float32)
	require.Equal(t, all(Float64), defaults())
	WithDefaultDType(Float32, func() {
		require.Equal(t, all(Float32), defaults())
		require.Equal(t, Float64, SetDefaultDType(Float64), "what the process had")
	})
	others := make(chan []DType)
	go func() { others <- defaults() }()
	require.Equal(t, all(Float64), <-others)
}
