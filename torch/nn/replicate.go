package nn

import (
	"reflect"

	"github.com/golite/golite/torch"
)

// Replicate makes a copy of a model for each device, to run parts of a batch at the same time
// (torch.nn.parallel.replicate). The model lies on the first of them. Parameters are copied so that the gradients of
// all copies add up in the model's, the devices in their order; buffers are copied as they are. The first copy's
// tensors share the model's memory: what it writes in place, such as running statistics, stays. All else is copied as
// by Clone, so that a field which a copy sets is lost with it. The copies are for one forward pass, and their tensors
// belong to the scope.
//
// A parameter that no copy uses gets no gradient (PyTorch's gets zeros).
func Replicate[M Module](m M, devices []torch.Device) []M {
	const operation = "nn.Replicate"
	if len(devices) == 0 {
		torch.Fail(operation, "want a device for each copy, got none")
	}
	copies := make([]map[*torch.Tensor]*torch.Tensor, len(devices))
	for k := range copies {
		copies[k] = map[*torch.Tensor]*torch.Tensor{}
	}
	tree(operation, m).each(func(n *node) bool {
		for _, list := range [][]entry{n.params, n.buffers} {
			for _, e := range list {
				if copies[0][e.tensor] != nil {
					continue
				}
				if d := e.tensor.Device(); d != devices[0] {
					torch.Fail(operation, "%s is on %s: the model must lie on the first device, %s", join(n.path, e.key), d,
						devices[0])
				}
				for k, t := range spread(e.tensor, devices) {
					copies[k][e.tensor] = t
				}
			}
		}
		return true
	})
	out := make([]M, len(devices))
	for k := range out {
		c := &cloner{tensors: copies[k], pointers: map[visit]reflect.Value{}}
		v := reflect.New(reflect.TypeFor[M]()).Elem()
		v.Set(reflect.ValueOf(m))
		c.value(v)
		out[k] = v.Interface().(M)
	}
	return out
}

// spread copies a tensor to all devices but the first, which gets the tensor's own memory. No tensor on the way has
// more than two users: the sum of two gradients doesn't depend on which comes first, that of more would differ from
// step to step.
func spread(t *torch.Tensor, devices []torch.Device) []*torch.Tensor {
	out := make([]*torch.Tensor, len(devices))
	if !torch.GradEnabled() || !t.RequiresGrad() {
		torch.NoGrad(func() {
			for k, d := range devices[1:] {
				out[k+1] = t.ToCopy(d)
			}
		})
		out[0] = t
		return out
	}
	for k := len(devices) - 1; k > 0; k-- {
		out[k] = recordedCopy(t, devices[k])
		t = t.Alias()
	}
	out[0] = t
	return out
}

// recordedCopy is t.ToCopy(to) for gradients of any layout: libtorch's own refuses those of a sparse embedding.
func recordedCopy(t *torch.Tensor, to torch.Device) *torch.Tensor {
	from := t.Device()
	f := &torch.Function{
		Name: "nn.Replicate",
		Forward: func(_ *torch.FunctionCtx, in []*torch.Tensor) []*torch.Tensor {
			return []*torch.Tensor{in[0].ToCopy(to)}
		},
		Backward: func(_ *torch.FunctionCtx, grads []*torch.Tensor) []*torch.Tensor {
			return []*torch.Tensor{grads[0].To(from)}
		},
	}
	return f.Apply(t)[0]
}
