package callers

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:noinline
func where() (o Origin) {
	Here(&o)
	return o
}

func TestOriginNamesTheCaller(t *testing.T) {
	_, file, line, _ := runtime.Caller(0)
	o := where() // one line below
	require.Contains(t, o.String(), file)
	require.Contains(t, o.String(), ":"+itoa(line+1))
	require.Empty(t, Origin{}.String())
}

func TestOriginStopsAtTheEndOfTheStack(t *testing.T) {
	done := make(chan Origin)
	go func() { done <- where() }()
	require.True(t, strings.Contains((<-done).String(), "callers_test.go"))
}

func itoa(n int) string {
	var b []byte
	for ; n > 0; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}
