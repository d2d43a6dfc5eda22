package lint

import (
	"go/ast"
	"go/token"
	"slices"
	"testing"
)

// axes are the packages that know strategies and devices by their interfaces alone, so that another one is a file in a
// package of its own.
var axes = []string{"lite", "lite/config", "lite/launch", "lite/strategy"}

// kinds are the device types of which one accelerator's package alone has a part; every device has the CPU beside it.
var kinds = []string{"CUDAType", "MPSType", "XLAType"}

// builtins are golite's own strategies, by the names of their types.
var builtins = []string{"SingleDevice", "DP", "DDP", "DDPSpawn"}

// absent are the fields by which package lite once asked whether there were other ranks, or replicas.
var absent = []string{"peers", "replica", "replicas"}

func TestAxesKnowNoBuiltin(t *testing.T) {
	seen := 0
	for _, f := range goFiles(t) {
		if f.test || !slices.Contains(axes, f.pkg) {
			continue
		}
		seen++
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if slices.Contains(kinds, n.Name) {
					t.Errorf("%s: %s: what differs by device is a part of its accelerator.Accelerator", f.at(n), n.Name)
				}
			case *ast.TypeAssertExpr:
				if name := lastName(n.Type); slices.Contains(builtins, name) {
					t.Errorf("%s: a type assertion to %s: what differs by strategy is a part of its strategy.Session", f.at(n), name)
				}
			case *ast.TypeSwitchStmt:
				for _, c := range n.Body.List {
					for _, e := range c.(*ast.CaseClause).List {
						if name := lastName(e); slices.Contains(builtins, name) {
							t.Errorf("%s: a case for %s: what differs by strategy is a part of its strategy.Session", f.at(e), name)
						}
					}
				}
			case *ast.BinaryExpr:
				if n.Op != token.EQL && n.Op != token.NEQ || lastName(n.Y) != "nil" {
					return true
				}
				if name := lastName(n.X); slices.Contains(absent, name) {
					t.Errorf("%s: %s is compared with nil: a rank has a group always, and passes have what surrounds them", f.at(n),
						name)
				}
			}
			return true
		})
	}
	if seen == 0 {
		t.Error("no file of the packages was found")
	}
}

// lastName is the last name of an expression such as *builtin.DDP or l.peers.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.StarExpr:
		return lastName(e.X)
	}
	return ""
}
