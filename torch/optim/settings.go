package optim

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/text"
	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch"
)

// setting is one entry of a state dict: a pointer to where it is kept, a loadable, or a value that never changes.
type setting struct {
	key   string
	value any
}

// fixedNames are the settings that select among PyTorch's implementations: they are written, and never read.
var fixedNames = []string{"foreach", "capturable", "differentiable"}

// field returns a pointer to the field of a setting, nil for one that is kept in Extra.
func (g *ParamGroup) field(key string) any {
	switch key {
	case "lr":
		return &g.LR
	case "momentum":
		return &g.Momentum
	case "dampening":
		return &g.Dampening
	case "betas":
		return &g.Betas
	case "eps":
		return &g.Eps
	case "weight_decay":
		return &g.WeightDecay
	case "alpha":
		return &g.Alpha
	case "rho":
		return &g.Rho
	case "lr_decay":
		return &g.LRDecay
	case "initial_accumulator_value":
		return &g.InitialAcc
	case "lambd":
		return &g.Lambd
	case "t0":
		return &g.T0
	case "momentum_decay":
		return &g.MomentumDecay
	case "etas":
		return &g.Etas
	case "step_sizes":
		return &g.StepSizes
	case "nesterov":
		return &g.Nesterov
	case "maximize":
		return &g.Maximize
	case "amsgrad":
		return &g.AMSGrad
	case "centered":
		return &g.Centered
	case "decoupled_weight_decay":
		return &g.Decoupled
	case "fused":
		return &g.Fused
	}
	return nil
}

// setDefault puts the default of a setting to where it is kept. The type of one in Extra is its default's from then on.
func (g *ParamGroup) setDefault(key string, v any) error {
	if g.field(key) != nil {
		return g.set(key, v, nil)
	}
	kept, err := checkedExtra(v)
	if err != nil {
		return fmt.Errorf("%s is %w", key, err)
	}
	if g.Extra == nil {
		g.Extra = map[string]any{}
	}
	g.Extra[key] = kept
	return nil
}

// set puts the value of a setting to where it is kept; defaults are the values whose types those in Extra have.
func (g *ParamGroup) set(key string, v any, defaults map[string]any) error {
	ok := true
	switch p := g.field(key).(type) {
	case *float64:
		*p, ok = number(v)
	case *bool:
		*p, ok = v.(bool)
		ok = ok || key == "fused" && v == nil
	case *[2]float64:
		*p, ok = pair(v)
	default:
		kept, err := likeExtra(defaults[key], v)
		if err != nil {
			return fmt.Errorf("%s is %w", key, err)
		}
		g.Extra[key] = kept
	}
	if !ok {
		return fmt.Errorf("%s is %v, a %s: want %s", key, v, typename.Of(v), reflect.TypeOf(g.field(key)).Elem())
	}
	return nil
}

// checkedExtra returns a value that a setting without a field may have, with lists copied.
func checkedExtra(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, int, float64, string:
		return v, nil
	case []float64:
		return slices.Clone(v), nil
	}
	if t := reflect.TypeOf(v); t.Kind() == reflect.Array && t.Elem() == reflect.TypeFor[float64]() {
		return v, nil
	}
	return nil, fmt.Errorf("a %s: want a float64, int, bool, string, nil, or an array or slice of float64", typename.Of(v))
}

// likeExtra converts v to the type of a setting's default, where its value is kept; a default of nil takes all types.
func likeExtra(fallback, v any) (any, error) {
	bad := fmt.Errorf("%v, a %s: want %T", v, typename.Of(v), fallback)
	switch fallback.(type) {
	case nil:
		if f, ok := v.(int64); ok {
			v = int(f)
		}
		return checkedExtra(v)
	case float64:
		if f, ok := number(v); ok {
			return f, nil
		}
		return nil, bad
	case int:
		if f, ok := number(v); ok && f == float64(int(f)) {
			return int(f), nil
		}
		return nil, bad
	case bool, string:
		if reflect.TypeOf(v) == reflect.TypeOf(fallback) {
			return v, nil
		}
		return nil, bad
	}
	items, ok := list(v)
	t := reflect.TypeOf(fallback)
	if !ok || t.Kind() == reflect.Array && len(items) != t.Len() {
		return nil, bad
	}
	out := reflect.New(t).Elem()
	if t.Kind() == reflect.Slice {
		out.Set(reflect.MakeSlice(t, len(items), len(items)))
	}
	for i, x := range items {
		f, ok := number(x)
		if !ok {
			return nil, bad
		}
		out.Index(i).SetFloat(f)
	}
	return out.Interface(), nil
}

// cloneExtra copies the settings without fields, and the lists among them.
func cloneExtra(m map[string]any) map[string]any {
	out := maps.Clone(m)
	for k, v := range out {
		if l, ok := v.([]float64); ok {
			out[k] = slices.Clone(l)
		}
	}
	return out
}

// groupSettings is a rule's settings and those that schedulers added.
func (b *Base) groupSettings(g *ParamGroup) []setting {
	var s []setting
	for _, key := range b.keys {
		switch p := g.field(key); {
		case key == "fused":
			s = append(s, setting{key, fusedFlag(g)})
		case p != nil:
			s = append(s, setting{key, p})
		case slices.Contains(fixedNames, key):
			s = append(s, setting{key, b.fixed[key]})
		default:
			s = append(s, setting{key, g.Extra[key]})
		}
	}
	for _, key := range keptNames {
		if p := *g.kept(key); p != nil {
			s = append(s, setting{key, p})
		}
	}
	return s
}

// hasSetting reports whether an optimizer's groups have a setting of that name.
func (b *Base) hasSetting(key string) bool { return slices.Contains(b.keys, key) }

// paramGroup is a copy of the optimizer's settings with the group's own in their place, checked.
func (b *Base) paramGroup(operation string, g Group) *ParamGroup {
	p := b.settings
	p.Params = g.Params
	p.Extra = cloneExtra(b.settings.Extra)
	p.LR = orElse(g.LR, p.LR)
	p.WeightDecay = orElse(g.WeightDecay, p.WeightDecay)
	p.Momentum = orElse(g.Momentum, p.Momentum)
	p.Betas = orElse(g.Betas, p.Betas)
	p.Eps = orElse(g.Eps, p.Eps)
	for _, key := range slices.Sorted(maps.Keys(g.Extra)) {
		if !b.hasSetting(key) || slices.Contains(fixedNames, key) {
			torch.Fail(operation, "a group has the setting %q, which %s does not have: want one of %q",
				key, b.rule.Name(), b.keys)
		}
		if err := p.set(key, g.Extra[key], b.settings.Extra); err != nil {
			torch.Fail(operation, "a setting of a group: %v", err)
		}
	}
	for what, v := range map[string]float64{
		"learning rate": p.LR, "weight decay": p.WeightDecay, "momentum": p.Momentum, "eps": p.Eps,
	} {
		if !(v >= 0) {
			torch.Fail(operation, "the %s is %v: want 0 or more", what, v)
		}
	}
	for _, v := range p.Betas {
		if !(v >= 0 && v < 1) {
			torch.Fail(operation, "the betas are %v: want both from 0 to below 1", p.Betas)
		}
	}
	return &p
}

// kept is what a group keeps for schedulers, by its name in Python.
func (g *ParamGroup) kept(name string) **float64 {
	switch name {
	case "initial_lr":
		return &g.InitialLR
	case "max_lr":
		return &g.MaxLR
	case "min_lr":
		return &g.MinLR
	case "base_momentum":
		return &g.BaseMomentum
	case "max_momentum":
		return &g.MaxMomentum
	case "swa_lr":
		return &g.SWALR
	}
	return nil
}

// keptNames are the keys of kept, in order.
var keptNames = []string{"initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr"}

// String writes the groups with their settings as Python's print(optimizer) does (torch.optim.Optimizer.__repr__).
func (b *Base) String() string {
	if b == nil || b.rule == nil {
		return "Optimizer ()"
	}
	var out strings.Builder
	out.WriteString(b.rule.Name() + " (\n")
	text := func(_ string, v any) string { return pythonText("", v) }
	if _, own := b.rule.(torchRules); own {
		text = pythonText
	}
	for i, g := range b.groups {
		if i > 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "Parameter Group %d\n", i)
		settings := b.groupSettings(g)
		slices.SortFunc(settings, func(a, b setting) int { return cmp.Compare(a.key, b.key) })
		for _, s := range settings {
			fmt.Fprintf(&out, "    %s: %s\n", s.key, text(s.key, value(s.value)))
		}
	}
	out.WriteString(")")
	return out.String()
}

// wholeNumbers are the settings of PyTorch's optimizers whose default in Python is an int: they are printed as one
// where they have its value. Those of other rules are printed by their type.
var wholeNumbers = map[string]func(float64) bool{
	"momentum": isZero, "dampening": isZero, "weight_decay": isZero, "lr_decay": isZero,
	"initial_accumulator_value": isZero,
	"step_sizes":                func(v float64) bool { return v == 50 },
}

func isZero(v float64) bool { return v == 0 }

func pythonText(key string, v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return text.Bool(v)
	case float64:
		if whole := wholeNumbers[key]; whole != nil && whole(v) {
			return strconv.Itoa(int(v))
		}
		return text.Float(v)
	case string:
		return v
	}
	items, ok := list(v)
	if !ok {
		return fmt.Sprint(v)
	}
	parts := make([]string, len(items))
	for i, x := range items {
		parts[i] = pythonText(key, x)
	}
	if reflect.TypeOf(v).Kind() == reflect.Slice {
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return "(" + strings.Join(parts, ", ") + ")"
}
