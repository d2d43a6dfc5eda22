package main

import "slices"

// groups lists what is measured, with operations of so many threads.
func groups(t tools, threads int) []group {
	all := slices.Concat(stepGroups(t), rankGroups(t), wholeGroups(t), memoryGroups(t), checkpointGroups(t))
	for _, g := range all {
		for i := range g.contestants {
			g.contestants[i].threads = threads
		}
	}
	return all
}

// The contestants' names.
const (
	ours, oursFused, oursLite = "golite", "golite, fused", "lite"
	cpp, torch, torchFused    = "C++", "PyTorch", "PyTorch, fused"
	fabric, gomlx             = "Fabric", "GoMLX"
	goroutines, processes     = "goroutines", "processes"
	fabricDDP, torchDDP       = "Fabric ddp", "PyTorch DDP"
	torchGloo                 = "PyTorch gloo"
)

// goals are the most that ours may take of each peer's time.
type goals struct{ cpp, torch, fabric float64 }

func stepGroups(t tools) []group {
	step := func(name string) []contestant {
		return []contestant{
			{name: ours, args: []string{t.work, name, "torch"}}, {name: cpp, args: []string{t.cpp, name}}, {name: torch, args: []string{t.python, t.script, name, "torch"}},
		}
	}
	compare := func(name, a, b string, goal float64) row { return row{name, a, b, "value", "us", goal, "cpu", ""} }
	train := func(name, title string, g goals) group {
		c := append(step(name), contestant{name: oursFused, args: []string{t.work, name, "fused"}}, contestant{name: oursLite, args: []string{t.work, name, "lite"}},
			contestant{name: torchFused, args: []string{t.python, t.script, name, "fused"}}, contestant{name: fabric, args: []string{t.python, t.script, name, "fabric"}})
		return group{name: name, contestants: c, rows: []row{
			compare(title, ours, cpp, g.cpp), compare(title, ours, torch, g.torch), compare(title+", through lite", oursLite, fabric, g.fabric),
			compare(title+", fused", oursFused, cpp, g.cpp), compare(title+", fused", oursFused, torch, g.torch), compare(title+", fused", oursFused, torchFused, 0),
			compare(title+", lite's own cost", oursLite, ours, 1.03),
		}}
	}
	mlp := train("mlp", "MLP step", goals{1.05, 0.60, 0.40})
	mlp.contestants = append(mlp.contestants, contestant{name: gomlx, args: []string{t.gomlx}, env: []string{"GOMLX_BACKEND=go"}})
	mlp.rows = append(mlp.rows, compare("MLP step", ours, gomlx, 0.20))
	all := []group{
		{name: "add", contestants: step("add"), rows: []row{compare("add of 4 floats", ours, cpp, 1.20), compare("add of 4 floats", ours, torch, 0)}},
		{name: "addgrad", contestants: step("addgrad"), rows: []row{compare("add with backward", ours, cpp, 0), compare("add with backward", ours, torch, 0.72)}},
		mlp,
		train("cnn", "CNN step", goals{1.02, 0.95, 0.90}),
		train("transformer", "transformer step", goals{1.03, 0.80, 0.75}),
	}
	alike := func(name, title string) group {
		return group{name: name, contestants: step(name), rows: []row{compare(title, ours, cpp, 0), compare(title, ours, torch, 0)}}
	}
	return append(all,
		alike("deep10", "step of 10 layers of 16"), alike("deep100", "step of 100 layers of 16"), alike("deep1000", "step of 1000 layers of 16"),
		alike("wide256", "step of 1.6 million parameters"), alike("wide1024", "step of 25 million parameters"))
}

// rankGroups are steps that several ranks do together, each with a batch of its own, and single collectives.
func rankGroups(t tools) []group {
	run := func(name, model, kind, n string) contestant {
		return contestant{name: name, args: []string{t.work, "ranks", model, kind, n}}
	}
	python := func(name, model, mode string) contestant {
		return contestant{name: name, args: []string{t.python, t.script, "ranks", model, mode, "2"}}
	}
	compare := func(title, a, b string, goal float64) row {
		return row{name: title + ", 2 ranks: " + a, ours: a, peer: b, field: "value", unit: "us", goal: goal, cpu: "cpu"}
	}
	ddp := func(name, model, title string, inGoroutines, inProcesses, torch float64) group {
		return group{name: name, contestants: []contestant{
			run(goroutines, model, goroutines, "2"), run(processes, model, processes, "2"), python(fabricDDP, model, "fabric"), python(torchDDP, model, "torch"),
		}, rows: []row{
			compare(title, goroutines, fabricDDP, inGoroutines), compare(title, processes, fabricDDP, inProcesses),
			compare(title, goroutines, torchDDP, torch), compare(title, processes, torchDDP, torch),
		}}
	}
	scale := group{name: "ranks"}
	const alone = "1 rank"
	for _, n := range []string{"1", "2", "4"} {
		name, r := n+" ranks", row{field: "value", unit: "us", cpu: "cpu", peer: alone}
		if n == "1" {
			name, r.peer, r.cpu = alone, "", ""
		}
		r.ours, r.name = name, "MLP step, goroutines: "+name
		scale.contestants, scale.rows = append(scale.contestants, run(name, "mlp", goroutines, n)), append(scale.rows, r)
	}
	all := []group{ddp("ddp-mlp", "mlp", "MLP step", 0.25, 0.80, 0), ddp("ddp-25m", "wide1024", "step of 25 million parameters", 0.80, 0.97, 1), scale}
	for _, name := range []string{"all_reduce", "all_gather_into_tensor", "reduce_scatter_tensor", "broadcast"} {
		for _, size := range []struct{ kib, title string }{{"16", "16 KB"}, {"1024", "1 MB"}, {"16384", "16 MB"}, {"65536", "64 MB"}} {
			call, title := name+":"+size.kib, name+" of "+size.title
			all = append(all, group{name: call, contestants: []contestant{
				run(goroutines, call, goroutines, "2"), run(processes, call, processes, "2"), python(torchGloo, call, "torch"),
			}, rows: []row{compare(title, goroutines, torchGloo, 0), compare(title, processes, torchGloo, 0)}})
		}
	}
	return all
}
