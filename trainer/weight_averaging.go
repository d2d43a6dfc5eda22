package trainer

import (
	"errors"
	"fmt"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// WeightAveraging keeps an average of the module's weights as it is trained
// (lightning.pytorch.callbacks.WeightAveraging, EMAWeightAveraging). Validation runs with the average, checkpoints have it
// as their weights, beside the module's own, and the module has it at the end of Fit. Strategies that divide weights among
// the ranks are refused.
type WeightAveraging struct {
	// Average is how weights are averaged, such as optim.EMA(0.999). nil: the mean of all.
	Average optim.Averager
	// NoBuffers copies buffers from the module instead of averaging them (use_buffers=False).
	NoBuffers bool
	// EveryNSteps is at which steps the average takes the weights. 0: 1, unless StartingAtEpoch is set. -1: at none.
	EveryNSteps int
	// StartingAtStep is the first step, from 0, at which it does.
	StartingAtStep int
	// StartingAtEpoch is the epoch, from 0, from which on it takes the weights at the end of each. nil: at none.
	StartingAtEpoch *int

	average     *optim.AveragedModel[nn.Module]
	step, epoch int
	pending     *torch.StateDict // loaded, for OnFitStart
	current     any
}

// Averaged returns the average, nil before Fit.
func (c *WeightAveraging) Averaged() *optim.AveragedModel[nn.Module] { return c.average }

// OnFitStart makes the average.
func (c *WeightAveraging) OnFitStart(t *Trainer) error {
	if t.l.Sharded() {
		return errors.New("WeightAveraging has whole weights to average, and the strategy divides them among the ranks: use ddp")
	}
	c.average = optim.NewAveragedModel(t.model.Module, optim.AveragedModelOptions{Average: c.Average, Buffers: !c.NoBuffers})
	if c.pending == nil {
		return nil
	}
	err := c.average.LoadStateDict(c.pending)
	if err == nil {
		var sd *torch.StateDict
		if sd, err = stateDictOf(c.current); err == nil {
			err = nn.LoadStateDict(t.model.Module, sd)
		}
	}
	c.pending, c.current = nil, nil
	return err
}

// OnTrainBatchEnd takes the weights after a step.
func (c *WeightAveraging) OnTrainBatchEnd(t *Trainer, _ *torch.Tensor, _ any, _ int) error {
	every := c.EveryNSteps
	if every == 0 && c.StartingAtEpoch == nil {
		every = 1
	}
	at := t.GlobalStep() - 1
	if t.GlobalStep() > c.step && every > 0 && at >= c.StartingAtStep && at%every == 0 {
		c.average.Update(t.model.Module)
		c.step = t.GlobalStep()
	}
	return nil
}

// OnTrainEpochEnd takes the weights at the end of an epoch.
func (c *WeightAveraging) OnTrainEpochEnd(t *Trainer) error {
	if c.StartingAtEpoch != nil && t.Epoch() >= *c.StartingAtEpoch && t.Epoch() >= c.epoch {
		c.average.Update(t.model.Module)
		c.epoch = t.Epoch() + 1
	}
	return nil
}

// OnValidationEpochStart gives the module the average.
func (c *WeightAveraging) OnValidationEpochStart(t *Trainer) error { return c.swap(t) }

// OnValidationEpochEnd gives the module its own weights back.
func (c *WeightAveraging) OnValidationEpochEnd(t *Trainer) error { return c.swap(t) }

// OnTrainEnd leaves the average in the module.
func (c *WeightAveraging) OnTrainEnd(t *Trainer) error {
	return nn.LoadStateDict(t.model.Module, nn.StateDict(c.average.Module))
}

// swap exchanges the values of module and average.
func (c *WeightAveraging) swap(t *Trainer) error {
	if c.average == nil || t.stage != Fitting {
		return nil
	}
	torch.NoGrad(func() {
		torch.Scope(func() {
			own := nn.StateDict(t.model.Module)
			for name, a := range nn.StateDict(c.average.Module).All() {
				if m, ok := own.Get(name); ok {
					kept := a.Clone()
					a.Copy_(m)
					m.Copy_(kept)
				}
			}
		})
	})
	return nil
}

// StateDict returns when the average last took the weights.
func (c *WeightAveraging) StateDict() map[string]any {
	return map[string]any{"latest_update_step": c.step, "latest_update_epoch": c.epoch - 1}
}

// LoadStateDict takes a state of StateDict's or Lightning's.
func (c *WeightAveraging) LoadStateDict(s map[string]any) error {
	c.step, c.epoch = intOf(s["latest_update_step"]), 0
	if _, ok := s["latest_update_epoch"]; ok {
		c.epoch = intOf(s["latest_update_epoch"]) + 1
	}
	return nil
}

// OnSaveCheckpoint puts the average in the place of the weights, and these beside it.
func (c *WeightAveraging) OnSaveCheckpoint(t *Trainer, checkpoint map[string]any) error {
	if c.average == nil {
		return nil
	}
	checkpoint["current_model_state"] = checkpoint["state_dict"]
	checkpoint["state_dict"] = nn.StateDict(c.average.Module)
	n, _ := c.average.StateDict().Get("n_averaged")
	checkpoint["averaging_state"] = map[string]any{"n_averaged": n}
	return nil
}

// OnLoadCheckpoint keeps the average for OnFitStart.
func (c *WeightAveraging) OnLoadCheckpoint(t *Trainer, checkpoint map[string]any) error {
	averaging, ok := checkpoint["averaging_state"]
	if !ok || t.stage != Fitting {
		return nil
	}
	state, err := tensorsOf(averaging)
	if err != nil {
		return fmt.Errorf("averaging_state: %w", err)
	}
	weights, err := stateDictOf(checkpoint["state_dict"])
	if err != nil {
		return err
	}
	c.pending, c.current = &torch.StateDict{}, checkpoint["current_model_state"]
	for name, v := range state {
		c.pending.Set(name, v)
	}
	for name, v := range weights.All() {
		c.pending.Set("module."+name, v)
	}
	return nil
}

// tensorsOf takes a dictionary of tensors as a file has it.
func tensorsOf(v any) (map[string]*torch.Tensor, error) {
	out := map[string]*torch.Tensor{}
	switch v := v.(type) {
	case *torch.StateDict:
		for name, t := range v.All() {
			out[name] = t
		}
	case map[string]any:
		for name, x := range v {
			t, ok := x.(*torch.Tensor)
			if !ok {
				return nil, fmt.Errorf("%q is a %T: want a tensor", name, x)
			}
			out[name] = t
		}
	default:
		return nil, fmt.Errorf("it is a %T: want a dictionary of tensors", v)
	}
	return out, nil
}
