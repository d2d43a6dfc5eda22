package serial_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

func ExampleSaveStateDict() {
	dir, err := os.MkdirTemp("", "serial")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.pt")

	sd := &torch.StateDict{}
	sd.Set("weight", torch.From([]float32{1, 2, 3, 4}, 2, 2))
	if err := serial.SaveStateDict(path, sd); err != nil { // Python: torch.load("model.pt")
		fmt.Println(err)
		return
	}
	loaded, err := serial.LoadStateDict(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	for name, t := range loaded.All() {
		fmt.Println(name, t.DType(), t.Shape(), torch.ToSlice[float32](t))
	}
	// Output: weight float32 [2 2] [1 2 3 4]
}

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "serial")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.pt")
	if err := serial.Save(path, map[string]any{"epoch": 3, "lr": 0.1}); err != nil {
		fmt.Println(err)
		return
	}
	v, err := serial.Load(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	for key, value := range v.(*serial.Dict).All() {
		fmt.Println(key, value)
	}
	// Output:
	// epoch 3
	// lr 0.1
}

func ExampleErrCorrupt() {
	dir, err := os.MkdirTemp("", "serial")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "cut.pt")
	if err := os.WriteFile(path, []byte("PK\x03\x04 and no more"), 0o644); err != nil {
		fmt.Println(err)
		return
	}
	_, err = serial.Load(path)
	var corrupt *serial.ErrCorrupt
	if errors.As(err, &corrupt) {
		fmt.Println(corrupt.Reason)
	}
	// Output: no zip end record: the file is cut short, or damaged at its end
}

func ExampleSaver() {
	dir, err := os.MkdirTemp("", "serial")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	var saver serial.Saver
	keep := &serial.Keep{Pattern: filepath.Join(dir, "step-{step}.pt"), Last: 2}
	for step := range 4 {
		path := filepath.Join(dir, fmt.Sprintf("step-%d.pt", step))
		// The step waits for a copy in memory only.
		if err := saver.Save(path, map[string]any{"step": step}, serial.SaveOptions{Keep: keep}); err != nil {
			fmt.Println(err)
		}
	}
	if err := saver.Close(); err != nil {
		fmt.Println(err)
	}
	newest, _, err := serial.Latest(keep.Pattern, true)
	fmt.Println(newest.Fields["step"], err)
	// Output: 3 <nil>
}
