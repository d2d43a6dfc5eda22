package main

// groups lists what is measured, with operations of so many threads.
func groups(t tools, threads int) []group {
	all := append(stepGroups(t), wholeGroups(t)...)
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
		return group{name, false, c, []row{
			compare(title, ours, cpp, g.cpp), compare(title, ours, torch, g.torch), compare(title+", through lite", oursLite, fabric, g.fabric),
			compare(title+", fused", oursFused, cpp, g.cpp), compare(title+", fused", oursFused, torch, g.torch), compare(title+", fused", oursFused, torchFused, 0),
			compare(title+", lite's own cost", oursLite, ours, 1.03),
		}}
	}
	mlp := train("mlp", "MLP step", goals{1.05, 0.60, 0.40})
	mlp.contestants = append(mlp.contestants, contestant{name: gomlx, args: []string{t.gomlx}, env: []string{"GOMLX_BACKEND=go"}})
	mlp.rows = append(mlp.rows, compare("MLP step", ours, gomlx, 0.20))
	all := []group{
		{"add", false, step("add"), []row{compare("add of 4 floats", ours, cpp, 1.20), compare("add of 4 floats", ours, torch, 0)}},
		{"addgrad", false, step("addgrad"), []row{compare("add with backward", ours, cpp, 0), compare("add with backward", ours, torch, 0.72)}},
		mlp,
		train("cnn", "CNN step", goals{1.02, 0.95, 0.90}),
		train("transformer", "transformer step", goals{1.03, 0.80, 0.75}),
	}
	for _, layers := range []string{"deep10", "deep100", "deep1000"} {
		all = append(all, group{layers, false, step(layers), []row{
			compare("step of "+layers[4:]+" layers of 16", ours, cpp, 0), compare("step of "+layers[4:]+" layers of 16", ours, torch, 0)}})
	}
	return all
}

func wholeGroups(t tools) []group {
	work := func(name string, args ...string) contestant {
		return contestant{name: name, args: append([]string{t.work}, args...)}
	}
	python := func(name string, args ...string) contestant {
		return contestant{name: name, args: append([]string{t.python, t.script}, args...)}
	}
	all := []group{
		{"start", true, []contestant{work(oursLite, "start"), python(fabric, "start")},
			[]row{{"process start to first step", oursLite, fabric, "line", "ms", 0.05, "cpu", ""}}},
		{"epoch", true, []contestant{
			work("lite, tensors", "epoch", "tensors"), work("lite, map", "epoch", "map"), work("lite, map, 2 workers", "epoch", "map-2"),
			python("Fabric, 0 workers", "epoch", "0", t.mnist), python("Fabric, 2 workers", "epoch", "2", t.mnist)},
			[]row{
				{"MNIST epoch, finished tensors", "lite, tensors", "Fabric, 0 workers", "value", "ms", 0.20, "", ""},
				{"MNIST epoch, finished tensors", "lite, tensors", "Fabric, 2 workers", "value", "ms", 0.20, "", ""},
				{"MNIST epoch, per-sample transform", "lite, map", "Fabric, 0 workers", "value", "ms", 0.20, "", ""},
				{"MNIST epoch, per-sample transform, 2 workers", "lite, map, 2 workers", "Fabric, 2 workers", "value", "ms", 0.20, "", ""},
				{"peak memory of an epoch", "lite, tensors", "Fabric, 0 workers", "peak", "bytes", 0.40, "", ""},
			}},
		{"long", true, []contestant{work(ours, "long", "100000")}, []row{
			{"RSS after 100,000 steps over that after 20,000", ours, "", "late", "bytes", 1.03, "", "early"},
			{"step time of the last 1,000 of 100,000 over the first", ours, "", "last", "us", 1.03, "", "first"}}},
	}
	for _, model := range []string{"mlp20", "cnn", "transformer"} {
		all = append(all, group{"eval-" + model, true, []contestant{work(ours, "eval", model), python(torch, "eval", model)},
			[]row{{"memory of evaluating " + model, ours, torch, "value", "bytes", 1.2, "", ""}, {"time of evaluating " + model, ours, torch, "ms", "ms", 0, "", ""}}})
	}
	for _, n := range []string{"100000", "10000000"} {
		all = append(all, group{"sampler-" + n, true, []contestant{work(ours, "sampler", n), python(torch, "sampler", n)},
			[]row{{"memory of a random order of " + n, ours, torch, "value", "bytes", 0, "", ""}, {"time of a random order of " + n, ours, torch, "ms", "ms", 0, "", ""}}})
	}
	return all
}
