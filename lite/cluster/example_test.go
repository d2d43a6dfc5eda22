package cluster_test

import (
	"fmt"

	"github.com/golite/golite/lite/cluster"
)

func ExampleDetect() {
	lookup := cluster.Map(map[string]string{
		"TORCHELASTIC_RUN_ID": "none", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29400",
		"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "GROUP_RANK": "1", "LOCAL_WORLD_SIZE": "2",
	})
	env := cluster.Detect(nil, lookup) // a nil lookup reads the environment of the process
	p, err := cluster.Place(env, 2, 2) // 2 devices on each of 2 nodes
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s: rank %d of %d, rank 0 at %s:%d\n", env.Name(), p.GlobalRank, p.WorldSize, p.MainAddress, p.MainPort)
	// Output: torchrun: rank 3 of 4, rank 0 at 10.0.0.1:29400
}

// myCluster says in a way of its own where rank 0 is; the rest comes from PyTorch's variables.
type myCluster struct{ cluster.Base }

func (*myCluster) Name() string                 { return "my cluster" }
func (*myCluster) MainAddress() (string, error) { return "head-node", nil }

func ExampleBase() {
	env := &myCluster{cluster.Base{Lookup: cluster.Map(map[string]string{"LOCAL_RANK": "1"})}}
	p, err := cluster.Place(env, 2, 1)
	fmt.Println(p.MainAddress, p.GlobalRank, p.WorldSize, err)
	// Output: head-node 1 2 <nil>
}
