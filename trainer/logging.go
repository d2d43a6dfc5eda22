package trainer

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/lite/logger"
	"github.com/golite/golite/torch/nn"
)

// openLoggers finds the loggers: the Config's, which Run has opened, or CSV files of the Trainer's own.
func (t *Trainer) openLoggers() error {
	if t.o.NoLogger {
		return nil
	}
	if t.loggers = t.l.Loggers(); len(t.loggers) > 0 {
		for _, l := range t.loggers {
			if d, ok := l.(interface{ Dir() string }); ok && t.folder == "" {
				t.folder = lite.Broadcast(t.l, d.Dir(), 0)
			}
		}
		return nil
	}
	csv, err := logger.NewLightning(filepath.Join(t.o.RootDir, "lightning_logs"))
	if err != nil {
		return err
	}
	failed := ""
	if t.l.IsGlobalZero() {
		if err = csv.Open(); err != nil {
			failed = err.Error()
		}
	}
	if failed = lite.Broadcast(t.l, failed, 0); failed != "" {
		return fmt.Errorf("trainer: the log's folder can't be made: %s", failed)
	}
	t.loggers, t.folder = []lite.MetricLogger{csv}, lite.Broadcast(t.l, csv.Dir(), 0)
	return nil
}

// logHyperparameters gives the loggers the module's settings, once.
func (t *Trainer) logHyperparameters(m nn.Module) error {
	params := map[string]any{}
	if h, ok := m.(HyperparameterSaver); ok {
		params = h.Hyperparameters()
	}
	return t.eachLogger(func(l lite.MetricLogger) error { return l.LogHyperparams(params) })
}

// logMetrics gives values to the loggers, with the epoch. A value called "step" is the step.
func (t *Trainer) logMetrics(m metrics, step int) error {
	if len(t.loggers) == 0 || len(m) == 0 || !t.l.IsGlobalZero() {
		return nil
	}
	values := m.floats()
	if s, ok := values["step"]; ok {
		delete(values, "step")
		step = int(s)
	} else if _, ok := values["epoch"]; !ok {
		values["epoch"] = float64(t.Epoch())
	}
	return t.eachLogger(func(l lite.MetricLogger) error { return l.LogMetrics(values, int64(step)) })
}

// logStep logs the values of a training step, at each LogEveryNSteps-th.
func (t *Trainer) logStep(r *results) error {
	if t.accumulating() || !t.logDue(t.steppedBatches+1) && t.o.FastDevRun == 0 {
		return nil
	}
	t.refresh()
	return t.logMetrics(r.collect(t).log, t.steppedBatches)
}

// logEvalStep logs the values of a step of validation or Test, by the number of batches of its loader.
func (t *Trainer) logEvalStep(r *results, seen int) error {
	if len(t.loggers) == 0 {
		return nil
	}
	m := r.collect(t).log
	if len(m) == 0 || !t.l.IsGlobalZero() {
		return nil
	}
	return t.eachLogger(func(l lite.MetricLogger) error { return l.LogMetrics(m.floats(), int64(seen)) })
}

func (t *Trainer) logDue(step int) bool {
	return t.o.LogEveryNSteps > 0 && step%t.o.LogEveryNSteps == 0 || t.stop
}

// eachLogger runs f for the loggers on rank 0, also where one before has failed.
func (t *Trainer) eachLogger(f func(lite.MetricLogger) error) error {
	if !t.l.IsGlobalZero() {
		return nil
	}
	var errs []error
	for _, l := range t.loggers {
		if err := f(l); err != nil {
			errs = append(errs, fmt.Errorf("trainer: logger %s: %w", l.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// flushLoggers writes what the loggers have in memory.
func (t *Trainer) flushLoggers() error {
	return t.eachLogger(func(l lite.MetricLogger) error {
		if f, ok := l.(interface{ Flush() error }); ok {
			return f.Flush()
		}
		return nil
	})
}
