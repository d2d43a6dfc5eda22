package lint

import (
	"go/ast"
	"strings"
	"testing"
)

// deviceTypes are package torch's names of kinds of hardware.
var deviceTypes = map[string]bool{"CPUType": true, "CUDAType": true, "XPUType": true, "MPSType": true, "CUDA": true}

// Package lite and what it consists of know kinds of hardware by the interfaces of lite/accelerator: one that is
// compared with a type, or called by its package, is a wall for those of other modules.
func TestLiteKnowsNoKindOfHardware(t *testing.T) {
	seen := 0
	for _, f := range goFiles(t) {
		if f.test || !under(f.pkg, "lite") || under(f.pkg, "lite/accelerator/builtin") {
			continue
		}
		seen++
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := s.X.(*ast.Ident)
			if ok && x.Name == "torch" && deviceTypes[s.Sel.Name] {
				t.Errorf("%s: torch.%s: ask the Accelerator, by an optional part of it", f.at(s), s.Sel.Name)
			}
			return true
		})
		for _, spec := range f.ast.Imports {
			if strings.Contains(spec.Path.Value, "/torch/cuda") {
				t.Errorf("%s: torch/cuda is for lite/accelerator/builtin", f.at(spec))
			}
		}
	}
	if seen < 30 {
		t.Errorf("%d files of package lite were found", seen)
	}
}
