package deepspeed

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// optimizerBlock is "optimizer".
type optimizerBlock struct {
	kind                                             string // adam, adamw or sgd
	lr, eps, momentum, dampening                     float64
	weightDecay                                      *float64
	betas                                            [2]float64
	torchAdam, adamWMode, amsgrad, nesterov, upwards bool
}

// named reads {"type": ..., "params": {...}}. further are other keys of the block.
func named(v any, further ...string) (kind string, params []entry, err error) {
	block, ok := v.([]entry)
	if !ok {
		return "", nil, wrongKind(v, `an object with "type" and "params"`)
	}
	for _, e := range block {
		switch e.key {
		case "type":
			if kind, ok = e.value.(string); !ok {
				return "", nil, fmt.Errorf("type: %w", wrongKind(e.value, "a string"))
			}
		case "params":
			if params, ok = e.value.([]entry); !ok && e.value != nil {
				return "", nil, fmt.Errorf("params: %w", wrongKind(e.value, "an object"))
			}
		default:
			table := []key{{name: "type"}, {name: "params"}}
			for _, f := range further {
				if f == e.key {
					table = nil
				}
			}
			if table != nil {
				return "", nil, fmt.Errorf("%s: unknown key%s", e.key, nearest(e.key, table))
			}
		}
	}
	if kind == "" {
		return "", nil, fmt.Errorf("it has no type: add one")
	}
	return kind, params, nil
}

// readOptimizer reads the block, with the defaults of the classes that DeepSpeed would make: FusedAdam has no weight decay
// unless given, torch's AdamW has 0.01.
func (c *Config) readOptimizer(r *reader, v any) error {
	kind, params, err := named(v, "legacy_fusion")
	if err != nil {
		return err
	}
	o := &optimizerBlock{kind: strings.ToLower(kind), lr: 1e-3, eps: 1e-8, betas: [2]float64{0.9, 0.999}, adamWMode: true}
	table := []key{
		{name: "lr", do: number(&o.lr, 0, false)},
		{name: "weight_decay", do: given(&o.weightDecay, func(f *float64) func(any) error { return number(f, 0, false) })},
		{name: "maximize", do: boolean(&o.upwards)},
		{name: "foreach", ignore: tuning}, {name: "capturable", ignore: tuning, unless: false},
		{name: "fused", ignore: tuning}, {name: "differentiable", ignore: tuning, unless: false},
		{name: "max_grad_norm", unless: 0.0, refuse: "DeepSpeed refuses it too: set gradient_clipping"},
	}
	switch o.kind {
	case "adam", "adamw":
		table = append(table, key{name: "betas", do: betas(&o.betas)},
			key{name: "eps", do: number(&o.eps, 0, false)},
			key{name: "torch_adam", do: boolean(&o.torchAdam)},
			key{name: "adam_w_mode", do: boolean(&o.adamWMode)},
			key{name: "amsgrad", do: boolean(&o.amsgrad)},
			key{name: "bias_correction", unless: true, refuse: "optim.NewAdam always corrects its means: remove it, or write an optim.Rule"},
			key{name: "freeze_step", ignore: "it is OneBitAdam's"}, key{name: "set_grad_none", ignore: "ZeroGrad removes gradients", unless: true},
			key{name: "fp32_optimizer_states", unless: true, refuse: "states have the type of their parameters: remove it"})
	case "sgd":
		table = append(table, key{name: "momentum", do: number(&o.momentum, 0, false)},
			key{name: "dampening", do: number(&o.dampening, 0, false)}, key{name: "nesterov", do: boolean(&o.nesterov)})
	default:
		return fmt.Errorf("type %s: %s", show(kind), insteadOf(o.kind))
	}
	r.object("optimizer.params", params, table)
	if o.kind == "sgd" && o.nesterov && (o.momentum == 0 || o.dampening != 0) {
		return fmt.Errorf("params.nesterov: it wants a momentum and no dampening")
	}
	c.optimizer = o
	return nil
}

// insteadOf is what to write for an optimizer that the block can't name.
func insteadOf(kind string) string {
	const line = "remove the block and give lite.Setup an optimizer: "
	switch kind {
	case "adagrad":
		return line + "optim.NewAdagrad(params, lr)"
	case "rmsprop":
		return line + "optim.NewRMSprop(params, lr)"
	case "adamax":
		return line + "optim.NewAdamax(params, lr)"
	case "nadam":
		return line + "optim.NewNAdam(params, lr)"
	case "radam":
		return line + "optim.NewRAdam(params, lr)"
	case "adadelta":
		return line + "optim.NewAdadelta(params, lr)"
	case "lamb", "lion", "muon", "onebitadam", "onebitlamb", "zerooneadam", "muadam", "muadamw", "musgd":
		return "golite has no such optimizer; use Adam, AdamW or SGD, or write an optim.Rule and give it to lite.Setup"
	}
	return "want Adam, AdamW or SGD; " + line + "any of package optim"
}

func betas(to *[2]float64) func(any) error {
	return func(v any) error {
		list, ok := v.([]any)
		if !ok || len(list) != 2 {
			return wrongKind(v, "a list of two numbers")
		}
		for i, v := range list {
			n, _ := v.(json.Number)
			f, err := n.Float64()
			if err != nil || f < 0 || f >= 1 {
				return fmt.Errorf("%s: want numbers from 0 up to, but without, 1", show(v))
			}
			to[i] = f
		}
		return nil
	}
}

// NewOptimizer makes the optimizer of the configuration's block; it returns nil where there is none. Parameters are those
// of the model that are trained.
func (c *Config) NewOptimizer(params []nn.Parameter) optim.Optimizer {
	o := c.optimizer
	if o == nil {
		return nil
	}
	decay := 0.0
	if o.weightDecay != nil {
		decay = *o.weightDecay
	}
	switch {
	case o.kind == "sgd":
		return optim.NewSGD(params, o.lr, optim.SGDOptions{Momentum: o.momentum, Dampening: o.dampening, WeightDecay: decay,
			Nesterov: o.nesterov, Maximize: o.upwards})
	case o.kind == "adamw" || o.adamWMode:
		if o.weightDecay == nil && o.torchAdam {
			decay = 0.01 // of torch.optim.AdamW
		}
		return optim.NewAdamW(params, o.lr, optim.AdamWOptions{Betas: &o.betas, Eps: &o.eps, WeightDecay: &decay,
			AMSGrad: o.amsgrad, Maximize: o.upwards})
	}
	return optim.NewAdam(params, o.lr, optim.AdamOptions{Betas: &o.betas, Eps: &o.eps, WeightDecay: decay,
		AMSGrad: o.amsgrad, Maximize: o.upwards})
}
