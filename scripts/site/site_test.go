package main

import (
	"go/ast"
	"html/template"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// write makes a folder with the given files.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o777))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o666))
	}
	return dir
}

// module is a small repository: its go.mod, the pages that every site has, and what is given.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	all := map[string]string{
		"go.mod": "module " + module + "\n\ngo 1.26.0\n",
		"dist/dist.go": "// Package dist has [Group].\npackage dist\n\n" +
			"// Group is a group; [Group.Size] counts.\ntype Group struct{}\n\n" +
			"// Size is its size.\nfunc (g *Group) Size() int { return 1 }\n",
		"lite/lite.go": "// Package lite uses [dist.Group].\npackage lite\n\nimport \"" + module + "/dist\"\n\n" +
			"// Join joins.\nfunc Join(g *dist.Group) error { return nil }\n",
		"lite/lite_test.go": "package lite\n\nimport \"fmt\"\n\n" +
			"func ExampleJoin() {\n\tfmt.Println(\"joined\") // <b>\n\t// Output: joined\n}\n",
		"internal/x/x.go": "// Package x is hidden.\npackage x\n",
		"docs/guide.md":   "# A guide\n\n[code](../lite/lite.go), [package](../dist), [home](../README.md#first-steps)\n",
		"README.md":       "# golite\n\n## First steps\n\n[guide](docs/guide.md) <script>alert(1)</script>\n",
		"CHANGELOG.md":    "# Changes\n",
		"CONTRIBUTING.md": "# Contributing\n",
		"SECURITY.md":     "# Security\n",
	}
	for name, content := range files {
		all[name] = content
	}
	return write(t, all)
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	require.NoError(t, err)
	return string(b)
}

func TestPagesAndTheirLinks(t *testing.T) {
	out := filepath.Join(t.TempDir(), "site")
	root := repository(t, nil)
	n, err := build(root, out)
	require.NoError(t, err)
	require.Greater(t, n, 7)

	lite := read(t, out, "pkg/lite/index.html")
	require.Contains(t, lite, `<a href="../dist/index.html#Group">dist.Group</a>`, "a link in a doc comment")
	require.Contains(t, lite, `dist.<a href="../dist/index.html#Group">Group</a>`, "a type in a declaration")
	require.Contains(t, lite, `href="../../src/lite/lite.go.html#L7"`, "the declaration's source")
	require.Contains(t, lite, "fmt.Println(&#34;joined&#34;)")
	require.Contains(t, lite, "<pre>joined\n</pre>")
	require.NotContains(t, lite, "<b>")

	home := read(t, out, "index.html")
	require.Contains(t, home, `href="docs/guide.html"`)
	require.NotContains(t, home, "<script>alert", "raw HTML of a page is left out")
	guide := read(t, out, "docs/guide.html")
	require.Contains(t, guide, `<a href="../src/lite/lite.go.html">code</a>`)
	require.Contains(t, guide, `<a href="../pkg/dist/index.html">package</a>`)
	require.Contains(t, guide, `<a href="../index.html#first-steps">home</a>`)
	require.Contains(t, read(t, out, "src/lite/lite.go.html"), `<span id="L7">func Join`)
	require.NoDirExists(t, filepath.Join(out, "pkg/internal"))

	names := read(t, out, marker)
	require.Contains(t, names, `["dist.Group.Size","pkg/dist/index.html#Group.Size"]`)

	again, err := build(root, out)
	require.NoError(t, err, "a former site is replaced")
	require.Equal(t, n, again)
}

func TestDeadLinksAreErrors(t *testing.T) {
	for name, c := range map[string]struct{ file, content, want string }{
		"file":    {"docs/other.md", "# T\n\n[a](missing.md)\n", "docs/other.html: missing.md: no such page"},
		"outside": {"docs/other.md", "# T\n\n[a](../../etc/passwd)\n", "docs/other.html: ../../etc/passwd: no such page"},
		"heading": {"docs/other.md", "# T\n\n[a](guide.md#nothing)\n",
			"docs/other.html: guide.html#nothing: no such place in docs/guide.html"},
		"comment": {"amp/amp.go", "// Package amp has [Missing].\npackage amp\n\n" +
			"// Use refers to [github.com/golite/golite/dist.Nothing].\nfunc Use() {}\n",
			"no such place in pkg/dist/index.html"},
		"no title": {"docs/other.md", "text\n", "docs/other.md begins with no heading"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := build(repository(t, map[string]string{c.file: c.content}), filepath.Join(t.TempDir(), "site"))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestAFolderWithOtherContentIsKept(t *testing.T) {
	out := write(t, map[string]string{"mine.txt": "mine"})
	_, err := build(repository(t, nil), out)
	require.ErrorContains(t, err, "is not empty and holds no site")
	require.Equal(t, "mine", read(t, out, "mine.txt"))
}

func TestNamesInSourceTextAreLinks(t *testing.T) {
	s := &site{}
	p := &pkg{path: "lite", imports: map[string]string{}}
	text := "func F(x Known, y other.Known, k known) // Known <i>\nvar s = \"Known\""
	got := s.linked(p, []byte(text), map[string]bool{"Known": true})
	require.Equal(t, template.HTML(`func F(x <a href="#Known">Known</a>, y other.Known, k known) `+
		`<span class="comment">// Known &lt;i&gt;</span>`+"\n"+`var s = &#34;Known&#34;`), got)
	require.True(t, ast.IsExported("Known"))
	require.False(t, strings.Contains(string(got), "<i>"))
}
