// Package logger has the loggers that lite's Config takes: metrics as a CSV file, and as TensorBoard's event files.
//
//	csv, err := logger.NewCSV("runs/7")
//	if err != nil {
//		return err
//	}
//	tb, err := logger.NewTensorBoard("runs/7")
//	if err != nil {
//		return err
//	}
//	cfg := lite.Config{Loggers: []lite.MetricLogger{csv, tb}}
//
// Inside of Run, l.Log and l.LogDict hand them the values on rank 0, and Run closes them when its function ends. What
// is logged is buffered for 2 s at most, unless the options have another time: a process that is killed has written the
// rest.
//
// With ranks that are processes, code before Run runs in each of them: neither constructor touches the disk, so that
// only the rank that logs makes files. Run opens the loggers of rank 0 before its function begins, so that a folder
// that can't be written to, or a metrics.csv of an earlier run, ends the run before its first step.
package logger
