package main

func (t tools) ours(name string, args ...string) contestant {
	return contestant{name: name, args: append([]string{t.work}, args...)}
}

func (t tools) theirs(name string, args ...string) contestant {
	return contestant{name: name, args: append([]string{t.python, t.script}, args...)}
}

// wholeGroups are processes that are measured from their start to their end.
func wholeGroups(t tools) []group {
	twin := []string{"-epochs", "3", "-threads", "1"}
	return []group{
		{name: "start", whole: true, contestants: []contestant{t.ours(oursLite, "start"), t.theirs(fabric, "start")},
			rows: []row{{"process start to first step", oursLite, fabric, "line", "ms", 0.05, "cpu", ""}}},
		{name: "epoch", whole: true, contestants: []contestant{
			t.ours("lite, tensors", "epoch", "tensors"), t.ours("lite, map", "epoch", "map"), t.ours("lite, map, 1 worker", "epoch", "map-1"),
			t.ours("lite, map, 2 workers", "epoch", "map-2"),
			t.theirs("Fabric, 0 workers", "epoch", "0", t.mnist), t.theirs("Fabric, 2 workers", "epoch", "2", t.mnist)},
			rows: []row{
				{"MNIST epoch, finished tensors", "lite, tensors", "Fabric, 0 workers", "value", "ms", 0.20, "", ""},
				{"MNIST epoch, finished tensors", "lite, tensors", "Fabric, 2 workers", "value", "ms", 0.20, "", ""},
				{"MNIST epoch, per-sample transform", "lite, map", "Fabric, 0 workers", "value", "ms", 0.20, "", ""},
				{"MNIST epoch, per-sample transform, 1 worker", "lite, map, 1 worker", "Fabric, 2 workers", "value", "ms", 0.20, "", ""},
				{"MNIST epoch, per-sample transform, 2 workers", "lite, map, 2 workers", "Fabric, 2 workers", "value", "ms", 0.20, "", ""},
			}},
		{name: "demo", whole: true, contestants: []contestant{
			{name: ours, args: append([]string{t.demo}, twin...)}, {name: fabric, args: append([]string{t.python, t.twin}, twin...)}},
			rows: []row{{"peak memory of the demo", ours, fabric, "peak", "bytes", 0.40, "", ""}, {"time of the demo, 3 epochs", ours, fabric, "wall", "ms", 0, "cpu", ""}}},
		{name: "long", whole: true, contestants: []contestant{t.ours(ours, "long", "100000")}, rows: []row{
			{"RSS after 100,000 steps over that after 20,000", ours, "", "late", "bytes", 1.03, "", "early"},
			{"step time of the last 1,000 of 100,000 over the first", ours, "", "last", "us", 1.03, "", "first"}}},
	}
}

// memoryGroups measure the memory of evaluation and of training, and that of data sets of many samples.
func memoryGroups(t tools) []group {
	var all []group
	for _, model := range []string{"transformer", "cnn", "lstm"} {
		title := " of training " + model
		all = append(all, group{name: "trains-" + model, whole: true, contestants: []contestant{t.ours(ours, "trains", model), t.theirs(torch, "trains", model)},
			rows: []row{
				{"peak of tensors" + title + ", first step", ours, torch, "first", "bytes", 1.02, "", ""},
				{"peak of tensors" + title, ours, torch, "value", "bytes", 1.02, "", ""},
				{"resident memory" + title, ours, torch, "resident", "bytes", 1.02, "", ""},
				{"step" + title, ours, torch, "ms", "ms", 1, "", ""},
			}})
	}
	for _, c := range []struct{ mode, title string }{{"generate", "generating 400 tokens"}, {"chain", "evaluating 100 layers"}} {
		all = append(all, group{name: "scope-" + c.mode, whole: true, contestants: []contestant{t.ours(ours, "scope", c.mode), t.theirs(torch, "scope", c.mode)},
			rows: []row{
				{"peak memory of the process, " + c.title + " in one scope", ours, torch, "peak", "bytes", 1.3, "", ""},
				{"memory above the start, " + c.title + " in one scope", ours, torch, "value", "bytes", 0, "", ""},
				{"time of " + c.title + " in one scope", ours, torch, "ms", "ms", 0, "", ""},
			}})
	}
	for _, model := range []string{"mlp20", "cnn", "transformer"} {
		all = append(all, group{name: "eval-" + model, whole: true, contestants: []contestant{t.ours(ours, "eval", model), t.theirs(torch, "eval", model)},
			rows: []row{{"memory of evaluating " + model, ours, torch, "value", "bytes", 1.2, "", ""}, {"time of evaluating " + model, ours, torch, "ms", "ms", 0, "", ""}}})
	}
	for _, n := range []string{"100000", "10000000"} {
		all = append(all, group{name: "sampler-" + n, whole: true, contestants: []contestant{t.ours(ours, "sampler", n), t.theirs(torch, "sampler", n)},
			rows: []row{{"memory of a random order of " + n, ours, torch, "value", "bytes", 0, "", ""}, {"time of a random order of " + n, ours, torch, "ms", "ms", 0, "", ""}}})
		for _, order := range []string{"ordered", "shuffled"} {
			title := " a loader of " + n + " samples, " + order
			all = append(all, group{name: "loader-" + n + "-" + order, whole: true,
				contestants: []contestant{t.ours(ours, "loader", n, order), t.theirs(torch, "loader", n, order)},
				rows:        []row{{"memory of" + title, ours, torch, "value", "bytes", 0, "", ""}, {"time of a batch of" + title, ours, torch, "us", "us", 0, "", ""}}})
		}
	}
	return all
}

// checkpointGroups save and load a gigabyte, in the folder of scratch files.
func checkpointGroups(t tools) []group {
	return []group{
		{name: "checkpoint", contestants: []contestant{t.ours(ours, "checkpoint", t.scratch), t.theirs(torch, "checkpoint", t.scratch)}, rounds: 5,
			rows: []row{{"save of 1 GB", ours, torch, "save", "s", 0.70, "", ""}, {"load of 1 GB", ours, torch, "load", "s", 0.40, "", ""}}},
		{name: "checkpoint-load", whole: true, contestants: []contestant{t.ours(ours, "load", t.scratch), t.theirs(torch, "load", t.scratch)},
			rows: []row{{"load of 1 GB, the first of a process", ours, torch, "seconds", "s", 0, "", ""}, {"peak memory of a load over the size", ours, "", "growth", "", 1.05, "", ""}}},
	}
}
