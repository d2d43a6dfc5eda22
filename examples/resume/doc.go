// Command resume trains on MNIST and saves every so many steps, and at SIGTERM; started again, it goes on in the middle
// of the epoch as if it had never stopped.
//
//	resume -checkpoint run/last.pt -every 100
//
// Inside of the loop over a loader's batches a checkpoint is one of a pass under way: the resumed run reads the rest of
// it, which is nothing after the last batch. Once that loop was left the pass has ended, and the resumed run begins the
// next one. A program therefore counts an epoch as soon as its loop is over, before it saves; one that saves the old
// number at an epoch's end would train that epoch a second time.
package main
