package main

import (
	"fmt"
	"html"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	hrefs = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	ids   = regexp.MustCompile(`\bid="([^"]*)"`)
)

// deadLinks reads all pages below the folder and returns the links whose page, or whose place in it, is not there.
// Links to other sites are not followed.
func deadLinks(out string) ([]string, error) {
	places := map[string]map[string]bool{} // by page
	links := map[string][]string{}
	err := filepath.WalkDir(out, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(out, name)
		if err != nil {
			return err
		}
		page := filepath.ToSlash(rel)
		places[page] = map[string]bool{}
		if path.Ext(page) != ".html" {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, m := range ids.FindAllSubmatch(content, -1) {
			places[page][html.UnescapeString(string(m[1]))] = true
		}
		for _, m := range hrefs.FindAllSubmatch(content, -1) {
			links[page] = append(links[page], html.UnescapeString(string(m[1])))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var dead []string
	for page, list := range links {
		for _, l := range list {
			if why := follow(places, page, l); why != "" {
				dead = append(dead, fmt.Sprintf("%s: %s: %s", page, l, why))
			}
		}
	}
	slices.Sort(dead)
	return slices.Compact(dead), nil
}

// follow returns why a link of a page leads nowhere, "" if it leads somewhere.
func follow(places map[string]map[string]bool, page, link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" || u.Host != "" {
		return ""
	}
	to := page
	if u.Path != "" {
		to = path.Join(path.Dir(page), u.Path)
	}
	there, ok := places[to]
	switch {
	case !ok:
		return "no such page"
	case u.Fragment != "" && !there[u.Fragment]:
		return "no such place in " + strings.TrimPrefix(to, "./")
	}
	return ""
}
