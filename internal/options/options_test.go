package options

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

type someOptions struct{ N int }

func TestOne(t *testing.T) {
	o, err := One[someOptions](nil)
	require.NoError(t, err)
	require.Zero(t, o)
	o, err = One([]someOptions{{3}})
	require.NoError(t, err)
	require.Equal(t, someOptions{3}, o)
	_, err = One([]someOptions{{3}, {4}})
	require.EqualError(t, err, "want at most one someOptions, got 2")
	_, err = One([]float64{1, 2, 3})
	require.EqualError(t, err, "want at most one float64, got 3")
}

func TestMust(t *testing.T) {
	var said string
	fail := func(operation, format string, args ...any) { said = operation + ": " + fmt.Sprintf(format, args...) }
	require.Equal(t, someOptions{3}, Must("f", []someOptions{{3}}, fail))
	require.Empty(t, said)
	Must("f", []someOptions{{3}, {4}}, fail)
	require.Equal(t, "f: want at most one someOptions, got 2", said)
}
