// Command check-docker runs the steps of the Dockerfile without a Docker engine: each stage in a folder that debootstrap
// filled, each RUN line in order by chroot, then the default command as the image's user.
//
//	sudo go run ./scripts/check-docker -target cpu,cuda
//
// For cuda it downloads 3 GB and takes 15 GB of disk meanwhile.
//
// It needs Linux, root, debootstrap, and for stages from a golang image a Go of the same version here. What differs from an
// engine: the base is the suite's present state, not the dated image; name resolution, certificates and the settings of pip,
// Go and proxies are this machine's.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	target := flag.String("target", "cpu", "the stages to build and start, with commas between them")
	folder := flag.String("dir", "", "working folder, some 4 GB, for cuda 15 GB (default: a temporary one, removed at the end)")
	path := flag.String("file", "Dockerfile", "the Dockerfile; the folder it lies in is the context")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := check(ctx, *path, strings.Split(*target, ","), *folder); err != nil {
		stop()
		log.Fatal("check-docker: ", err) //nolint:gocritic // stop was called
	}
}

func check(ctx context.Context, path string, targets []string, folder string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("chroot needs root: run it with sudo")
	}
	stages, err := parse(path)
	if err != nil {
		return err
	}
	if folder == "" {
		if folder, err = os.MkdirTemp("", "check-docker-"); err != nil {
			return err
		}
		defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return err
	}
	b := &builder{folder: folder, context: filepath.Dir(path), roots: map[string]*image{}}
	if b.ignored, err = readIgnored(filepath.Join(b.context, ".dockerignore")); err != nil {
		return err
	}
	start := time.Now()
	for _, s := range needed(stages, targets) {
		if err := b.build(ctx, s); err != nil {
			return err
		}
	}
	fmt.Printf("== built in %.0f s\n", time.Since(start).Seconds())
	for _, target := range targets {
		im := b.roots[target]
		if im == nil {
			return fmt.Errorf("%s has no stage %q", path, target)
		}
		fmt.Printf("== image %s: a folder of %d MB\n", target, im.size()/1e6)
		if err := im.start(ctx); err != nil {
			return err
		}
	}
	return nil
}
