package launch

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

type named string

func (n named) Name() string                     { return string(n) }
func (named) Launch(context.Context, *Job) error { return nil }

func TestRegistry(t *testing.T) {
	require.Equal(t, []string{"external", "goroutines", "here", "processes"}, Names())
	for _, name := range Names() {
		l, known := Named(name)
		require.True(t, known)
		require.Equal(t, name, l.Name())
	}
	_, known := Named("ssh")
	require.False(t, known)
	require.PanicsWithValue(t, `launch.Register: a launch.named is named "here": want a name that is not empty, and not another launcher's (launch.Here)`,
		func() { Register(named("here")) })
	require.Panics(t, func() { Register(named("")) })
}
