package lint

import (
	"go/ast"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whoever reads a type's page learns what each member is: the methods of interfaces and the exported fields of structs
// have a comment, too. Packages that no user can or should import are left out.
func TestMembersHaveComments(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || f.isMain() || f.generated || f.pkg == "cgotorch" || strings.Contains("/"+f.pkg, "/internal/") {
			continue
		}
		for member, at := range silentMembers(f.ast) {
			t.Errorf("%s: %s has no comment of its own, after it, before its group or in its type's comment", f.at(at), member)
		}
	}
}

// silentMembers gives the exported members of exported types that nothing is said about: no comment before or after
// them, none that begins the run of lines they are in, and no mention in the type's comment, by their own name or the
// one they have in state dicts.
func silentMembers(f *ast.File) map[string]ast.Node {
	silent := map[string]ast.Node{}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range g.Specs {
			spec, ok := s.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() {
				continue
			}
			about := g.Doc.Text() + spec.Doc.Text()
			switch typ := spec.Type.(type) {
			case *ast.StructType:
				silentIn(typ.Fields, spec.Name.Name, about, silent)
			case *ast.InterfaceType:
				silentIn(typ.Methods, spec.Name.Name, about, silent)
			}
		}
	}
	return silent
}

func silentIn(list *ast.FieldList, owner, about string, silent map[string]ast.Node) {
	covered, last := false, -1
	// its type's comment is about all of it
	oneLine := about != "" && fset.Position(list.Pos()).Line == fset.Position(list.End()).Line
	for _, m := range list.List {
		if line := fset.Position(m.Pos()).Line; m.Doc != nil || line != last+1 {
			covered = m.Doc != nil // a comment before a run of lines is about all of them
		}
		last = fset.Position(m.End()).Line
		if covered || oneLine || m.Comment != nil {
			continue
		}
		for _, name := range m.Names {
			if name.IsExported() && !mentions(about, name.Name) {
				silent[owner+"."+name.Name] = m
			}
		}
	}
}

var (
	beforeWord   = regexp.MustCompile(`([A-Za-z0-9])([A-Z][a-z])`)
	beforeLetter = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

// mentions reports whether a comment has a name as a word, or as a key of a state dict: InProjWeight is in_proj_weight.
func mentions(about, name string) bool {
	key := strings.ToLower(beforeLetter.ReplaceAllString(beforeWord.ReplaceAllString(name, "${1}_$2"), "${1}_$2"))
	return regexp.MustCompile(`\b(` + regexp.QuoteMeta(name) + `|` + regexp.QuoteMeta(key) + `)\b`).MatchString(about)
}

func TestSilentMembersAreFound(t *testing.T) {
	f := parse(t, `package p

// T has a Named field and the key a_weight.
type T struct {
	// Own is documented.
	Own int
	Under, Same int // the rest of its group, and what has a comment after it

	Bare int
	Trailing int // said
	AWeight, Named int
	hidden int
	Base
}

// I is an interface.
type I interface {
	// Said is.
	Said()

	Silent()
}

// Pair is two things.
type Pair struct{ A, B int }

type own struct{ Bare int }
`)
	require.ElementsMatch(t, []string{"T.Bare", "I.Silent"}, keys(silentMembers(f)))
}
