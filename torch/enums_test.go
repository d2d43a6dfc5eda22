package torch_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn/functional"
	nninit "github.com/golite/golite/torch/nn/init"
)

// refusedValue wants an error of golite's, with the text.
func refusedValue(t *testing.T, want string, f func()) {
	t.Helper()
	err := torch.Try(f)
	var e *torch.Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, e.Error(), want)
	require.NotContains(t, e.Error(), "report a bug")
	require.NotContains(t, e.Error(), "INTERNAL ASSERT")
}

// Whatever value of an enumeration an operation is given, it runs or panics with an *Error; what is no constant of
// package torch is named.
func TestWildEnumerations(t *testing.T) {
	x := torch.Ones(2, 3, 4, 5)
	for i := range 256 {
		d, l, m := torch.DType(i), torch.Layout(i), torch.MemoryFormat(i)
		ways := map[string]func(){
			"To":            func() { x.To(d) },
			"ToCopy":        func() { x.ToCopy(d) },
			"Zeros":         func() { torch.Options{DType: d}.Zeros(2) },
			"Empty":         func() { torch.Options{DType: d}.Empty(2) },
			"Full":          func() { torch.Options{DType: d}.Full(1, 2) },
			"Scalar":        func() { torch.Options{DType: d}.Scalar(1) },
			"Arange":        func() { torch.Options{DType: d}.Arange(3) },
			"typed":         func() { aten.Sum(x, d) },
			"typed, needed": func() { aten.ViewDtype(x, d) },
			"Call":          func() { aten.Call("aten::sum", x, aten.Kw{"dtype": d}) },
			"Call, needed":  func() { aten.Call("aten::view.dtype", x, d) },
		}
		for name, f := range ways {
			if i > 46 {
				refusedValue(t, "not a torch.DType", f)
			} else if err := torch.Try(f); err != nil {
				require.ErrorContains(t, err, "aten::", "%s of %d", name, i)
			}
		}
		if i == 0 || i > 46 {
			refusedValue(t, "", func() { x.ViewDType(d) })
		}
		for _, f := range []func(){
			func() { torch.Options{Layout: l}.Zeros(2, 2) }, func() { aten.ToSparse(x, l, nil, nil) },
			func() { aten.Call("aten::to_sparse", x, aten.Kw{"layout": l}) },
		} {
			if err := torch.Try(f); i > 8 {
				require.ErrorContains(t, err, "is not a layout")
			}
		}
		for _, f := range []func(){
			func() { x.ToMemoryFormat(m) }, func() { x.CloneFormat(m) }, func() { x.ContiguousFormat(m) },
			func() { aten.Clone(x, m) },
			func() { aten.Call("aten::clone", x, aten.Kw{"memory_format": m}) },
		} {
			if err := torch.Try(f); i > 4 {
				require.ErrorContains(t, err, "is not a memory format")
			}
		}
	}
}

func TestWildDevices(t *testing.T) {
	x := torch.Ones(2)
	for name, c := range map[string]struct {
		device torch.Device
		want   string
	}{
		"CPU 1000":      {torch.Device{Type: torch.CPUType, Index: 1000}, "device index 1000: there is one cpu"},
		"CPU 1":         {torch.Device{Type: torch.CPUType, Index: 1}, "device index 1: there is one cpu"},
		"CPU -5":        {torch.Device{Type: torch.CPUType, Index: -5}, "device index -5: there is one cpu"},
		"CPU 256":       {torch.Device{Type: torch.CPUType, Index: 256}, "device index 256"},
		"meta 1":        {torch.Device{Type: torch.MetaType, Index: 1}, "device index 1: there is one meta"},
		"CUDA -5":       {torch.CUDA(-5), "device index -5 of cuda"},
		"CUDA -1":       {torch.CUDA(-1), "device index -1 of cuda"},
		"CUDA 128":      {torch.CUDA(128), "device index 128 of cuda"},
		"CUDA smallest": {torch.CUDA(math.MinInt), "of cuda"},
		"no type":       {torch.Device{Index: 3}, "has no type of device"},
		"type 22":       {torch.Device{Type: 22}, "has no type of device"},
		"type 255":      {torch.Device{Type: 255}, "has no type of device"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, f := range []func(){
				func() { x.To(c.device) }, func() { torch.Options{Device: c.device}.Zeros(2) },
				func() { torch.Options{Device: c.device}.Empty(2) },
				func() { torch.NewGeneratorOn(c.device, 1) }, func() { torch.DefaultGenerator(c.device) },
				func() { torch.WithDevice(c.device, func() { torch.Zeros(2) }) },
				func() { aten.Zeros([]int{2}, 0, 0, c.device, nil) },
				func() { aten.ToDevice(x, c.device, torch.Float32, false, false, 0) },
				func() { aten.Call("aten::zeros", []int{2}, aten.Kw{"device": c.device}) },
			} {
				refusedValue(t, c.want, f)
			}
		})
	}
	for kind := range 256 { // a type of libtorch's for which nothing is there
		_ = torch.Try(func() { x.To(torch.Device{Type: torch.DeviceType(kind)}) })
		_ = torch.Try(func() { torch.NewGeneratorOn(torch.Device{Type: torch.DeviceType(kind)}, 1) })
		_ = torch.Try(func() { torch.DefaultGenerator(torch.Device{Type: torch.DeviceType(kind)}) })
		_ = torch.Try(func() { amp.Autocast(torch.DeviceType(kind), torch.BFloat16, func() {}) })
	}
	require.Equal(t, torch.CPU, x.To(torch.Device{Type: torch.CPUType, Index: -1}).Device())
}

func TestWildValuesElsewhere(t *testing.T) {
	x, y := torch.Ones(1, 1, 4, 4), torch.Ones(1, 1, 4, 4)
	for name, f := range map[string]func(){
		"reduction":        func() { functional.MSELoss(x, y, functional.WeightedLossOptions{Reduction: 77}) },
		"pad mode":         func() { functional.Pad(x, []int{1, 1}, functional.PadOptions{Mode: 77}) },
		"pad mode, value":  func() { functional.Pad(x, []int{1, 1}, functional.PadOptions{Mode: 77, Value: 1}) },
		"interpolate mode": func() { functional.Interpolate(x, functional.InterpolateOptions{Size: []int{2}, Mode: 77}) },
		"grid mode": func() {
			functional.GridSample(x, torch.Zeros(1, 2, 2, 2),
				functional.GridSampleOptions{Mode: 77})
		},
		"grid padding": func() {
			functional.GridSample(x, torch.Zeros(1, 2, 2, 2),
				functional.GridSampleOptions{Padding: 77})
		},
		"bag mode": func() {
			functional.EmbeddingBag(torch.From([]int64{0}, 1, 1), torch.Ones(2, 2), functional.EmbeddingBagOptions{Mode: 77})
		},
		"rounding":     func() { x.DivMode(y, "up") },
		"nonlinearity": func() { nninit.CalculateGain(nninit.Nonlinearity(77)) },
		"autocast":     func() { amp.Autocast(torch.CPUType, torch.DType(200), func() {}) },
		"autocast int": func() { amp.Autocast(torch.CPUType, torch.Int64, func() {}) },
		"default":      func() { torch.SetDefaultDType(torch.DType(200)) },
	} {
		t.Run(name, func(t *testing.T) { refusedValue(t, "", f) })
	}
}
