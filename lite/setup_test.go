package lite_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func TestSetupRefuses(t *testing.T) {
	net := NewMLP()
	closure := func(x *torch.Tensor) *torch.Tensor { return net.Forward(x) }
	holed := &MLP{FC1: nn.NewLinear(784, 128)}
	var none *MLP
	sgd := optim.NewSGD(nn.Parameters(net), 0.1)
	for _, tt := range []struct {
		name, text string
		cfg        lite.Config
		setup      func(l *lite.Lite) error
	}{
		{"a closure", "is no method of *lite_test.MLP", lite.Config{},
			func(l *lite.Lite) error { _, err := lite.Setup(l, net, closure); return err }},
		{"a layer's method", "is no method of *lite_test.MLP: was it taken from another model?", lite.Config{},
			func(l *lite.Lite) error { _, err := lite.Setup(l, net, net.FC1.Forward); return err }},
		{"a method of another type", "is no method of *nn.Linear", lite.Config{},
			func(l *lite.Lite) error { _, err := lite.Setup(l, net.FC1, net.Loss); return err }},
		{"no function", "want a method", lite.Config{},
			func(l *lite.Lite) error { _, err := lite.Setup(l, net, 3); return err }},
		{"a nil forward", "is nil", lite.Config{},
			func(l *lite.Lite) error {
				_, err := lite.Setup(l, net, (func(*torch.Tensor) *torch.Tensor)(nil))
				return err
			}},
		{"a nil module", "is nil", lite.Config{},
			func(l *lite.Lite) error { _, err := lite.Setup(l, none, net.Forward); return err }},
		{"a nil field", "fc2", lite.Config{},
			func(l *lite.Lite) error { _, err := lite.Setup(l, holed, holed.Forward); return err }},
		{"a nil optimizer", "optimizer 0 is nil", lite.Config{},
			func(l *lite.Lite) error { _, err := lite.Setup(l, net, net.Forward, nil); return err }},
		{"a nil *SGD", "optimizer 1 is nil", lite.Config{},
			func(l *lite.Lite) error {
				_, err := lite.Setup(l, net, net.Forward, sgd, (*optim.SGD)(nil))
				return err
			}},
		{"no optimizer", "no optimizer", lite.Config{}, func(l *lite.Lite) error { return l.SetupOptimizers() }},
		{"two options", "at most one", lite.Config{},
			func(l *lite.Lite) error {
				_, err := lite.SetupModule(l, net, net.Forward, lite.ModuleOptions{}, lite.ModuleOptions{})
				return err
			}},
		{"LBFGS under a scaler", "LBFGS", lite.Config{Precision: "16-mixed"},
			func(l *lite.Lite) error {
				_, err := lite.Setup(l, net, net.Forward, optim.NewLBFGS(nn.Parameters(net), 1))
				return err
			}},
		{"a nil loader", "the loader is nil", lite.Config{},
			func(l *lite.Lite) error {
				_, err := lite.SetupDataLoader(l, (*data.Loader[data.Example])(nil))
				return err
			}},
		{"a bad loader", "batch size", lite.Config{},
			func(l *lite.Lite) error { _, err := lite.SetupDataLoader(l, digits(0, data.Options{})); return err }},
		{"no loaders", "no loader", lite.Config{},
			func(l *lite.Lite) error { _, err := lite.SetupDataLoaders[data.Example](l, nil); return err }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			on(t, tt.cfg, func(l *lite.Lite) { require.ErrorContains(t, tt.setup(l), tt.text) })
		})
	}
}

// Bind gives the model's other methods, and refuses what is none.
func TestBind(t *testing.T) {
	on(t, lite.Config{Precision: "bf16-mixed"}, func(l *lite.Lite) {
		net := NewMLP()
		model, err := lite.Setup(l, net, net.Forward)
		require.NoError(t, err)
		loss := lite.Bind(model, net.Loss)
		y := torch.Options{DType: torch.Int64}.Zeros(2)
		require.Equal(t, torch.Float32, loss(model.Forward(torch.Ones(2, 784)), y).DType())
		require.ErrorContains(t, torch.Try(func() { lite.Bind(model, net.FC1.Forward) }), "is no method of *lite_test.MLP")
		layer := lite.BindOf(model, func(n *MLP) func(*torch.Tensor) *torch.Tensor { return n.FC1.Forward })
		require.Equal(t, torch.Float32, layer(torch.Ones(2, 784)).DType())
		require.ErrorContains(t, torch.Try(func() {
			lite.BindOf(model, func(*MLP) func(*torch.Tensor) *torch.Tensor { return nil })
		}), "is nil")
	})
}

// The optimizer goes on working after the run, without it.
func TestOptimizerIsFreeAfterTheRun(t *testing.T) {
	net := NewMLP()
	opt := optim.NewSGD(nn.Parameters(net), 0.1)
	on(t, lite.Config{}, func(l *lite.Lite) {
		_, err := lite.Setup(l, net, net.Forward, opt)
		require.NoError(t, err)
	})
	before := net.FC2.Bias.ToBytes()
	net.Forward(torch.Ones(2, 784)).Sum().Backward()
	opt.Step()
	require.NotEqual(t, before, net.FC2.Bias.ToBytes())
}
