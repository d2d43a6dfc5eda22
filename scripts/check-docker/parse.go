package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// stage is what follows a FROM line.
type stage struct {
	base, name string
	steps      []step
}

// step is one instruction.
type step struct {
	line     int
	keyword  string
	argument string
}

// known are the instructions that this program carries out; another one is an error, so that nothing goes unchecked.
var known = map[string]bool{"RUN": true, "COPY": true, "WORKDIR": true, "USER": true, "ENV": true, "CMD": true}

func parse(file string) ([]*stage, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var stages []*stage
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		first := i + 1
		whole := strings.TrimSpace(lines[i])
		if whole == "" || strings.HasPrefix(whole, "#") {
			continue
		}
		for strings.HasSuffix(whole, "\\") && i+1 < len(lines) {
			i++
			whole = strings.TrimSuffix(whole, "\\") + strings.TrimSpace(lines[i])
		}
		keyword, argument, _ := strings.Cut(whole, " ")
		argument = strings.TrimSpace(argument)
		switch {
		case keyword == "FROM":
			words := strings.Fields(argument)
			if len(words) != 3 || words[1] != "AS" {
				return nil, fmt.Errorf("%s:%d: FROM base AS name is what is read here", file, first)
			}
			stages = append(stages, &stage{base: words[0], name: words[2]})
		case !known[keyword]:
			return nil, fmt.Errorf("%s:%d: %s can't be checked here", file, first, keyword)
		case len(stages) == 0:
			return nil, fmt.Errorf("%s:%d: %s before FROM", file, first, keyword)
		default:
			s := stages[len(stages)-1]
			s.steps = append(s.steps, step{first, keyword, argument})
		}
	}
	return stages, nil
}

// needed keeps the stages that lead to the targets, in order.
func needed(stages []*stage, targets []string) []*stage {
	want := map[string]bool{}
	for _, t := range targets {
		want[t] = true
	}
	var out []*stage
	for i := len(stages) - 1; i >= 0; i-- {
		s := stages[i]
		if !want[s.name] {
			continue
		}
		want[s.base] = true
		for _, st := range s.steps {
			if from, ok := strings.CutPrefix(strings.Fields(st.argument)[0], "--from="); ok && st.keyword == "COPY" {
				want[from] = true
			}
		}
		out = append([]*stage{s}, out...)
	}
	return out
}

// command reads the list form of CMD.
func command(argument string) ([]string, error) {
	var words []string
	if err := json.Unmarshal([]byte(argument), &words); err != nil || len(words) == 0 {
		return nil, fmt.Errorf("CMD %s: a list of strings is what is read here", argument)
	}
	return words, nil
}

// readIgnored reads .dockerignore: names and patterns, each for a path or for anything beneath it.
func readIgnored(file string) (func(name string) bool, error) {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	patterns := strings.Fields(string(text))
	return func(name string) bool {
		for _, p := range patterns {
			deep, anywhere := strings.CutPrefix(p, "**/")
			if ok, err := path.Match(p, name); err == nil && ok {
				return true
			}
			if ok, err := path.Match(deep, path.Base(name)); anywhere && err == nil && ok {
				return true
			}
		}
		return false
	}, nil
}
