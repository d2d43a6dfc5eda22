package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// passed are the settings of this machine without which it may not reach the network.
var passed = []string{
	"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"PIP_CERT", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "GOPROXY", "GOSUMDB",
}

// enter mounts what a program expects, in a mount namespace that ends with it, and changes the root.
const enter = `mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && shift && exec "$@"`

// run runs a command in the image, as its user, in its working folder. Its output is shown.
func (im *image) run(ctx context.Context, argv ...string) error {
	home, err := im.home()
	if err != nil {
		return err
	}
	args := []string{"--mount", "--propagation", "private", "sh", "-c", enter, "sh", im.root, "chroot", "--userspec=" + im.user, im.root, "env", "-i"}
	args = append(append(args, im.env...), "HOME="+home, "DEBIAN_FRONTEND=noninteractive")
	for _, name := range passed {
		if v, ok := os.LookupEnv(name); ok {
			args = append(args, name+"="+v)
		}
	}
	args = append(args, "sh", "-c", `cd "$0" && exec "$@"`, im.workdir)
	return run(ctx, "unshare", append(args, argv...)...)
}

// home reads the user's home folder from the image's passwd, as an engine does.
func (im *image) home() (string, error) {
	text, err := os.ReadFile(filepath.Join(im.root, "etc/passwd"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 7 && f[0] == im.user {
			return f[5], nil
		}
	}
	return "", fmt.Errorf("the image has no user %q", im.user)
}

// start runs the default command. It must not be root's, and must succeed.
func (im *image) start(ctx context.Context) error {
	if im.user == "root" {
		return errors.New("the image would run as root")
	}
	fmt.Printf("== as %s: %s\n", im.user, strings.Join(im.cmd, " "))
	if err := im.run(ctx, im.cmd...); err != nil {
		return fmt.Errorf("the default command: %w", err)
	}
	fmt.Println("== ok")
	return nil
}

// size is the bytes of all files.
func (im *image) size() (n int64) {
	_ = filepath.WalkDir(im.root, func(_ string, d fs.DirEntry, err error) error { // a sum for people
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// run shows a command's output as it comes.
func run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
