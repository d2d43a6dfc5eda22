package lite

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/golite/golite/torch"
)

// Call runs, in their order, the method of that name of every callback of the Config that has one, with these
// arguments (Fabric.call). A method may take fewer arguments than are given; if it returns an error, or the types don't
// fit, Call panics, and Run returns the error. Names and moments are the user's; lite itself calls OnAfterSetup and
// OnAfterOptimizerStep.
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

// Log records one value under a name at a step (Fabric.log): a number, or a tensor of one element. On rank 0 the
// Config's loggers get it; elsewhere it does nothing.
func (l *Lite) Log(name string, value any, step int) error {
	return l.LogDict(map[string]any{name: value}, step)
}

// LogDict records several values at a step (Fabric.log_dict).
func (l *Lite) LogDict(values map[string]any, step int) error {
	if len(l.cfg.Loggers) == 0 || !l.IsGlobalZero() {
		return nil
	}
	metrics := make(map[string]float64, len(values))
	for name, v := range values {
		f, err := metric(v)
		if err != nil {
			return fmt.Errorf("lite: Log %q: %w", name, err)
		}
		metrics[name] = f
	}
	var errs []error
	for _, logger := range l.cfg.Loggers {
		if err := logger.LogMetrics(metrics, int64(step)); err != nil {
			errs = append(errs, fmt.Errorf("lite: logger %s: %w", logger.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// metric makes a number of what can be logged.
func metric(v any) (float64, error) {
	if t, ok := v.(*torch.Tensor); ok {
		if n := t.Numel(); n != 1 {
			return 0, fmt.Errorf("a tensor of %d elements is no single value: reduce it first, with Mean or Sum", n)
		}
		return t.Item(), nil
	}
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return float64(r.Int()), nil
	case r.CanUint():
		return float64(r.Uint()), nil
	case r.CanFloat():
		return r.Float(), nil
	case r.Kind() == reflect.Bool:
		if r.Bool() {
			return 1, nil
		}
		return 0, nil
	}
	return 0, fmt.Errorf("a %T is no number", v)
}

// closeLoggers ends the loggers of rank 0, telling them how the run ended.
func (l *Lite) closeLoggers(runErr error) error {
	if !l.IsGlobalZero() {
		return nil
	}
	var errs []error
	for _, logger := range l.cfg.Loggers {
		if err := logger.Close(runErr); err != nil {
			errs = append(errs, fmt.Errorf("lite: logger %s: %w", logger.Name(), err))
		}
	}
	return errors.Join(errs...)
}
