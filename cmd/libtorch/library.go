package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// libraryName is the library that brings GPUs. Programs open it where libtorch_cuda.so is.
const libraryName = "libcgotorch_cuda.so"

// buildLibrary compiles libcgotorch_cuda.so into file, or into the folder of libtorch's own libraries, where programs look for it. Headers are enough:
// no CUDA, no nvcc and no GPU are needed.
func (in *installer) buildLibrary(ctx context.Context, file string) error {
	sources, err := librarySources()
	if err != nil {
		return err
	}
	torch, err := in.installed()
	if err != nil {
		return err
	}
	if file == "" {
		file = filepath.Join(torch, "lib", libraryName)
		if _, err := os.Stat(filepath.Join(torch, "lib", "libtorch_cuda.so")); err != nil {
			return fmt.Errorf("%s has no libtorch_cuda.so, so that no program would open %s there: install -kind cuda brings the one with CUDA; -o names another file",
				torch, libraryName)
		}
	}
	headers := *in
	headers.kind, headers.existing = "cuda-headers", ""
	cuda, name, err := headers.locate(ctx)
	if err != nil {
		return err
	}
	if in.checkout != "" {
		if err := link(cuda, filepath.Join(in.checkout, "third_party", name)); err != nil {
			return err
		}
	}
	work, err := os.MkdirTemp("", "golite-cuda-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a temporary folder
	c := &compiler{sources: sources, torch: torch, cuda: cuda, work: work}
	built, err := c.build(ctx)
	if err != nil {
		return in.explainLibrary(err)
	}
	if err := place(built, file); err != nil {
		return fmt.Errorf("can't write %s: %w: -o names another file, which GOLITE_CUDA_LIBRARY then names to programs", file, err)
	}
	fmt.Fprintf(in.log, "libtorch: built %s\n", file)
	return nil
}

func (in *installer) explainLibrary(err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; run it again")
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: install g++, or set CXX to a C++ compiler", err)
	}
	return err
}

// librarySources finds golite's own sources: this program is run from them, be it from a checkout or from the module cache.
func librarySources() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), "..", "..", "cgotorch", "cuda")
	if !ok || !filepath.IsAbs(file) {
		return "", errors.New("this program doesn't know where golite's sources are: start it with go run, without -trimpath")
	}
	if _, err := os.Stat(filepath.Join(dir, "library.cc")); err != nil {
		return "", fmt.Errorf("golite's sources are not there any more: %w: start this program with go run", err)
	}
	return dir, nil
}

// compiler is what a build works with.
type compiler struct{ sources, torch, cuda, work string }

func (c *compiler) build(ctx context.Context) (string, error) {
	units, err := filepath.Glob(filepath.Join(c.sources, "*.cc"))
	if err != nil {
		return "", err
	}
	// libtorch_cuda.so itself may be elsewhere. An empty library of that name is enough to write down that it is needed.
	for _, name := range []string{"torch_cuda", "c10_cuda"} {
		if err := c.run(ctx, "-shared", "-nostdlib", "-Wl,-soname,lib"+name+".so", "-o", c.file("lib"+name+".so"), "-x", "c", os.DevNull); err != nil {
			return "", err
		}
	}
	objects := make([]string, len(units))
	errs := make([]error, len(units))
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for i, unit := range units {
		objects[i] = c.file(filepath.Base(unit) + ".o")
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = c.compile(ctx, unit, objects[i])
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	out := c.file(libraryName)
	args := append([]string{"-shared", "-Wl,-soname," + libraryName, "-Wl,--allow-shlib-undefined", "-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN", "-o", out}, objects...)
	return out, c.run(ctx, append(args, "-L"+c.work, "-L"+filepath.Join(c.torch, "lib"), "-ltorch_cuda", "-lc10_cuda", "-ltorch_cpu", "-lc10")...)
}

func (c *compiler) file(name string) string { return filepath.Join(c.work, name) }

func (c *compiler) compile(ctx context.Context, unit, object string) error {
	include := filepath.Join(c.torch, "include")
	return c.run(ctx, "-std=c++20", "-O2", "-g1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wno-sign-compare", "-Wno-interference-size",
		"-I"+filepath.Join(c.sources, "stubs"), "-I"+include, "-I"+filepath.Join(include, "torch", "csrc", "api", "include"),
		"-isystem", filepath.Join(c.cuda, "cu13", "include"), "-isystem", filepath.Join(c.cuda, "nccl", "include"), "-c", unit, "-o", object)
}

// run starts the C++ compiler, which CXX may name. What it says is in the error.
func (c *compiler) run(ctx context.Context, args ...string) error {
	command := strings.Fields(os.Getenv("CXX"))
	if len(command) == 0 {
		command = []string{"g++"}
	}
	cmd := exec.CommandContext(ctx, command[0], append(command[1:], args...)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", command[0], err, said.String())
	}
	return nil
}

// place puts a file where it belongs in one step: a program that has the old one open goes on with it.
func place(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	fresh := fmt.Sprintf("%s.%d", to, os.Getpid())
	if err := os.WriteFile(fresh, text, 0o755); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	if err := os.Rename(fresh, to); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return nil
}
