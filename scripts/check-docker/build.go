package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// builder builds stages, each in a folder of its own.
type builder struct {
	folder  string
	context string
	ignored func(name string) bool
	roots   map[string]*image
}

// image is a stage's folder and its settings.
type image struct {
	root, workdir, user string
	env                 []string
	cmd                 []string
}

// toolImage is what a golang image has beyond Debian's base and Go.
const toolImage = "ca-certificates,curl,g++,gcc,git,libc6-dev,make,pkg-config"

func (b *builder) build(ctx context.Context, s *stage) error {
	fmt.Printf("== stage %s, from %s\n", s.name, s.base)
	im, err := b.from(ctx, s)
	if err != nil {
		return err
	}
	b.roots[s.name] = im
	for _, st := range s.steps {
		fmt.Printf("== line %d: %s %s\n", st.line, st.keyword, st.argument)
		if err := b.do(ctx, im, st); err != nil {
			return fmt.Errorf("line %d: %s: %w", st.line, st.keyword, err)
		}
	}
	return nil
}

// from makes the folder of a stage: another stage's, or a Debian's.
func (b *builder) from(ctx context.Context, s *stage) (*image, error) {
	root := filepath.Join(b.folder, s.name)
	if err := os.RemoveAll(root); err != nil {
		return nil, err
	}
	if base := b.roots[s.base]; base != nil {
		im := *base
		im.root = root
		return &im, run(ctx, "cp", "-a", "--reflink=auto", base.root, root)
	}
	im := &image{root: root, workdir: "/", user: "root", env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
	name, tag, _ := strings.Cut(s.base, ":")
	switch name {
	case "debian":
		suite, _, _ := strings.Cut(tag, "-")
		return im, b.debian(ctx, im, suite, "")
	case "golang":
		version, suite, _ := strings.Cut(tag, "-")
		if have := strings.TrimPrefix(runtime.Version(), "go"); have != version {
			return nil, fmt.Errorf("%s needs Go %s here, this is %s", s.base, version, have)
		}
		if err := b.debian(ctx, im, suite, toolImage); err != nil {
			return nil, err
		}
		goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return nil, err
		}
		im.env = []string{"PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOPATH=/go", "GOTOOLCHAIN=local"}
		return im, run(ctx, "cp", "-a", strings.TrimSpace(string(goroot)), filepath.Join(root, "usr/local/go"))
	}
	return nil, fmt.Errorf("%s is neither a stage nor a debian or golang image", s.base)
}

// debian fills a folder with a suite, and with what this machine needs to reach the network.
func (b *builder) debian(ctx context.Context, im *image, suite, include string) error {
	args := []string{"--variant=minbase"}
	if include != "" {
		args = append(args, "--include="+include)
	}
	if err := run(ctx, "debootstrap", append(args, suite, im.root)...); err != nil {
		return fmt.Errorf("debootstrap %s: %w", suite, err)
	}
	return errors.Join(
		run(ctx, "cp", "-L", "/etc/resolv.conf", "/etc/hosts", filepath.Join(im.root, "etc")),
		os.RemoveAll(filepath.Join(im.root, "etc/ssl/certs")), // its links would lead out of the folder
		os.MkdirAll(filepath.Join(im.root, "etc/ssl"), 0o755),
		run(ctx, "cp", "-rL", "/etc/ssl/certs", filepath.Join(im.root, "etc/ssl")),
	)
}

func (b *builder) do(ctx context.Context, im *image, st step) error {
	switch st.keyword {
	case "RUN":
		return im.run(ctx, "/bin/sh", "-c", st.argument)
	case "COPY":
		return b.copy(ctx, im, strings.Fields(st.argument))
	case "WORKDIR":
		im.workdir = absolute(im.workdir, st.argument)
		return os.MkdirAll(filepath.Join(im.root, im.workdir), 0o755)
	case "USER":
		im.user = st.argument
	case "ENV":
		im.env = append(im.env, st.argument)
	case "CMD":
		var err error
		im.cmd, err = command(st.argument)
		return err
	}
	return nil
}

func absolute(workdir, to string) string {
	if path.IsAbs(to) {
		return to
	}
	return path.Join(workdir, to)
}

// copy is COPY: of the context without what is ignored, or of another stage.
func (b *builder) copy(ctx context.Context, im *image, words []string) error {
	to := filepath.Join(im.root, absolute(im.workdir, words[len(words)-1]))
	if from, ok := strings.CutPrefix(words[0], "--from="); ok {
		source := b.roots[from]
		if source == nil {
			return fmt.Errorf("no stage %q before", from)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return run(ctx, "cp", "-aT", filepath.Join(source.root, words[1]), to)
	}
	for _, name := range words[:len(words)-1] {
		source := filepath.Join(b.context, name)
		st, err := os.Stat(source)
		if err != nil {
			return err
		}
		into := to
		if !st.IsDir() {
			into = filepath.Join(to, filepath.Base(name))
		}
		if err := b.copyTree(source, into); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) copyTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inContext, err := filepath.Rel(b.context, name)
		if err != nil {
			return err
		}
		if b.ignored(filepath.ToSlash(inContext)) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		at := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(at, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			dest, err := os.Readlink(name)
			if err != nil {
				return err
			}
			return os.Symlink(dest, at)
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		return os.WriteFile(at, text, info.Mode().Perm())
	})
}
