package callsite

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
	require.True(t, strings.Contains((<-done).String(), "callsite_test.go"))
}

// What belongs to golite is one question, for the origins of errors and for the sites of collectives.
func TestInside(t *testing.T) {
	for _, tt := range []struct {
		function, file string
		inside         bool
	}{
		{"github.com/golite/golite/torch.(*Tensor).Add", "/m/torch/ops.go", true},
		{"github.com/golite/golite/torch/nn.(*Linear).Forward", "/m/torch/nn/linear.go", true},
		{"github.com/golite/golite/lite.(*Lite).Backward", "/m/lite/step.go", true},
		{"github.com/golite/golite/lite.Capture[...].func1", "/m/lite/capture.go", true},
		{"github.com/golite/golite/amp.(*GradScaler).Step", "/m/amp/scaler.go", true},
		{"github.com/golite/golite/dist.(*Group).AllReduce", "/m/dist/collectives.go", true},
		{"github.com/golite/golite/cgotorch.Call", "/m/cgotorch/call.go", true},
		{"github.com/golite/golite/internal/op.Call", "/m/internal/op/op.go", true},
		{"github.com/golite/golite/datasets/mnist.Train", "/m/datasets/mnist/mnist.go", true},
		{"reflect.Value.call", "/go/src/reflect/value.go", true},
		{"runtime.gopanic", "/go/src/runtime/panic.go", true},
		{"sync.(*Once).Do", "/go/src/sync/once.go", true},
		{"github.com/golite/golite/lite.onCPU", "/m/lite/capture_test.go", false},
		{"github.com/golite/golite/lite_test.TestBind", "/m/lite/setup_test.go", false},
		{"github.com/golite/golite/examples/gan.train", "/m/examples/gan/main.go", false},
		{"github.com/golite/golite/docs/convert/step1.train", "/m/docs/convert/step1/main.go", false},
		{"github.com/golite/golite/cmd/ckpt.run", "/m/cmd/ckpt/main.go", false},
		{"github.com/golite/golite/benchmarks/run.step", "/m/benchmarks/run/main.go", false},
		{"github.com/golite/golitex/torch.Add", "/x/torch/add.go", false},
		{"example.org/user/reflect.Walk", "/x/reflect/walk.go", false},
		{"main.main", "/x/main.go", false},
	} {
		require.Equal(t, tt.inside, Inside(tt.function, tt.file), tt.function)
	}
}

func itoa(n int) string {
	var b []byte
	for ; n > 0; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}
