// Package data reads data sets in batches: Dataset is what a user writes, Loader what a training loop
// ranges over.
//
//	loader := data.NewLoader(ds, 64, data.Options{Shuffle: true, Workers: 2})
//	for batch, err := range loader.Batches(ctx) {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// The body of the loop is a memory scope: what it makes is freed when the next batch is drawn (see package
// torch; Keep takes a tensor out). Samples and batches have the user's own types: there is no any in a loop.
// With the same seed the batches are PyTorch's, and so is what is left in the random generator.
//
// Workers are goroutines on threads of their own. Leaving the loop in any way stops them: their context is cancelled,
// and one that still reads 5 s later is left behind. A panic in a Dataset or a collate function is an error of the
// loop, with the index and the worker, and so is a worker that ends itself by runtime.Goexit.
package data
