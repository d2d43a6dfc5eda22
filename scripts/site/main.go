package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	root := flag.String("root", filepath.Join("..", ".."), "the repository")
	out := flag.String("out", filepath.Join("..", "..", "out", "site"),
		"the folder that is written; its former content is removed")
	flag.Parse()
	n, err := build(*root, *out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
	fmt.Printf("%d pages: %s\n", n, filepath.Join(*out, "index.html"))
}

// build writes the site of the repository at root into the folder out and checks its links. It returns the number of
// pages.
func build(root, out string) (pages int, err error) {
	s := &site{root: root, out: out, sources: map[string]bool{}}
	if s.packages, err = loadPackages(root); err != nil {
		return 0, err
	}
	if s.documents, err = loadDocuments(root); err != nil {
		return 0, err
	}
	if err := clear(out); err != nil {
		return 0, err
	}
	for _, step := range []func() error{s.writeAssets, s.writePackages, s.writeDocuments, s.writeSources} {
		if err := step(); err != nil {
			return 0, err
		}
	}
	dead, err := deadLinks(out)
	if err != nil {
		return 0, err
	}
	if len(dead) > 0 {
		return 0, fmt.Errorf("%d dead links:\n%s", len(dead), strings.Join(dead, "\n"))
	}
	return s.written, nil
}

// clear empties the folder of a former site. A folder with anything else in it is refused.
func clear(out string) error {
	list, err := os.ReadDir(out)
	if os.IsNotExist(err) || err == nil && len(list) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(out, marker)); err != nil {
		return fmt.Errorf("%s is not empty and holds no site (no %s); name another folder, or empty it", out, marker)
	}
	return os.RemoveAll(out)
}
