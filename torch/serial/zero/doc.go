// Package zero reads and writes the checkpoint folders of DeepSpeed's stages 1 to 3, without libtorch and without holding a
// tensor in memory: what Open returns reads its elements from the files when they are asked for.
//
//	c, err := zero.Open("run/global_step10") // or the folder with the file "latest"
//	defer c.Close()
//	model, _ := c.Root.Get("model") // names and whole float32 tensors, as zero_to_fp32.py makes them
//
//	err = zero.Write("out", c.Root, zero.Options{Stage: 3, World: 8})
//
// The folder of any stage and number of ranks becomes one tree, in the layout of a plain PyTorch checkpoint: "model",
// "optimizer" with "state" by the numbers of parameters and "param_groups", "param_names" with the names of the
// parameters of each group in the order of those numbers, and the other values of DeepSpeed's model file. Write makes a
// folder from such a tree, whose optimizer may also go by names as FSDP's do.
package zero
