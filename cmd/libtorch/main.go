// Command libtorch installs the libtorch that golite links, and prints what a build needs to find it.
//
//	go run github.com/golite/golite/cmd/libtorch@latest install
//	eval "$(go run github.com/golite/golite/cmd/libtorch@latest env)"
//	go build ./...
//
// install fills the user's cache folder (~/.cache/golite on Linux) from the Python package index, with pip as the
// downloader; versions and SHA-256 sums are pinned. It is safe to run twice at once and to kill midway. An install that
// is there is checked by the SHA-256 of each file, and put right where it is damaged. In a checkout of golite, and in a
// module that a replace directive or a workspace builds with one, it also makes the checkout's link third_party/libtorch,
// where cgo looks by default.
//
// verify checks every file of the install by its SHA-256 and names those that differ or are missing. It changes
// nothing.
//
// env prints shell commands that set CGO_CXXFLAGS and CGO_LDFLAGS, for programs outside the checkout. Where a checkout's link
// leads to the same libtorch it prints a comment alone: other flags would compile golite's C++ part a second time. Those who
// prefer pkg-config find golite-libtorch.pc in the folder pkgconfig of the cache folder.
//
// LIBTORCH=DIR makes both commands use an existing libtorch instead: the official zip, unpacked, or the folder torch of a
// Python install.
//
// install -kind chooses what: cpu, cuda (libtorch with its CUDA libraries), or cuda-headers (what building libcgotorch_cuda.so
// takes, linked as third_party/cuda). Without it a checkout whose link leads to one of them keeps it, and else it is cpu.
//
// cuda-library builds libcgotorch_cuda.so, with which programs use GPUs, from golite's sources, into the folder of the CUDA install's
// libraries, where they look for it; -o names another file. It needs g++ and neither CUDA nor a GPU.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/golite/golite/internal/regular"
)

const usage = `usage: libtorch install [-kind cpu|cuda|cuda-headers]
       libtorch verify [-kind cpu|cuda|cuda-headers]
       libtorch env [-kind cpu|cuda]
       libtorch cuda-library [-kind cpu|cuda] [-o FILE]

install puts libtorch into the cache folder; verify checks every file there by its SHA-256;
env prints the settings of a build (eval "$(libtorch env)");
cuda-library builds libcgotorch_cuda.so, with which programs use GPUs.
LIBTORCH=DIR makes all use an existing libtorch.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "libtorch:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(log, usage)
		return errors.New("no command: install, verify, env or cuda-library")
	}
	flags := flag.NewFlagSet("libtorch "+args[0], flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() { fmt.Fprint(log, usage) }
	kind := flags.String("kind", "", "what to install: cpu, cuda or cuda-headers")
	file := flags.String("o", "", "cuda-library: the file to build")
	if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		flags.Usage()
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if args[0] == "cuda-library" && *kind == "" && *file == "" {
		*kind = "cuda" // it goes into that install
	}
	in, err := newInstaller(*kind, log)
	if err != nil {
		return err
	}
	switch args[0] {
	case "install":
		return in.install(ctx)
	case "verify":
		return in.verify(ctx, out)
	case "env":
		return in.printEnv(out)
	case "cuda-library":
		return in.buildLibrary(ctx, *file)
	}
	flags.Usage()
	return fmt.Errorf("unknown command %q", args[0])
}

// installer holds what the commands work with; tests make their own.
type installer struct {
	pins     *pins
	kind     string
	platform string   // GOOS/GOARCH
	existing string   // LIBTORCH
	cache    string   // golite's part of the user's cache folder
	checkout string   // the golite checkout around the working folder, or that its module is built with, or ""
	python   []string // how to start Python
	free     func(dir string) (int64, error)
	log      io.Writer
	terminal bool // log is one
}

func newInstaller(kind string, log io.Writer) (*installer, error) {
	p, err := readPins()
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("no cache folder for libtorch: %w: set HOME or XDG_CACHE_HOME", err)
	}
	wd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	f, ok := log.(*os.File)
	checkout := findCheckout(wd)
	if checkout == "" {
		checkout = replacement(wd)
	}
	if kind == "" {
		kind = linkedKind(checkout, filepath.Join(cache, "golite"))
	}
	return &installer{
		pins: p, kind: kind, platform: runtime.GOOS + "/" + runtime.GOARCH, existing: os.Getenv("LIBTORCH"),
		cache: filepath.Join(cache, "golite"), checkout: checkout, python: []string{"python3"},
		free: freeSpace, log: log, terminal: ok && term.IsTerminal(int(f.Fd())),
	}, nil
}

// replacement is the golite checkout that the module around dir is built with, by a replace directive or a workspace; "" for
// a released version.
func replacement(dir string) string {
	const format = "{{if .Main}}{{.Dir}}{{else}}{{with .Replace}}{{if not .Version}}{{.Dir}}{{end}}{{end}}{{end}}"
	cmd := exec.Command("go", "list", "-m", "-f", format, "github.com/golite/golite")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "" // no module, one without golite, or no go command: nothing to link
	}
	return strings.TrimSpace(string(out))
}

// findCheckout walks up from dir to the go.mod of golite itself.
func findCheckout(dir string) string {
	for {
		if text, err := regular.ReadFile(filepath.Join(dir, "go.mod"), 1<<20); err == nil {
			line, _, _ := strings.Cut(string(text), "\n")
			if strings.TrimSpace(line) == "module github.com/golite/golite" {
				return dir
			}
			return ""
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}
