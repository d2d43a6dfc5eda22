package shard

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// Policy returns the modules of m that are units, by their paths; what belongs to none is the root's. A unit within a unit
// is one of its own (FSDP's auto_wrap_policy).
type Policy func(m nn.Module) map[string]nn.Module

// Blocks is the default Policy: the elements of m's lists of modules are units, whether slices or nn.Sequential, as a
// transformer's blocks are. A list in an element counts only where the element has more than half of m's parameters.
func Blocks(m nn.Module) map[string]nn.Module {
	units := map[string]nn.Module{}
	total := nn.CountParameters(m)
	var visit func(prefix string, at nn.Module)
	visit = func(prefix string, at nn.Module) {
		for path, child := range nn.Children(at) {
			n := nn.CountParameters(child)
			full := join(prefix, path)
			switch {
			case n == 0:
			case !element(path):
				visit(full, child)
			case 2*n > total && lists(child):
				visit(full, child)
			default:
				units[full] = child
			}
		}
	}
	visit("", m)
	return units
}

// TypesOf returns the Policy in which each module of these types is a unit (FSDP's ModuleWrapPolicy).
func TypesOf(like ...nn.Module) Policy {
	return func(m nn.Module) map[string]nn.Module {
		units := map[string]nn.Module{}
		for path, child := range nn.NamedModules(m) {
			for _, l := range like {
				if path != "" && reflect.TypeOf(l) == reflect.TypeOf(child) {
					units[path] = child
				}
			}
		}
		return units
	}
}

// element reports whether a path ends in a number, as those of lists do.
func element(path string) bool {
	_, err := strconv.Atoi(path[strings.LastIndexByte(path, '.')+1:])
	return err == nil
}

// lists reports whether a module has a list of modules with parameters beneath it.
func lists(m nn.Module) bool {
	for path, child := range nn.NamedModules(m) {
		if path != "" && element(path) && nn.CountParameters(child) > 0 {
			return true
		}
	}
	return false
}

func join(prefix, path string) string {
	if prefix == "" {
		return path
	}
	return prefix + "." + path
}

var layersPath = reflect.TypeFor[nn.Linear]().PkgPath()

// isLayer reports whether a module is of package nn, whose Forward methods call hooks.
func isLayer(m nn.Module) bool {
	t := reflect.TypeOf(m)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == layersPath
}

// assign gives each parameter the path of its unit, "" for the root: the innermost unit that has it, and the root where a
// program's own module has it as a field, or two units share it.
func assign(m nn.Module, units map[string]nn.Module) (of map[*torch.Tensor]string) {
	paths := map[nn.Module]string{}
	for _, path := range slices.Sorted(maps.Keys(units)) {
		if _, twice := paths[units[path]]; !twice {
			paths[units[path]] = path
		}
	}
	of = map[*torch.Tensor]string{}
	give := func(p *torch.Tensor, unit string) {
		if have, there := of[p]; there && have != unit {
			unit = ""
		}
		of[p] = unit
	}
	var visit func(at nn.Module, unit string)
	visit = func(at nn.Module, unit string) {
		if path, is := paths[at]; is {
			unit = path
		}
		below := map[*torch.Tensor]bool{}
		for _, child := range nn.Children(at) {
			visit(child, unit)
			for _, p := range nn.Parameters(child) {
				below[p.Tensor] = true
			}
		}
		for _, p := range nn.Parameters(at) {
			switch {
			case below[p.Tensor]:
			case isLayer(at):
				give(p.Tensor, unit)
			default:
				give(p.Tensor, "")
			}
		}
	}
	visit(m, "")
	return of
}
