// Package deepspeed reads DeepSpeed's configuration, and has what it describes: optimizers, learning rate schedules with
// DeepSpeed's values, and its loss scaler.
//
//	c, err := deepspeed.Read("ds_config.json") // or []byte, or map[string]any
//	if err != nil {
//		return err
//	}
//	for _, note := range c.Notes {
//		log.Info(note) // keys that have no effect here, one line each
//	}
//	batch, err := c.Batch(world)
//	opt := c.NewOptimizer(params)   // nil without an optimizer block
//	sched, err := c.NewScheduler(opt) // nil without a scheduler block
//	scaler := c.NewLossScaler()
//
// Each key of DeepSpeed 0.19.8 is done, ignored with a line in Notes, or refused with an error that says what to write in
// Go instead. Unknown keys and keys that appear twice are errors. So is "auto", which Hugging Face's Trainer fills;
// DeepSpeed takes it for the default in some blocks, and fails in others.
//
// One default differs: without gradient_clipping DeepSpeed clips to a norm of 1; golite does not clip, as LightningLite
// does not. A note says so.
package deepspeed
