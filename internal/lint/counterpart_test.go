package lint

import (
	"go/ast"
	"go/parser"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// twins are the packages in which every exported type and function is one of PyTorch's, unless it is listed in ours.
var twins = []string{"torch/nn", "torch/nn/functional", "torch/nn/init", "torch/optim"}

// ours lists what golite has and PyTorch doesn't, each with what it is.
var ours = map[string]string{
	"torch/nn.Layer":           "Go's interfaces: what Sequential holds",
	"torch/nn.Size":            "Go's types: an int or several",
	"torch/nn.Padding":         "Go's types: an int or several",
	"torch/nn.BatchNormFunc":   "for ddp's batch normalisation over ranks",
	"torch/nn.NormalizeWith":   "for ddp's batch normalisation over ranks",
	"torch/nn.OnMeta":          "a question that Python asks of each tensor",
	"torch/nn.CountParameters": "a sum that Python writes out",
	"torch/nn.Summary":         "Lightning's ModelSummary, which is no part of PyTorch",
	"torch/nn.ModelSummary":    "Lightning's ModelSummary, which is no part of PyTorch",
	"torch/nn.LayerSummary":    "a row of ModelSummary",
	"torch/nn.ParameterShape":  "a parameter in a row of ModelSummary",
	"torch/nn.Mismatch":        "part of an error",
	"torch/nn.StateDictError":  "an error; Python's is a RuntimeError",

	"torch/nn/functional.Size":          "Go's types: an int or several",
	"torch/nn/functional.Sizes":         "for layers",
	"torch/nn/functional.EachOf":        "for layers",
	"torch/nn/functional.CanonicalMask": "for layers",

	"torch/optim.Interceptor": "for lite, which stands around steps",
	"torch/optim.Intercept":   "for lite, which stands around steps",
	"torch/optim.Watcher":     "for lite, which stands around steps",
	"torch/optim.Release":     "for lite, which stands around steps",
	"torch/optim.MoveState":   "for lite, which moves models",
	"torch/optim.StepUnless":  "for lite's CUDA graphs",
	"torch/optim.Capturable":  "for lite's CUDA graphs",
	"torch/optim.Replayed":    "for lite's CUDA graphs",
	"torch/optim.Recording":   "for lite's CUDA graphs",
	"torch/optim.WriteRates":  "for lite's CUDA graphs",
	"torch/optim.Revision":    "for lite's CUDA graphs",
	"torch/optim.Settings":    "for lite's CUDA graphs",
}

// counterpart is a name of PyTorch's in parentheses.
var counterpart = regexp.MustCompile(`\([^()]*\btorch\.[A-Za-z]`)

func TestPyTorchCounterpartsAreNamed(t *testing.T) {
	used := map[string]bool{}
	for _, pkg := range twins {
		var files []*ast.File
		for _, f := range goFiles(t) {
			if f.pkg == pkg && !f.test && !f.generated {
				files = append(files, f.ast)
			}
		}
		for name, at := range nameless(files) {
			key := pkg + "." + name
			used[key] = true
			if ours[key] == "" {
				t.Errorf("%s: %s: the comment names no counterpart in PyTorch, such as (torch.nn.Linear); what is golite's own "+
					"is listed in internal/lint/counterpart_test.go",
					fset.Position(at.Pos()), name)
			}
		}
	}
	for key := range ours {
		if !used[key] {
			t.Errorf("%s has an exception in internal/lint/counterpart_test.go and no use for it", key)
		}
	}
}

// nameless gives the exported types and functions of a package that name no counterpart. A constructor's name may stand
// in its type's comment, and the other way; options structs belong to a function.
func nameless(files []*ast.File) map[string]ast.Node {
	said, all := map[string]bool{}, map[string]ast.Node{}
	note := func(name string, at ast.Node, doc *ast.CommentGroup) {
		if ast.IsExported(name) && !strings.HasSuffix(name, "Options") {
			all[name] = at
			said[name] = counterpart.MatchString(strings.Join(strings.Fields(doc.Text()), " "))
		}
	}
	for _, f := range files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					note(d.Name.Name, d, d.Doc)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if spec, ok := s.(*ast.TypeSpec); ok {
						doc := spec.Doc
						if doc == nil {
							doc = d.Doc
						}
						note(spec.Name.Name, spec, doc)
					}
				}
			}
		}
	}
	maps.DeleteFunc(all, func(name string, _ ast.Node) bool {
		return said[name] || said["New"+name] || said[strings.TrimPrefix(name, "New")] ||
			said[strings.TrimSuffix(strings.TrimPrefix(name, "New"), "Groups")]
	})
	return all
}

func TestNamelessIsFound(t *testing.T) {
	f := parse(t, `package p

// Linear is a layer
// (torch.nn.Linear).
type Linear struct{}

// NewLinear makes one.
func NewLinear() {}

// LinearOptions are its options.
type LinearOptions struct{}

// Other (not torch's) is a layer.
type Other struct{}

// NewOther makes one.
func NewOther() {}
`)
	require.ElementsMatch(t, []string{"Other", "NewOther"}, keys(nameless([]*ast.File{f})))
}

// parse reads a sample that a lint is tried on.
func parse(t *testing.T, source string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(fset, "sample.go", source, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	return f
}

func keys[V any](m map[string]V) []string { return slices.Collect(maps.Keys(m)) }
