package lite

// ScaleOf is the gradient scaler's scale, for tests.
func ScaleOf(l *Lite) float64 { return l.precision.Scaler().CurrentScale() }
