package trainer

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/golite/golite/torch"
)

// EarlyStopping ends training when a value has ceased to improve
// (lightning.pytorch.callbacks.EarlyStopping). It looks at the value at the end of each validation or, where validation
// runs once in each epoch, at the end of the epoch; Patience counts these looks.
type EarlyStopping struct {
	// Monitor is the name of a value that is logged for the epoch.
	Monitor string
	// Mode is "min", the default, where lower is better, or "max".
	Mode string
	// MinDelta is by how much a value must be better to be an improvement.
	MinDelta float64
	// Patience is how many looks without an improvement end training; nil: 3.
	Patience *int
	// NonStrict passes over a Monitor that was not logged; else that is an error.
	NonStrict bool
	// NoCheckFinite lets training go on with a value that is infinite or NaN.
	NoCheckFinite bool
	// StoppingThreshold ends training when the value is better than it, DivergenceThreshold when it is worse.
	StoppingThreshold, DivergenceThreshold *float64
	// CheckOnTrainEpochEnd looks at the end of each epoch, or at that of each validation. nil: see above.
	CheckOnTrainEpochEnd *bool
	// Verbose logs why training ends.
	Verbose bool

	wait, stoppedEpoch, reasonCode int
	best                           float64
	begun                          bool
	reason                         string
}

// The reasons in a checkpoint (EarlyStoppingReason).
const (
	reasonNone = iota
	reasonThreshold
	reasonDivergence
	reasonPatience
	reasonNotFinite
)

// StoppingReason returns why training ended, "" while it goes on.
func (c *EarlyStopping) StoppingReason() string { return c.reason }

// StateKey is the key of the state in a checkpoint.
func (c *EarlyStopping) StateKey() string {
	return fmt.Sprintf("EarlyStopping{'monitor': %s, 'mode': '%s'}", pythonString(c.Monitor), modeOf(c.Mode))
}

func (c *EarlyStopping) monitors() {}

// Setup checks the settings.
func (c *EarlyStopping) Setup(t *Trainer, stage Stage) error {
	switch {
	case c.Monitor == "":
		return fmt.Errorf("EarlyStopping has no Monitor: want the name of a value that is logged")
	case modeOf(c.Mode) == "":
		return fmt.Errorf("EarlyStopping has the Mode %q: want \"min\" or \"max\"", c.Mode)
	case c.Patience != nil && *c.Patience < 0:
		return fmt.Errorf("EarlyStopping has a Patience of %d: want 0 or more", *c.Patience)
	}
	c.begin()
	return nil
}

func (c *EarlyStopping) begin() {
	if !c.begun {
		c.begun = true
		c.best = math.Inf(1)
		if c.Mode == "max" {
			c.best = math.Inf(-1)
		}
	}
}

func (c *EarlyStopping) patience() int {
	if c.Patience == nil {
		return 3
	}
	return *c.Patience
}

// OnTrainEpochEnd looks at the value where it is looked at once an epoch.
func (c *EarlyStopping) OnTrainEpochEnd(t *Trainer) error {
	if !t.onEpochEnd(c.CheckOnTrainEpochEnd) {
		return nil
	}
	return c.check(t)
}

// OnValidationEnd looks at the value where validation runs at other moments.
func (c *EarlyStopping) OnValidationEnd(t *Trainer) error {
	if t.onEpochEnd(c.CheckOnTrainEpochEnd) || t.stage != Fitting || t.sanity {
		return nil
	}
	return c.check(t)
}

// onEpochEnd reports whether a callback that monitors a value looks at it at the end of the epoch.
func (t *Trainer) onEpochEnd(set *bool) bool {
	if set != nil {
		return *set
	}
	a := t.o.ValCheckInterval
	return (a.kind == amountDefault || a.kind == amountFraction && a.fraction == 1) && t.o.CheckValEveryNEpochs == 1
}

func (c *EarlyStopping) check(t *Trainer) error {
	if t.o.FastDevRun > 0 {
		return nil
	}
	c.begin()
	v, ok := t.Metric(c.Monitor)
	if !ok {
		if c.NonStrict || t.mayValidate && !t.validated { // the value comes with the validation at the end
			return nil
		}
		return fmt.Errorf("EarlyStopping has the Monitor %q, which was not logged: there are %q; log it for the epoch, or set NonStrict",
			c.Monitor, slices.Sorted(maps.Keys(t.logged.callback)))
	}
	stop := c.judge(float64(float32(v)))
	if stop = t.anyRank(stop); stop {
		t.Stop()
		c.stoppedEpoch = t.Epoch()
		if c.Verbose {
			t.l.Logger().Info("trainer: " + c.reason)
		}
	}
	return nil
}

// judge takes a value, and reports whether training ends.
func (c *EarlyStopping) judge(v float64) bool {
	better := func(a, b float64) bool { return a < b }
	if c.Mode == "max" {
		better = func(a, b float64) bool { return a > b }
	}
	delta := c.MinDelta
	if c.Mode != "max" {
		delta = -delta
	}
	switch {
	case !c.NoCheckFinite && (math.IsNaN(v) || math.IsInf(v, 0)):
		c.reasonCode, c.reason = reasonNotFinite, fmt.Sprintf("EarlyStopping: %s is %v, which is not finite; the best value was %v", c.Monitor, v, c.best)
	case c.StoppingThreshold != nil && better(v, *c.StoppingThreshold):
		c.reasonCode, c.reason = reasonThreshold, fmt.Sprintf("EarlyStopping: %s is %v, beyond the StoppingThreshold %v", c.Monitor, v, *c.StoppingThreshold)
	case c.DivergenceThreshold != nil && better(-v, -*c.DivergenceThreshold):
		c.reasonCode, c.reason = reasonDivergence, fmt.Sprintf("EarlyStopping: %s is %v, beyond the DivergenceThreshold %v", c.Monitor, v, *c.DivergenceThreshold)
	case better(float64(float32(v)-float32(delta)), c.best):
		c.best, c.wait = v, 0
		return false
	default:
		if c.wait++; c.wait < c.patience() {
			return false
		}
		c.reasonCode, c.reason = reasonPatience, fmt.Sprintf("EarlyStopping: %s has not improved in the last %d looks; the best value is %v", c.Monitor, c.wait, c.best)
	}
	return true
}

// StateDict returns the state in Lightning's layout.
func (c *EarlyStopping) StateDict() map[string]any {
	c.begin()
	var reason any
	if c.reason != "" {
		reason = c.reason
	}
	return map[string]any{
		"wait_count": c.wait, "stopped_epoch": c.stoppedEpoch, "best_score": scalar(c.best), "patience": c.patience(),
		"stopping_reason": c.reasonCode, "stopping_reason_message": reason,
	}
}

// LoadStateDict takes a state of StateDict's or Lightning's.
func (c *EarlyStopping) LoadStateDict(s map[string]any) error {
	best, err := scalarOf(s["best_score"])
	if err != nil {
		return fmt.Errorf("best_score: %w", err)
	}
	numbers := map[string]int{}
	for _, key := range []string{"patience", "wait_count", "stopped_epoch", "stopping_reason"} {
		if numbers[key], err = entry[int](s, key); err != nil {
			return err
		}
	}
	reason, err := entry[string](s, "stopping_reason_message")
	if err != nil {
		return err
	}
	c.begun, c.best, c.wait, c.stoppedEpoch, c.Patience = true, best, numbers["wait_count"], numbers["stopped_epoch"], new(numbers["patience"])
	c.reasonCode, c.reason = numbers["stopping_reason"], reason
	return nil
}

// scalar is a float32 tensor without dimensions, as Lightning saves scores.
func scalar(v float64) *torch.Tensor { return torch.Options{DType: torch.Float32}.Full(v) }

func scalarOf(v any) (float64, error) {
	switch v := v.(type) {
	case *torch.Tensor:
		if v.Numel() == 1 {
			return v.Item(), nil
		}
	case float64:
		return v, nil
	case int:
		return float64(v), nil
	}
	return 0, fmt.Errorf("%v is no number", v)
}

// modeOf is a Mode with its default, "" if there is no such mode.
func modeOf(mode string) string {
	switch mode {
	case "", "min":
		return "min"
	case "max":
		return "max"
	}
	return ""
}
