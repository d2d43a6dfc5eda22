package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/golite/golite/lite/cluster"
)

// Desk is the environment of a launcher of one's own, that starts DESK_SIZE ranks on one machine and tells each its
// number in DESK_RANK.
type Desk struct{ Lookup cluster.Lookup }

var _ cluster.Environment = Desk{}

func (d Desk) number(key string, otherwise int) (int, error) {
	lookup := d.Lookup
	if lookup == nil {
		lookup = os.LookupEnv
	}
	text, ok := lookup(key)
	if !ok {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s=%q is not a whole number", key, text)
	}
	return n, nil
}

// Name is what messages call it.
func (Desk) Name() string { return "desk" }

// Detect reports whether the launcher started this process. As a plugin the environment is used in any case.
func (d Desk) Detect() bool { _, ok := os.LookupEnv("DESK_RANK"); return ok }

// LaunchesExternally reports that all ranks are there already.
func (Desk) LaunchesExternally() bool { return true }

// MainAddress is where rank 0 listens: all ranks are on one machine.
func (Desk) MainAddress() (string, error) { return "127.0.0.1", nil }

// MainPort is the port where rank 0 listens.
func (d Desk) MainPort() (int, error) { return d.number("DESK_PORT", 29400) }

// WorldSize is the number of ranks.
func (d Desk) WorldSize() (int, error) { return d.number("DESK_SIZE", 1) }

// GlobalRank is this process's rank.
func (d Desk) GlobalRank() (int, error) { return d.number("DESK_RANK", 0) }

// LocalRank is the same, on one machine.
func (d Desk) LocalRank() (int, error) { return d.GlobalRank() }

// NodeRank is 0: there is one machine.
func (Desk) NodeRank() (int, error) { return 0, nil }

// LocalWorldSize is all ranks.
func (d Desk) LocalWorldSize() (int, error) { return d.WorldSize() }

// Validate refuses what the launcher has not started.
func (d Desk) Validate(devices, nodes int) error {
	n, err := d.WorldSize()
	if err != nil {
		return err
	}
	if nodes > 1 || devices != n {
		return fmt.Errorf("desk started %d ranks on one machine, but %d devices on %d nodes are asked for", n, devices, nodes)
	}
	return nil
}
