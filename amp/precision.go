package amp

import (
	"fmt"
	"strings"

	"github.com/golite/golite/torch"
)

// Precision is a policy of number formats, which lite applies to the models it sets up. A user's own is a plugin.
type Precision interface {
	// Name is the policy's name, such as "bf16-mixed".
	Name() string
	// ModuleDType is the type that Setup converts a model's floating parameters and buffers to; 0 leaves them.
	ModuleDType() torch.DType
	// Input converts a tensor given to a forward pass; Output one that comes out of it.
	Input(t *torch.Tensor) *torch.Tensor
	Output(t *torch.Tensor) *torch.Tensor
	// Forward runs f, a forward pass or whatever else should run as one, on a kind of device.
	Forward(device torch.DeviceType, f func())
	// Scaler returns the gradient scaler, nil if the policy has none.
	Scaler() *GradScaler
}

// names are the precisions that CanonicalName knows: Fabric's names first, then Lightning Lite's.
var names = map[string]string{
	"32-true": "32-true", "64-true": "64-true", "16-mixed": "16-mixed", "bf16-mixed": "bf16-mixed", "16-true": "16-true", "bf16-true": "bf16-true",
	"32": "32-true", "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed", "": "32-true",
}

// CanonicalName returns Fabric's name of a precision: "bf16-mixed" for "bf16".
func CanonicalName(name string) (string, error) {
	if n, ok := names[strings.ToLower(strings.TrimSpace(name))]; ok {
		return n, nil
	}
	return "", fmt.Errorf("precision %q is invalid: want 32-true, 64-true, 16-mixed, bf16-mixed, 16-true or bf16-true (or Lite's 32, 64, 16, bf16)", name)
}

// New makes the policy of that name for a device.
func New(name string, device torch.Device) (Precision, error) {
	n, err := CanonicalName(name)
	if err != nil {
		return nil, err
	}
	switch n {
	case "16-mixed":
		return &mixed{n, torch.Float16, NewGradScaler(ScalerOptions{Device: device})}, nil
	case "bf16-mixed":
		return &mixed{n, torch.BFloat16, nil}, nil
	case "64-true":
		return &whole{n, torch.Float64}, nil
	case "16-true":
		return &whole{n, torch.Float16}, nil
	case "bf16-true":
		return &whole{n, torch.BFloat16}, nil
	}
	return plain{}, nil
}

// plain is "32-true": nothing is converted.
type plain struct{}

func (plain) Name() string                         { return "32-true" }
func (plain) ModuleDType() torch.DType             { return 0 }
func (plain) Input(t *torch.Tensor) *torch.Tensor  { return t }
func (plain) Output(t *torch.Tensor) *torch.Tensor { return t }
func (plain) Forward(_ torch.DeviceType, f func()) { f() }
func (plain) Scaler() *GradScaler                  { return nil }

// mixed keeps parameters in float32 and runs the forward pass under autocast.
type mixed struct {
	name   string
	dtype  torch.DType
	scaler *GradScaler
}

func (p *mixed) Name() string                         { return p.name }
func (p *mixed) ModuleDType() torch.DType             { return 0 }
func (p *mixed) Input(t *torch.Tensor) *torch.Tensor  { return convert(t, p.dtype) }
func (p *mixed) Output(t *torch.Tensor) *torch.Tensor { return convert(t, torch.DefaultDType()) }
func (p *mixed) Scaler() *GradScaler                  { return p.scaler }
func (p *mixed) Forward(device torch.DeviceType, f func()) {
	Autocast(device, p.dtype, f)
}

// whole converts the model itself, and makes its type the goroutine's default while a forward pass runs.
type whole struct {
	name  string
	dtype torch.DType
}

func (p *whole) Name() string                         { return p.name }
func (p *whole) ModuleDType() torch.DType             { return p.dtype }
func (p *whole) Input(t *torch.Tensor) *torch.Tensor  { return convert(t, p.dtype) }
func (p *whole) Output(t *torch.Tensor) *torch.Tensor { return convert(t, torch.DefaultDType()) }
func (p *whole) Scaler() *GradScaler                  { return nil }
func (p *whole) Forward(_ torch.DeviceType, f func()) {
	torch.WithDefaultDType(p.dtype, f)
}

// convert changes a floating tensor's type; integers and truth values are left alone.
func convert(t *torch.Tensor, d torch.DType) *torch.Tensor {
	if have := t.DType(); have == d || !have.IsFloating() {
		return t
	}
	return t.To(d)
}
