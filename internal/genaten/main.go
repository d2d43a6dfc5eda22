// Command genaten writes torch/aten: one typed Go function for each overload of an ATen operator, out of the
// schemas of the libtorch that it is linked with. Run it with
//
//	go generate ./torch/aten
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/golite/golite/cgotorch"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "genaten:", err)
		os.Exit(1)
	}
}

// run writes the files into dir and removes generated ones that are no longer wanted.
func run(dir string) error {
	text, err := cgotorch.Schemas()
	if err != nil {
		return err
	}
	files, err := generate(text)
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	for _, path := range old {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if _, keep := files[filepath.Base(path)]; !keep && strings.HasPrefix(string(b), marker) {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
