package nn

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// ToMemoryFormat lays the memory of a model's parameters and buffers out anew (torch.nn.Module.to with memory_format):
// those of 4 dimensions with torch.ChannelsLast, as convolutions on a GPU in 16 bits are fastest, of 5 with
// torch.ChannelsLast3d, of both with torch.ContiguousFormat; others stay as they are. Shapes and values stay the same,
// and so do the Parameters, as with To. Inputs should have the format too (Tensor.ToMemoryFormat): each layer's output
// then has it. Other formats panic.
func ToMemoryFormat(m Module, f torch.MemoryFormat) {
	dims := map[torch.MemoryFormat][]int{torch.ChannelsLast: {4}, torch.ChannelsLast3d: {5},
		torch.ContiguousFormat: {4, 5}}[f]
	if dims == nil {
		torch.Fail("nn.ToMemoryFormat", "want torch.ChannelsLast, torch.ChannelsLast3d or torch.ContiguousFormat, got %v", f)
	}
	seen := map[*torch.Tensor]bool{}
	tree("nn.ToMemoryFormat", m).each(func(n *node) bool {
		for _, list := range [][]entry{n.params, n.buffers} {
			for _, e := range list {
				for _, d := range dims {
					if e.tensor.Dim() == d && !seen[e.tensor] {
						seen[e.tensor] = true
						relay(e.tensor, f)
					}
				}
			}
		}
		return true
	})
}

// relay gives t and its gradient memory of another layout; what is made on the way belongs to no scope.
func relay(t *torch.Tensor, f torch.MemoryFormat) {
	torch.NoScope(func() {
		torch.NoGrad(func() {
			grad := t.Grad()
			t.SetData(aten.Detach(t).ToMemoryFormat(f))
			if grad != nil {
				t.SetGrad(aten.Detach(grad).ToMemoryFormat(f))
			}
		})
	})
}
