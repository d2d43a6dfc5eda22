package lite

import (
	"context"
	"errors"
)

func (j *job) runGoroutines(ctx context.Context) error { return errors.New("wiring") }
func (j *job) runExternal(ctx context.Context) error   { return errors.New("wiring") }
func (j *job) supervise(ctx context.Context) error     { return errors.New("wiring") }
