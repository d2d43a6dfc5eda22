package lite

import (
	"context"

	"github.com/golite/golite/lite/config"
)

// ScaleOf is the gradient scaler's scale, for tests.
func ScaleOf(l *Lite) float64 { return l.precision.Scaler().CurrentScale() }

// RunReplicas is Run under strategy "dp" with n replicas on the Config's one device, which the Config itself can't ask for.
func RunReplicas(ctx context.Context, cfg Config, n int, f func(l *Lite) error) error {
	plan, err := config.Resolve(cfg, config.ThisMachine{})
	if err != nil {
		return err
	}
	plan.Strategy, plan.Threads = DP{}, 1
	for len(plan.Ranks[0]) < n {
		plan.Ranks[0] = append(plan.Ranks[0], plan.Ranks[0][0])
	}
	j := &job{plan: plan, body: func(_ context.Context, l *Lite) error { return f(l) }}
	return j.run(ctx)
}
