package stacks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/stacks"
)

func TestStacksOfAllGoroutinesWithinALimit(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	for range 400 { // more than fit into the first attempt
		go parked(stop)
	}
	all := ""
	require.Eventually(t, func() bool {
		all = string(stacks.All(1 << 20))
		return strings.Count(all, "stacks_test.parked(") == 400
	}, 10*time.Second, 10*time.Millisecond, "all have come into their function")
	require.True(t, strings.HasPrefix(all, "goroutine "))
	require.Len(t, stacks.All(1000), 1000)
}

//go:noinline
func parked(stop <-chan struct{}) { <-stop }
