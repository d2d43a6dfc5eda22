package lite_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
)

// next is the line after its caller's.
func next() string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf(" at %s:%d]", file, line+1)
}

// An error that comes up inside of lite names the user's line, not lite's own.
func TestErrorsNameTheUsersLine(t *testing.T) {
	on(t, lite.Config{Precision: "16-mixed"}, func(l *lite.Lite) {
		_, model, opt := setUpLine(t, l)
		net := newDecoder()
		decoder, err := lite.Setup(l, net, net.Forward)
		require.NoError(t, err)
		model.Forward(torch.Ones(2, 3)).Sum().Backward() // without l, which the step refuses
		var place string
		for _, tt := range []struct {
			called string
			f      func()
		}{
			{"optim.(*Base).Step", func() {
				place = next()
				opt.Step()
			}},
			{"lite.(*Lite).ClipGradNorm", func() {
				place = next()
				l.ClipGradNorm(model, opt, 1)
			}},
			{"lite.(*Lite).NoBackwardSync", func() {
				place = next()
				l.NoBackwardSync(nil, true, func() {})
			}},
			{"lite.(*Lite).Backward", func() {
				place = next()
				l.Backward(torch.Options{RequiresGrad: true}.Ones(2))
			}},
			{"nn.(*Linear).Forward", func() { // in the model's own method, not where that was called by reflection
				place = " at"
				decoder.Forward(sample{X: torch.Ones(4, 7), Index: torch.Ones(1)}, &cache{}, nil)
			}},
		} {
			err := torch.Try(tt.f)
			require.ErrorContains(t, err, tt.called+place)
			require.NotContains(t, err.Error(), "lite/step.go")
			require.NotContains(t, err.Error(), "lite/method.go")
		}
	})
}
