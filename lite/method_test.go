package lite_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

type unary = func(*torch.Tensor) *torch.Tensor

// declared is a module of a test, with a method of its own.
type declared struct {
	nn.Base
	FC *nn.Linear
}

func (d *declared) Forward(x *torch.Tensor) *torch.Tensor { return d.FC.Forward(x) }
func (d *declared) Twice(x *torch.Tensor) *torch.Tensor   { return d.FC.Forward(x).Add(d.FC.Forward(x)) }

// promoting has the methods of what it embeds, overriding has one of its own under the same name, deeper has both levels.
type (
	promoting  struct{ declared }
	overriding struct{ *declared }
	deeper     struct{ promoting }
	twofold    struct{ overriding }
)

func (o *overriding) Twice(x *torch.Tensor) *torch.Tensor { return o.declared.Twice(x) }

// parametric is generic, and passing has a method with a value as its receiver.
type (
	parametric[T any] struct {
		declared
		Note T `torch:"-"`
	}
	passing struct{ *declared }
	forward interface {
		nn.Module
		Forward(x *torch.Tensor) *torch.Tensor
	}
	holding struct {
		forward
	}
)

func (p *parametric[T]) Own(x *torch.Tensor) *torch.Tensor { return p.Forward(x) }
func (p passing) Value(x *torch.Tensor) *torch.Tensor      { return p.Forward(x) }

func newDeclared() *declared { return &declared{FC: nn.NewLinear(2, 2)} }

func setUp[M nn.Module](module M, f unary) func(l *lite.Lite) error {
	return func(l *lite.Lite) error { _, err := lite.Setup(l, module, f); return err }
}

// Setup finds the method of the module that it is given, in whatever way the module has it.
func TestSetupFindsMethods(t *testing.T) {
	type local struct{ declared }
	own, promoted, over := newDeclared(), &promoting{*newDeclared()}, &overriding{newDeclared()}
	below, two, generic := &deeper{promoting{*newDeclared()}}, &twofold{overriding{newDeclared()}}, &parametric[[]int]{declared: *newDeclared()}
	value, inner := &passing{newDeclared()}, &local{*newDeclared()}
	var held forward = newDeclared()
	holds := &holding{newDeclared()}
	for name, set := range map[string]func(l *lite.Lite) error{
		"a method":                           setUp(own, own.Forward),
		"a promoted method":                  setUp(promoted, promoted.Forward),
		"a promoted method, by its path":     setUp(promoted, promoted.declared.Twice),
		"promoted over two levels":           setUp(below, below.Twice),
		"one that overrides":                 setUp(over, over.Twice),
		"beside one that overrides":          setUp(over, over.Forward),
		"a promoted one that overrides":      setUp(two, two.Twice),
		"of a generic type":                  setUp(generic, generic.Own),
		"promoted into a generic type":       setUp(generic, generic.Forward),
		"with a value as receiver":           setUp(value, value.Value),
		"of a type in a function":            setUp(inner, inner.Forward),
		"of an interface":                    setUp(held, held.Forward),
		"of an interface, as a module":       setUp(nn.Module(held), held.Forward),
		"of an interface that is embedded":   setUp(holds, holds.Forward),
		"of what an interface holds":         setUp(held, own.Forward), // which of two values is not seen
		"of golite's own layers":             setUp(nn.NewLinear(1, 1), nn.NewLinear(1, 1).Forward),
		"of a module that is a struct in it": setUp(&below.promoting, below.promoting.Forward),
	} {
		t.Run(name, func(t *testing.T) { on(t, lite.Config{}, func(l *lite.Lite) { require.NoError(t, set(l)) }) })
	}
}

// What is not seen to be a method of the module is refused under every strategy, with the way to give it all the same.
func TestSetupRefusesOtherMethods(t *testing.T) {
	own, over, two := newDeclared(), &overriding{newDeclared()}, &twofold{overriding{newDeclared()}}
	for name, c := range map[string]struct {
		set  func(l *lite.Lite) error
		want string
	}{
		"a closure":                     {setUp(own, func(x *torch.Tensor) *torch.Tensor { return own.Forward(x) }), "is no method of *lite_test.declared"},
		"a hidden method":               {setUp(over, over.declared.Twice), "(*declared).Twice is hidden by the Twice of *lite_test.overriding"},
		"a method hidden two levels up": {setUp(two, two.overriding.declared.Twice), "is hidden by the Twice of *lite_test.twofold"},
		"a layer's method":              {setUp(own, own.FC.Forward), "was it taken from another model?"},
		"reflect's value":               {setUp(own, reflect.ValueOf(own).MethodByName("Forward").Interface().(unary)), "is no method of"},
		"a method of the wrong type":    {setUp(nn.NewReLU(), own.Forward), "was it taken from another model?"},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, lite.Config{}, func(l *lite.Lite) {
				err := c.set(l)
				require.ErrorContains(t, err, c.want)
				require.ErrorContains(t, err, "lite.SetupOf")
			})
		})
	}
}

// SetupOf takes any of them, as the program tells how to get the method of a copy.
func TestSetupOf(t *testing.T) {
	run := func(l *lite.Lite) {
		over := &overriding{newDeclared()}
		model, err := lite.SetupOf(l, over, func(o *overriding) unary { return o.declared.Twice })
		require.NoError(t, err)
		x := torch.Ones(2, 2)
		require.Equal(t, floats(over.declared.Twice(x)), floats(model.Forward(x)))
		once := lite.BindOf(model, func(o *overriding) unary {
			return func(x *torch.Tensor) *torch.Tensor { return o.FC.Forward(x) }
		})
		require.Equal(t, floats(over.FC.Forward(x)), floats(once(x)))
		_, err = lite.SetupOf(l, newDeclared(), func(d *declared) unary { return nil })
		require.ErrorContains(t, err, "lite: SetupOf: the forward of *lite_test.declared is nil")
		_, err = lite.SetupOf[*declared, unary](l, newDeclared(), nil)
		require.ErrorContains(t, err, "lite: SetupOf: the function is nil")
		_, err = lite.SetupOf(l, newDeclared(), func(d *declared) int { return 3 })
		require.ErrorContains(t, err, "want a method of *lite_test.declared, got a int")
	}
	on(t, lite.Config{}, run)
	onReplicas(t, lite.Config{}, 2, run)
}
