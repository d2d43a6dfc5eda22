package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
)

// collective parses the name of a workload that is one collective of a number of KiB, such as "all_reduce:16". The bytes are those of the
// whole tensor: what all ranks' parts are together where parts are gathered or scattered.
func collective(name string, g *dist.Group) (w workload, ok bool, err error) {
	name, size, ok := strings.Cut(name, ":")
	if !ok {
		return workload{}, false, nil
	}
	kib, err := strconv.Atoi(size)
	if err != nil {
		return workload{}, true, err
	}
	n := kib << 10 / 4
	whole, part := torch.Zeros(n), torch.Zeros(n/g.Size())
	f, ok := map[string]func(){
		"all_reduce":             func() { g.AllReduce(whole, dist.Sum) },
		"all_gather_into_tensor": func() { g.AllGatherInto(whole, part) },
		"reduce_scatter_tensor":  func() { g.ReduceScatterTensor(part, whole, dist.Sum) },
		"broadcast":              func() { g.Broadcast(whole, 0) },
	}[name]
	if !ok {
		return workload{}, true, fmt.Errorf("no collective %q", name)
	}
	return workload{f, 1}, true, nil
}
