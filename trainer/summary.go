package trainer

import (
	"fmt"
	"os"

	"github.com/golite/golite/torch/nn"
)

// ModelSummary writes nn.Summary's table of the module before training, to the standard error of rank 0
// (lightning.pytorch.callbacks.ModelSummary).
type ModelSummary struct{}

// OnFitStart writes the table.
func (*ModelSummary) OnFitStart(t *Trainer) error {
	if t.l.IsGlobalZero() {
		fmt.Fprintln(os.Stderr, nn.Summary(t.model.Module))
	}
	return nil
}
