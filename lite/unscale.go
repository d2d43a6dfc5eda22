package lite

import "github.com/golite/golite/torch/optim"

// Unscale undoes the scaler's factor in the gradients of an optimizer that was set up, for programs that read or change
// them before Step (GradScaler.unscale_). ClipGradNorm and ClipGradValue do it by themselves. Without a scaler it does
// nothing.
func (l *Lite) Unscale(o optim.Optimizer) { l.unscale(o) }

// Sharded reports whether the strategy divides parameters among the ranks, so that a rank's tensors are parts: of such a
// model Save, SaveSharded and Load read and write the whole.
func (l *Lite) Sharded() bool { return l.parts.checkpoint != nil && l.rank.WorldSize > 1 }
