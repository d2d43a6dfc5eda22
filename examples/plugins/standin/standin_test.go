package standin_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.org/standin"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// steps is how many optimizer steps train makes on each of n ranks.
func steps(ranks int) int { return 3 * 4 / ranks }

// train makes 3 passes over 4 batches, and returns the parameters of rank 0.
func train(t *testing.T, cfg lite.Config) []float32 {
	t.Helper()
	values, err := lite.RunValue(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) ([]float32, error) {
		l.SeedEverything(7)
		net := nn.NewLinear(2, 1)
		opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return nil, err
		}
		ds := data.NewTensorDataset(torch.Randn(16, 2), torch.Randn(16, 1))
		loader, err := lite.SetupDataLoader(l, data.NewLoader(ds, 4))
		if err != nil {
			return nil, err
		}
		for range 3 {
			for b, err := range loader.Batches(ctx) {
				if err != nil {
					return nil, err
				}
				opt.ZeroGrad()
				l.Backward(F.MSELoss(model.Forward(b.Input), b.Target))
				opt.Step()
			}
		}
		return append(torch.ToSlice[float32](net.Weight.Detach()), torch.ToSlice[float32](net.Bias.Detach())...), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// A stand-in gives the CPU's numbers by value, by name, by its alias, among the plugins and from the environment; lite
// asks it for what it can do, and for that alone.
func TestStandInTrains(t *testing.T) {
	for _, c := range []struct {
		devices  lite.Devices
		strategy string // of the CPU, for what the stand-in chooses
		ranks    int
	}{{"1", "single_device", 1}, {"2", "ddp_spawn", 2}} {
		t.Run(c.strategy, func(t *testing.T) {
			want := train(t, lite.Config{Accelerator: "cpu", Devices: c.devices, Strategy: c.strategy})
			for name, cfg := range map[string]lite.Config{
				"name":   {Accelerator: "standin"},
				"alias":  {Accelerator: "Toy"},
				"value":  {Accelerator: standin.Accelerator{Visible: 2}},
				"plugin": {Plugins: []any{standin.Accelerator{Visible: 2}}},
			} {
				cfg.Devices = c.devices
				if got := train(t, cfg); !slices.Equal(got, want) {
					t.Errorf("by %s: %v, on the CPU %v", name, got, want)
				}
			}
			t.Run("environment", func(t *testing.T) {
				t.Setenv("LITE_ACCELERATOR", "standin")
				if got := train(t, lite.Config{Devices: c.devices}); !slices.Equal(got, want) {
					t.Errorf("%v, on the CPU %v", got, want)
				}
			})

			calls := &standin.Calls{}
			train(t, lite.Config{Accelerator: standin.Accelerator{Visible: 2, Calls: calls}, Devices: c.devices})
			got := calls.Count()
			for method, n := range map[string]int{
				"Select": 1, "DefaultStrategy": 1, "CheckPrecision": 1,
				"With": c.ranks, "Seed": c.ranks, "Stage": c.ranks, "ready": c.ranks * steps(c.ranks),
				"SyncStep": c.ranks * (steps(c.ranks) + 1), // after each step, and at the end
				"Branch":   0, "Generator": 0,
			} {
				if got[method] != n {
					t.Errorf("%s was called %d times, not %d", method, got[method], n)
				}
			}
			if got["Probe"] == 0 || c.ranks > 1 && got["Backend"] == 0 {
				t.Errorf("Probe was called %d times, Backend %d times", got["Probe"], got["Backend"])
			}
		})
	}
}

// Strategy "dp" is for accelerators that can branch.
func TestStandInRunsReplicas(t *testing.T) {
	calls := &standin.Calls{}
	train(t, lite.Config{Accelerator: standin.Accelerator{Visible: 2, Calls: calls}, Devices: "2", Strategy: "dp"})
	if n := calls.Count()["Branch"]; n != steps(1) {
		t.Errorf("Branch was called %d times, not %d", n, steps(1))
	}
}

// Checkpoints keep the state of the device's generator.
func TestStandInResumesItsGenerator(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.pt")
	cfg := lite.Config{Accelerator: "standin", Devices: "1"}
	draw := func() []float32 {
		var list []float32
		a := standin.Accelerator{}
		torch.WithGenerator(a.Generator(torch.CPU), func() { list = torch.ToSlice[float32](torch.Rand(4)) })
		return list
	}
	err := lite.Run(t.Context(), cfg, func(_ context.Context, l *lite.Lite) error {
		l.SeedEverything(3)
		begun := draw()
		net := nn.NewLinear(1, 1)
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		if err := l.Save(path, lite.State{"model": model, "opt": opt}); err != nil {
			return err
		}
		want := draw()
		l.SeedEverything(3)
		if got := draw(); !slices.Equal(got, begun) {
			t.Errorf("SeedEverything left the device's generator: %v, not %v", got, begun)
		}
		l.SeedEverything(4)
		if _, err := l.Load(path, lite.State{"model": model, "opt": opt}); err != nil {
			return err
		}
		if got := draw(); !slices.Equal(got, want) {
			t.Errorf("after Load: %v, not %v", got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStandInRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  lite.Config
		want string
	}{
		"too many":                     {lite.Config{Accelerator: "standin", Devices: "5"}, "asks for cpu:4: indices of the 4 visible go from 0 to 3"},
		"precision":                    {lite.Config{Accelerator: "standin", Precision: "64"}, "a stand-in has no 64-bit floating point"},
		"none":                         {lite.Config{Accelerator: standin.Accelerator{}}, `there is no stand-in (Visible is 0); use accelerator "cpu"`},
		"a slip":                       {lite.Config{Accelerator: "stand-in"}, "the names are auto, cpu, gpu, cuda, mps, toy, standin"},
		"in the machine's description": {lite.Config{Accelerator: "stand-in"}, "standin:3 (stand-in)"},
	} {
		t.Run(name, func(t *testing.T) {
			err := lite.Run(t.Context(), c.cfg, func(context.Context, *lite.Lite) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}
