package lite

import "context"

// ScaleOf is the gradient scaler's scale, for tests.
func ScaleOf(l *Lite) float64 { return l.precision.Scaler().CurrentScale() }

// RunReplicas is Run under strategy "dp" with n replicas on the Config's one device, which the Config itself can't ask for.
func RunReplicas(ctx context.Context, cfg Config, n int, f func(l *Lite) error) error {
	plan, err := resolveConfig(cfg)
	if err != nil {
		return err
	}
	plan.strategy, plan.threads = DP{}, 1
	for len(plan.devices) < n {
		plan.devices = append(plan.devices, plan.devices[0])
	}
	j := &job{plan: plan, body: func(_ context.Context, l *Lite) error { return f(l) }}
	return j.run(ctx)
}
