package logger_test

import (
	"fmt"
	"os"

	"github.com/golite/golite/lite/logger"
)

// In a program lite.Config.Loggers is given the logger, and l.LogDict calls it.
func ExampleCSV() {
	dir, err := os.MkdirTemp("", "runs")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	csv, err := logger.NewCSV(dir)
	if err != nil {
		panic(err)
	}
	for step, loss := range []float64{0.5, 0.25} {
		if err := csv.LogMetrics(map[string]float64{"loss": loss}, int64(step)); err != nil {
			panic(err)
		}
	}
	if err := csv.Close(nil); err != nil {
		panic(err)
	}
	text, err := os.ReadFile(csv.Path())
	fmt.Print(string(text), err)
	// Output:
	// step,loss
	// 0,0.5
	// 1,0.25
	// <nil>
}
