package lite

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/golite/golite/torch"
)

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
	return l.eachLogger(func(m MetricLogger) error { return m.LogMetrics(metrics, int64(step)) })
}

// LogHyperparams gives the settings of the run, once, to the Config's loggers on rank 0
// (Fabric.logger.log_hyperparams); elsewhere it does nothing.
func (l *Lite) LogHyperparams(params map[string]any) error {
	return l.eachLogger(func(m MetricLogger) error { return m.LogHyperparams(params) })
}

// Loggers returns the Config's loggers (Fabric.loggers), on every rank. Those of rank 0 alone are called.
func (l *Lite) Loggers() []MetricLogger { return slices.Clone(l.cfg.Loggers) }

// eachLogger runs f for the loggers of rank 0, also where those before have failed.
func (l *Lite) eachLogger(f func(MetricLogger) error) error {
	if !l.IsGlobalZero() {
		return nil
	}
	var errs []error
	for _, m := range l.cfg.Loggers {
		if err := f(m); err != nil {
			errs = append(errs, fmt.Errorf("lite: logger %s: %w", m.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// metric converts what can be logged to a number.
func metric(v any) (float64, error) {
	if t, ok := v.(*torch.Tensor); ok {
		if n := t.Numel(); n != 1 {
			return 0, fmt.Errorf("a tensor has %d elements, want one: reduce it first, with Mean or Sum", n)
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
	return 0, fmt.Errorf("a %T can't be logged: want a number, true or false, or a tensor of one element", v)
}

// openLoggers opens the loggers of rank 0 that can be opened, so that what keeps them from writing is an error before
// the first step.
func (l *Lite) openLoggers() error {
	return l.eachLogger(func(m MetricLogger) error {
		if o, ok := m.(interface{ Open() error }); ok {
			return guard(o.Open)
		}
		return nil
	})
}

// closeLoggers closes the loggers of rank 0 and passes them the error of the run.
func (l *Lite) closeLoggers(runErr error) error {
	return l.eachLogger(func(m MetricLogger) error { return m.Close(runErr) })
}
