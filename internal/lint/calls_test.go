package lint

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// exits are calls that end the process or the goroutine behind the caller's back.
var exits = map[string]bool{
	"log.Fatal": true, "log.Fatalf": true, "log.Fatalln": true, "log.Panic": true, "log.Panicf": true, "log.Panicln": true,
	"os.Exit": true, "syscall.Exit": true, "runtime.Goexit": true, "runtime.SetFinalizer": true,
}

// mayExit lists the functions outside of programs that may, each with its reason.
var mayExit = map[string]string{
	"internal/ranktest/ranktest.go": "for tests only: a rank of a test in a process of its own",
	"internal/supervisor/child.go":  "a rank whose supervisor is gone, or that must not run on, ends itself",
}

// ops are the rooms whose functions panic with *torch.Error: tensor operations, and what runs once a step and is made
// of them (Forward, Backward, Step, collectives, where a lost peer is a *dist.RankError).
var ops = []string{
	"torch", "torch/aten", "torch/cuda", "torch/nn", "torch/nn/functional", "torch/nn/init", "torch/optim", "amp",
	"internal/op",
	"dist", "ddp", "lite", "lite/strategy/builtin",
}

// mayPanic lists the files outside of ops that may, each with its reason.
var mayPanic = map[string]string{
	"cgotorch/error.go": "it leaves the second run of a checkpointed function, which torch.Checkpoint " +
		"recovers from",
	"internal/ranktest/ranktest.go":   "for tests only: it runs before there is a testing.T",
	"internal/fixture/main.go":        "for tests only: it runs before there is a testing.T",
	"lite/launch/registry.go":         "a name that two packages register is a mistake in the program, found at its start",
	"torch/data/epoch.go":             "a panic of the program's sampler goes on, unless it is a *torch.Error",
	"ddp/shard/unit.go":               "a collective in the background fails as one that waits by itself: with a panic",
	"trainer/guard.go":                "Fail ends a step, which returns no error; Fit and the others make an error of it",
	"internal/supervisor/protocol.go": "a struct of plain fields always encodes; anything else is a bug here",
}

func TestForbiddenCalls(t *testing.T) {
	used := map[string]bool{}
	for _, f := range goFiles(t) {
		if f.test || f.isMain() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch name := callee(call); {
			case exits[name]:
				used[f.path] = true
				if mayExit[f.path] == "" {
					t.Errorf("%s: %s is for programs: return an error", f.at(call), name)
				}
			case name == "panic" && isOps(f.pkg):
				if said := plainPanic(call); said != "" {
					t.Errorf("%s: an operation panics with an error that names it (*torch.Error), not with %s: see torch.Fail",
						f.at(call), said)
				}
			case name == "panic":
				used[f.path] = true
				if mayPanic[f.path] == "" {
					t.Errorf("%s: panic is for tensor operations: return an error (exceptions: internal/lint/calls_test.go)",
						f.at(call))
				}
			}
			return true
		})
	}
	for _, table := range []map[string]string{mayExit, mayPanic} {
		for path := range table {
			if !used[path] {
				t.Errorf("%s has an exception in internal/lint/calls_test.go and no use for it", path)
			}
		}
	}
}

func isOps(pkg string) bool {
	for _, room := range ops {
		if pkg == room {
			return true
		}
	}
	return false
}

// callee is a called function's name as it is written: "panic", "os.Exit".
func callee(call *ast.CallExpr) string {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		if x, ok := fun.X.(*ast.Ident); ok {
			return x.Name + "." + fun.Sel.Name
		}
	}
	return ""
}

// plainPanic tells what a panic is given when that is certainly no *torch.Error.
func plainPanic(call *ast.CallExpr) string {
	if len(call.Args) != 1 {
		return ""
	}
	switch a := call.Args[0].(type) {
	case *ast.BasicLit:
		return "a " + strings.ToLower(a.Kind.String())
	case *ast.BinaryExpr:
		if a.Op == token.ADD {
			return "a string"
		}
	case *ast.CallExpr:
		switch name := callee(a); name {
		case "fmt.Sprintf", "fmt.Sprint", "fmt.Sprintln", "fmt.Errorf", "errors.New":
			return name
		}
	}
	return ""
}

// A test that is skipped says why.
func TestSkipsHaveReasons(t *testing.T) {
	for _, f := range goFiles(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch sel.Sel.Name {
			case "SkipNow":
				t.Errorf("%s: SkipNow says nothing: use Skip with a reason", f.at(call))
			case "Skip", "Skipf":
				x, ok := sel.X.(*ast.Ident)
				if !ok || (x.Name != "t" && x.Name != "b" && x.Name != "f" && x.Name != "tb") {
					return true
				}
				if len(call.Args) == 0 || !saysSomething(call.Args[0]) {
					t.Errorf("%s: a skip without a reason", f.at(call))
				}
			}
			return true
		})
	}
}

// saysSomething refuses an empty text; what isn't a literal is taken for a reason.
func saysSomething(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return !ok || len(strings.Fields(lit.Value)) > 1
}
