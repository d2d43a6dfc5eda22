package cluster

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
)

// MPI is a job started by mpirun or mpiexec: Open MPI (and PRRTE), MPICH, Intel MPI or MVAPICH2
// (lightning.fabric.plugins.environments.MPIEnvironment). Only the variables they set are read; no MPI library is
// needed.
type MPI struct{ v vars }

// NewMPI returns MPI's environment. A nil lookup reads the environment of the process.
func NewMPI(lookup Lookup) *MPI { return &MPI{newVars("mpirun", lookup)} }

// The same fact under the names that Open MPI, MVAPICH2, and MPICH and Intel MPI (Hydra) give it.
var (
	mpiSize      = []string{"OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "PMI_SIZE"}
	mpiRank      = []string{"OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"}
	mpiLocalRank = []string{"OMPI_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"}
	mpiLocalSize = []string{"OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}
	mpiJob       = []string{"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "PMI_KVS", "MV2_COMM_WORLD_JOBID"}
)

// Name is "MPI".
func (e *MPI) Name() string { return "MPI" }

// Detect reports whether an MPI launcher started more than one rank.
func (e *MPI) Detect() bool {
	n, ok, err := e.v.number(mpiSize...)
	return ok && err == nil && n > 1
}

// LaunchesExternally reports true.
func (e *MPI) LaunchesExternally() bool { return true }

// MainAddress is MASTER_ADDR, else 127.0.0.1 where all ranks are on one node. Several nodes need it: no variable of
// mpirun's names the host of rank 0.
func (e *MPI) MainAddress() (string, error) {
	if addr, ok := e.v.text("MASTER_ADDR"); ok {
		return addr, nil
	}
	one, err := e.oneNode()
	if err == nil && !one {
		err = errors.New("ranks on several nodes need MASTER_ADDR: mpirun -x MASTER_ADDR=<host of rank 0> (Open MPI), " +
			"or -genv MASTER_ADDR <host> (MPICH, Intel MPI)")
	}
	return "127.0.0.1", err
}

func (e *MPI) oneNode() (bool, error) {
	world, err := e.WorldSize()
	if err != nil {
		return false, err
	}
	local, err := e.LocalWorldSize()
	return world == local, err
}

// MainPort is MASTER_PORT, else, on one node, a port from 10000 to 29999 made from the job's name, or, where the
// launcher sets none, from its process: all ranks share it, and two jobs do not.
func (e *MPI) MainPort() (int, error) {
	if port, ok, err := e.v.number("MASTER_PORT"); ok || err != nil {
		return port, err
	}
	one, err := e.oneNode()
	if err != nil || !one {
		return DefaultPort, err
	}
	h := fnv.New32a()
	h.Write([]byte(e.v.textOr(strconv.Itoa(os.Getppid()), mpiJob...)))
	return 10000 + int(h.Sum32()%20000), nil
}

// WorldSize is OMPI_COMM_WORLD_SIZE, MV2_COMM_WORLD_SIZE or PMI_SIZE.
func (e *MPI) WorldSize() (int, error) { return e.v.need(mpiSize...) }

// GlobalRank is OMPI_COMM_WORLD_RANK, MV2_COMM_WORLD_RANK, PMI_RANK or PMIX_RANK.
func (e *MPI) GlobalRank() (int, error) { return e.v.need(mpiRank...) }

// LocalRank is OMPI_COMM_WORLD_LOCAL_RANK, MV2_COMM_WORLD_LOCAL_RANK or MPI_LOCALRANKID.
func (e *MPI) LocalRank() (int, error) { return e.v.need(mpiLocalRank...) }

// LocalWorldSize is OMPI_COMM_WORLD_LOCAL_SIZE, MV2_COMM_WORLD_LOCAL_SIZE or MPI_LOCALNRANKS.
func (e *MPI) LocalWorldSize() (int, error) { return e.v.need(mpiLocalSize...) }

// NodeRank is NODE_RANK, else computed from the ranks: mpirun fills node after node (by slot), or deals ranks out in
// turn (by node). Another mapping needs NODE_RANK. (OMPI_COMM_WORLD_NODE_RANK is something else: the rank within a
// node.)
func (e *MPI) NodeRank() (int, error) {
	if n, ok, err := e.v.number("NODE_RANK"); ok || err != nil {
		return n, err
	}
	var world, rank, local, size int
	for _, f := range []struct {
		into *int
		from func() (int, error)
	}{{&world, e.WorldSize}, {&rank, e.GlobalRank}, {&local, e.LocalRank}, {&size, e.LocalWorldSize}} {
		n, err := f.from()
		if err != nil {
			return 0, err
		}
		*f.into = n
	}
	switch {
	case size == world:
		return 0, nil
	case size > 0 && world%size == 0 && rank%size == local:
		return rank / size, nil
	case size > 0 && world%size == 0 && rank/(world/size) == local:
		return rank % (world / size), nil
	}
	return 0, fmt.Errorf("rank %d of %d is number %d of %d on its node: the node's rank does not follow from that mapping; "+
		"use mpirun's --map-by slot with equal nodes, or set NODE_RANK", rank, world, local, size)
}

// Validate checks that devices times nodes is the number of ranks, and devices that of this node.
func (e *MPI) Validate(devices, nodes int) error {
	world, err := e.WorldSize()
	if err != nil {
		return err
	}
	if err := checkWorld("mpirun's number of ranks", devices, nodes, world); err != nil {
		return err
	}
	local, err := e.LocalWorldSize()
	if err == nil && local != devices {
		return fmt.Errorf("devices=%d, but mpirun started %d ranks on this node: set devices=%d", devices, local, local)
	}
	return err
}
