// Command ckpt looks into checkpoints: PyTorch's .pt files of any age, safetensors files, Hugging Face's models in several files
// (their model.safetensors.index.json), and the folders of sharded checkpoints.
//
//	ckpt ls FILE                 names, dtypes, shapes and sizes
//	ckpt cat FILE [NAME]         a value, or all of them
//	ckpt diff A B                what differs: names, shapes, the largest difference of values
//	ckpt convert IN OUT          between .pt and .safetensors; legacy files to the present format
//	ckpt verify FILE...          read everything and check every checksum
//	ckpt consolidate FOLDER OUT  a sharded checkpoint, or a model in several files, as one file
//	ckpt deepspeed IN FOLDER     a folder of DeepSpeed's, of -stage 1 to 3 for -world ranks
//
// Folders of DeepSpeed's stages 1 to 3 are read as one checkpoint, of any number of ranks, optimizer included.
//
// Nothing in a file is run, and memory does not grow with the file. It needs no libtorch. It exits with 1 when files differ or
// are damaged, with 2 when it is used wrongly.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// command is one of ckpt's verbs.
type command struct {
	name, args, help string
	run              func(c *context) error
}

var commands = []command{
	{"ls", "FILE", "list tensors: names, dtypes, shapes, sizes", list},
	{"cat", "FILE [NAME]", "print a value, or all of them", cat},
	{"diff", "A B", "compare two checkpoints", diff},
	{"convert", "IN OUT", "convert between .pt and .safetensors", convert},
	{"verify", "FILE...", "read everything and check every checksum", verify},
	{"consolidate", "FOLDER OUT", "write a sharded checkpoint as one file", consolidate},
	{"deepspeed", "IN FOLDER", "write a checkpoint with model and optimizer as a folder of DeepSpeed's", deepspeed},
}

// context is what a command is given.
type context struct {
	args   []string
	stdout io.Writer
	key    string
	all    bool
	n      int
	atol   float64
	stage  int
	world  int
}

var (
	errUsage  = errors.New("usage")
	errDiffer = errors.New("the checkpoints differ")
)

// run is main with everything that it touches.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return 2
	}
	for _, cmd := range commands {
		if cmd.name != args[0] {
			continue
		}
		c := &context{stdout: stdout}
		flags := flag.NewFlagSet("ckpt "+cmd.name, flag.ContinueOnError)
		flags.SetOutput(stderr)
		flags.Usage = func() {
			fmt.Fprintf(stderr, "usage: ckpt %s [options] %s\n%s\n", cmd.name, cmd.args, cmd.help)
			flags.PrintDefaults()
		}
		flags.StringVar(&c.key, "key", "", "the part of the file to look at, such as state_dict; nested keys are joined by dots")
		flags.BoolVar(&c.all, "a", false, "ls: list other values than tensors too; cat: print all elements")
		flags.IntVar(&c.n, "n", 100, "cat: how many elements of a tensor to print")
		flags.Float64Var(&c.atol, "atol", 0, "diff: the largest difference that counts as none")
		flags.IntVar(&c.stage, "stage", 2, "deepspeed: the stage, 1 to 3")
		flags.IntVar(&c.world, "world", 1, "deepspeed: how many ranks will load it")
		if err := flags.Parse(args[1:]); err != nil {
			return 2
		}
		c.args = flags.Args()
		switch err := cmd.run(c); {
		case err == nil:
			return 0
		case errors.Is(err, errUsage):
			flags.Usage()
			return 2
		case errors.Is(err, errDiffer):
			return 1
		default:
			fmt.Fprintf(stderr, "ckpt %s: %v\n", cmd.name, err)
			return 1
		}
	}
	usage(stderr)
	return 2
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "ckpt looks into checkpoints. Usage:")
	for _, c := range commands {
		fmt.Fprintf(w, "  ckpt %-12s %-12s %s\n", c.name, c.args, c.help)
	}
}

// want checks the number of arguments.
func (c *context) want(from, to int) error {
	if len(c.args) < from || len(c.args) > to {
		return errUsage
	}
	return nil
}
