package config

import (
	"fmt"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/lite/launch"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
)

// checkpointIO is the interface of a plugin that writes and reads checkpoints.
type checkpointIO interface {
	Save(path string, v any) error
	Load(path string) (any, error)
}

// sortPlugins sorts Config.Plugins by the interfaces that they implement: at most one each, and none beside the setting
// that it stands for.
func (r *resolver) sortPlugins() error {
	taken := map[string]bool{}
	for i, p := range r.plan.Config.Plugins {
		from := fmt.Sprintf("Config.Plugins[%d]", i)
		kinds := r.takePlugin(p, from)
		if len(kinds) == 0 {
			return &Error{Setting: "plugins", From: from, Problem: fmt.Sprintf("a %T is no plugin: want a "+
				"cluster.Environment, an amp.Precision, a lite.CheckpointIO, a launch.Launcher, a strategy.Strategy "+
				"or an accelerator.Accelerator", p)}
		}
		for _, k := range kinds {
			if taken[k.name] {
				return &Error{Setting: "plugins", From: from,
					Problem: "this is the second " + k.name + ": give one of each kind at most"}
			}
			taken[k.name] = true
			if k.beside != "" {
				return &Error{Setting: k.name, From: from,
					Problem: fmt.Sprintf("%s %s is given as well by %s: give one of the two", article(k.name), k.name, k.beside)}
			}
		}
	}
	if from := r.given.from["precision"]; r.plan.Precision != nil && from != "" {
		return &Error{Setting: "precision", Value: r.given.Precision, From: from,
			Problem: "a precision plugin is given as well: give one of the two"}
	}
	return nil
}

// pluginKind is one interface that a plugin implements.
type pluginKind struct {
	name   string
	beside string // where the setting was given that the plugin stands for
}

// takePlugin gives a plugin the places of the interfaces that it implements, and returns their names.
func (r *resolver) takePlugin(p any, from string) (kinds []pluginKind) {
	if x, ok := p.(cluster.Environment); ok {
		kinds = append(kinds, pluginKind{name: "cluster environment"})
		r.plan.Environment = x
	}
	if x, ok := p.(amp.Precision); ok {
		kinds = append(kinds, pluginKind{name: "precision"})
		r.plan.Precision = func(torch.Device) (amp.Precision, error) { return x, nil }
	}
	if x, ok := p.(checkpointIO); ok {
		kinds = append(kinds, pluginKind{name: "checkpoint I/O"})
		r.plan.IO = x
	}
	if x, ok := p.(launch.Launcher); ok {
		kinds = append(kinds, pluginKind{name: "launcher"})
		r.plan.OwnLauncher = x
	}
	if x, ok := p.(strategy.Strategy); ok {
		kinds = append(kinds, pluginKind{"strategy", r.given.from["strategy"]})
		r.given.Strategy, r.given.from["strategy"] = x, from
	}
	if x, ok := p.(accelerator.Accelerator); ok {
		kinds = append(kinds, pluginKind{"accelerator", r.given.from["accelerator"]})
		r.given.Accelerator, r.given.from["accelerator"] = x, from
	}
	return kinds
}

func article(noun string) string {
	if noun == "accelerator" {
		return "an"
	}
	return "a"
}
