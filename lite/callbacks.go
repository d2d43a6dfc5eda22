package lite

import (
	"fmt"
	"reflect"

	"github.com/golite/golite/torch"
)

// Call runs, in their order, the method of that name of every callback of the Config that has one, with these
// arguments (Fabric.call). A method may take fewer arguments than are given; if it returns an error, or the types don't
// fit, Call panics, and Run returns the error. Names and moments are the user's; lite itself calls two:
//
//	OnAfterSetup(module nn.Module, l *lite.Lite)   // at the end of Setup and SetupModule, which return its error
//	OnAfterOptimizerStep(o optim.Optimizer)        // after each Step, also one that o.Skipped() because of an overflow
func (l *Lite) Call(name string, args ...any) {
	for _, c := range l.cfg.Callbacks {
		m := reflect.ValueOf(c).MethodByName(name)
		if !m.IsValid() {
			continue
		}
		if err := callMethod(m, args); err != nil {
			panic(&torch.Error{Op: fmt.Sprintf("callback %T.%s", c, name), Message: err.Error(), Cause: err})
		}
	}
}

func callMethod(m reflect.Value, args []any) error {
	t := m.Type()
	if t.IsVariadic() || t.NumIn() > len(args) {
		return fmt.Errorf("it takes %d arguments, and Call was given %d", t.NumIn(), len(args))
	}
	in := make([]reflect.Value, t.NumIn())
	for i := range in {
		v := reflect.ValueOf(args[i])
		if !v.IsValid() {
			v = reflect.Zero(t.In(i))
		}
		if !v.Type().AssignableTo(t.In(i)) {
			return fmt.Errorf("argument %d is a %s, and it takes a %s", i, v.Type(), t.In(i))
		}
		in[i] = v
	}
	for _, out := range m.Call(in) {
		if err, ok := out.Interface().(error); ok && err != nil {
			return err
		}
	}
	return nil
}
