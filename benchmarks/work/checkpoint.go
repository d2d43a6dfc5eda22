package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

// stateMiB is the size of the state dict that is saved and loaded.
const stateMiB = 1024

// state makes a state dict of 64 tensors.
func state() *torch.StateDict {
	sd := &torch.StateDict{}
	const n = stateMiB << 20 / 4 / 64
	for i := range 64 {
		sd.Set(fmt.Sprintf("layer%d.weight", i), torch.Randn(n/1024, 1024))
	}
	return sd
}

// checkpoint answers each of the driver's lines with the seconds of a save and of a load of a gigabyte, with the same fsync and
// the same warm page cache as on the Python side. Freeing what was loaded is part of neither.
func checkpoint(dir string) (err error) {
	path := filepath.Join(dir, "golite.pt")
	torch.RunRank(func() {
		sd := state()
		if _, _, err = saveAndLoad(path, sd); err != nil { // the first warms up
			return
		}
		report(map[string]any{"ready": true})
		for in := bufio.NewScanner(os.Stdin); in.Scan() && in.Text() != "quit"; {
			var save, load float64
			if save, load, err = saveAndLoad(path, sd); err != nil {
				return
			}
			report(map[string]any{"save": save, "load": load})
		}
	})
	return err
}

func saveAndLoad(path string, sd *torch.StateDict) (save, load float64, err error) {
	begin := time.Now()
	if err := serial.SaveStateDict(path, sd); err != nil {
		return 0, 0, err
	}
	save = time.Since(begin).Seconds()
	begin = time.Now()
	loaded, err := serial.LoadStateDict(path)
	if err != nil {
		return 0, 0, err
	}
	load = time.Since(begin).Seconds()
	for _, t := range loaded.All() {
		t.Release()
	}
	return save, load, nil
}

// saved writes the state dict and ends.
func saved(dir string) (err error) {
	torch.RunRank(func() { err = serial.SaveStateDict(filepath.Join(dir, "golite.pt"), state()) })
	return err
}

// load reads the state dict in a process that has read none before, and reports the seconds and the growth of the peak memory over
// the tensors' size. Where there is no file yet it has another process write one.
func load(dir string) (err error) {
	path := filepath.Join(dir, "golite.pt")
	if _, absent := os.Stat(path); errors.Is(absent, fs.ErrNotExist) {
		cmd := exec.Command(os.Args[0], "saved", dir)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%v: %w", cmd.Args, err)
		}
	}
	torch.RunRank(func() {
		torch.Randn(8, 8) // libtorch itself is there before
		before := resident("VmHWM")
		begin := time.Now()
		var sd *torch.StateDict
		if sd, err = serial.LoadStateDict(path); err != nil {
			return
		}
		seconds := time.Since(begin).Seconds()
		report(map[string]any{"seconds": seconds, "growth": float64(resident("VmHWM")-before) / (stateMiB << 20)})
		runtime.KeepAlive(sd)
	})
	return err
}
