package cluster

import (
	"errors"
	"fmt"
	"hash/fnv"
)

// Horovod is a job started by horovodrun with its Gloo controller (Lightning's HorovodStrategy, which asked Horovod
// itself). Under horovodrun's MPI controller, as under mpirun, ranks have MPI's variables instead: MPI reads those. Only
// the variables are read; Horovod is not needed in the ranks.
type Horovod struct{ v vars }

// NewHorovod returns horovodrun's environment. A nil lookup reads the environment of the process.
func NewHorovod(lookup Lookup) *Horovod { return &Horovod{newVars("horovodrun", lookup)} }

// Name is "Horovod".
func (e *Horovod) Name() string { return "Horovod" }

// Detect reports whether HOROVOD_RANK and HOROVOD_SIZE are set.
func (e *Horovod) Detect() bool { return e.v.has("HOROVOD_RANK", "HOROVOD_SIZE") }

// LaunchesExternally reports true.
func (e *Horovod) LaunchesExternally() bool { return true }

// MainAddress is MASTER_ADDR, else 127.0.0.1 where all ranks are on one node. Several nodes need it: horovodrun's
// rendezvous is where horovodrun runs, which need not be rank 0's host.
func (e *Horovod) MainAddress() (string, error) {
	if addr, ok := e.v.text("MASTER_ADDR"); ok {
		return addr, nil
	}
	one, err := e.oneNode()
	if err == nil && !one {
		err = errors.New("ranks on several nodes need MASTER_ADDR: MASTER_ADDR=<host of rank 0> horovodrun ..., which hands its environment on")
	}
	return "127.0.0.1", err
}

func (e *Horovod) oneNode() (bool, error) {
	world, err := e.WorldSize()
	if err != nil {
		return false, err
	}
	local, err := e.LocalWorldSize()
	return world == local, err
}

// MainPort is MASTER_PORT, else a port from 10000 to 29999 made from HOROVOD_GLOO_RENDEZVOUS_PORT, which all ranks of a
// job share and two jobs of a host do not; without that, 12910.
func (e *Horovod) MainPort() (int, error) {
	if port, ok, err := e.v.number("MASTER_PORT"); ok || err != nil {
		return port, err
	}
	job, ok := e.v.text("HOROVOD_GLOO_RENDEZVOUS_PORT")
	if !ok {
		return DefaultPort, nil
	}
	h := fnv.New32a()
	h.Write([]byte(job))
	return 10000 + int(h.Sum32()%20000), nil
}

// WorldSize is HOROVOD_SIZE.
func (e *Horovod) WorldSize() (int, error) { return e.v.need("HOROVOD_SIZE") }

// GlobalRank is HOROVOD_RANK.
func (e *Horovod) GlobalRank() (int, error) { return e.v.need("HOROVOD_RANK") }

// LocalRank is HOROVOD_LOCAL_RANK.
func (e *Horovod) LocalRank() (int, error) { return e.v.need("HOROVOD_LOCAL_RANK") }

// LocalWorldSize is HOROVOD_LOCAL_SIZE.
func (e *Horovod) LocalWorldSize() (int, error) { return e.v.need("HOROVOD_LOCAL_SIZE") }

// NodeRank is HOROVOD_CROSS_RANK: the index of this node among those with a rank of this local number.
func (e *Horovod) NodeRank() (int, error) { return e.v.need("HOROVOD_CROSS_RANK") }

// Validate checks that devices times nodes is HOROVOD_SIZE, and devices HOROVOD_LOCAL_SIZE.
func (e *Horovod) Validate(devices, nodes int) error {
	world, err := e.WorldSize()
	if err != nil {
		return err
	}
	if err := checkWorld("horovodrun's HOROVOD_SIZE", devices, nodes, world); err != nil {
		return err
	}
	local, err := e.LocalWorldSize()
	if err == nil && local != devices {
		return fmt.Errorf("devices=%d, but horovodrun started %d ranks on this node: set devices=%d", devices, local, local)
	}
	return err
}
