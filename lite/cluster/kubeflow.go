package cluster

import "fmt"

// Kubeflow is a PyTorchJob of Kubernetes' training operator
// (lightning.fabric.plugins.environments.KubeflowEnvironment): one process a pod, or several where the job sets
// LOCAL_WORLD_SIZE and LOCAL_RANK (which torchrun inside the pod does; then TorchElastic is detected first).
type Kubeflow struct{ v vars }

// NewKubeflow returns a PyTorchJob's environment. A nil lookup reads the environment of the process.
func NewKubeflow(lookup Lookup) *Kubeflow { return &Kubeflow{newVars("the PyTorchJob", lookup)} }

// Name is "Kubernetes PyTorchJob".
func (e *Kubeflow) Name() string { return "Kubernetes PyTorchJob" }

// Detect reports whether the process runs in a Kubernetes pod (KUBERNETES_PORT or KUBERNETES_SERVICE_HOST) with
// MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK set, and without LOCAL_RANK or GROUP_RANK.
func (e *Kubeflow) Detect() bool {
	pod := e.v.has("KUBERNETES_PORT") || e.v.has("KUBERNETES_SERVICE_HOST")
	return pod && e.v.has("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK") &&
		!e.v.has("LOCAL_RANK") && !e.v.has("GROUP_RANK")
}

// LaunchesExternally reports true.
func (e *Kubeflow) LaunchesExternally() bool { return true }

// MainAddress is MASTER_ADDR.
func (e *Kubeflow) MainAddress() (string, error) {
	addr, ok := e.v.text("MASTER_ADDR")
	if !ok {
		return "", fmt.Errorf("MASTER_ADDR is not set, though the PyTorchJob sets it")
	}
	return addr, nil
}

// MainPort is MASTER_PORT.
func (e *Kubeflow) MainPort() (int, error) { return e.v.need("MASTER_PORT") }

// WorldSize is WORLD_SIZE.
func (e *Kubeflow) WorldSize() (int, error) { return e.v.need("WORLD_SIZE") }

// GlobalRank is RANK.
func (e *Kubeflow) GlobalRank() (int, error) { return e.v.need("RANK") }

// LocalRank is 0: a pod runs one process.
func (e *Kubeflow) LocalRank() (int, error) { return 0, nil }

// NodeRank is RANK: each pod is a node.
func (e *Kubeflow) NodeRank() (int, error) { return e.GlobalRank() }

// LocalWorldSize is 1.
func (e *Kubeflow) LocalWorldSize() (int, error) { return 1, nil }

// Validate checks that devices is 1 and that nodes is WORLD_SIZE.
func (e *Kubeflow) Validate(devices, nodes int) error {
	world, err := e.WorldSize()
	if err != nil {
		return err
	}
	if devices != 1 || nodes != world {
		return fmt.Errorf("devices=%d and num_nodes=%d, but the PyTorchJob has %d pods with one process each: "+
			"set devices=1 and num_nodes=%d, or start torchrun in the pods",
			devices, nodes, world, world)
	}
	return nil
}
