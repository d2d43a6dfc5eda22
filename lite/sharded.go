package lite

import (
	"errors"
	"fmt"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch/serial"
)

// SaveSharded writes a State as a folder into which all ranks write at once, for states too large for one of them or for one
// file: a checkpoint of PyTorch's distributed checkpoint (DCP). What is a *serial.Shard in the State is a rank's own part of a
// tensor. Of everything else the content is rank 0's, as with Save; the ranks share the writing of large tensors that are equal
// on all of them, bit for bit, as a replicated model's and its optimizer's are. All ranks call it, and see the same folder.
//
// The folder is the checkpoint that was there before until all parts are safe, and then the new one. When a rank fails the
// parts are removed again, and all ranks return its error. Load reads the folder, on any number of ranks; the command
// ckpt consolidate makes one file of it. Async is not for it.
func (l *Lite) SaveSharded(dir string, v State, opts ...SaveOptions) error {
	o, err := options.One(opts)
	if err != nil {
		return fmt.Errorf("lite: SaveSharded: %w", err)
	}
	if o.Async {
		return fmt.Errorf("lite: SaveSharded %s: it can't write in the background: leave SaveOptions.Async", dir)
	}
	own, ok := l.io.(*fileIO)
	if !ok {
		return fmt.Errorf("lite: SaveSharded %s: the checkpoint I/O %T has no folders: use Save", dir, l.io)
	}
	content, err := l.content(v, o, nil)
	id := Broadcast(l, serial.NewSaveID(), 0)
	var indexes [][]byte
	if err = l.agree(dir, err); err == nil {
		if indexes, err = l.saveParts(dir, id, content); err != nil {
			l.onFirst(func() error { return serial.DiscardParts(dir, id) })
			return err
		}
		err = l.onFirst(func() error {
			if err := errors.Join(own.saver.Wait(), serial.CommitParts(dir, indexes)); err != nil || o.Keep.Pattern == "" {
				return err
			}
			_, err := serial.Prune(o.Keep)
			return err
		})
		err = l.agree(dir, err)
	}
	return err
}

// saveParts writes this rank's part, and gives the indexes of all, or on all ranks the same error.
func (l *Lite) saveParts(dir, id string, content any) (indexes [][]byte, err error) {
	o := serial.PartOptions{Ranks: l.rank.WorldSize}
	if l.rank.WorldSize > 1 {
		var sums map[string]uint32
		l.group.WithoutTimeout(func() { sums, err = serial.TensorSums(content) })
		if err := l.agree(dir, err); err != nil {
			return nil, err
		}
		o.Equal = equalEverywhere(AllGather(l, sums))
	}
	var index []byte
	l.group.WithoutTimeout(func() { index, err = serial.SavePart(dir, l.rank.GlobalRank, id, content, o) })
	if err := l.agree(dir, err); err != nil {
		return nil, err
	}
	return AllGather(l, index), nil
}

// equalEverywhere tells by its name whether a tensor has the same sum on all ranks.
func equalEverywhere(sums []map[string]uint32) func(name string) bool {
	return func(name string) bool {
		first, ok := sums[0][name]
		for _, s := range sums[1:] {
			sum, there := s[name]
			ok = ok && there && sum == first
		}
		return ok
	}
}

// onFirst runs f on rank 0, while the others wait for as long as it takes; they get no error.
func (l *Lite) onFirst(f func() error) (err error) {
	var run func()
	if l.IsGlobalZero() {
		run = func() { err = f() }
	}
	l.group.WithoutTimeout(run)
	return err
}

// agree gives all ranks the first rank's error that has one.
func (l *Lite) agree(path string, err error) error {
	text := ""
	if err != nil {
		text = err.Error()
	}
	for rank, t := range AllGather(l, text) {
		switch {
		case t == "":
		case rank == l.rank.GlobalRank:
			return fmt.Errorf("lite: SaveSharded %s: %w", path, err)
		default:
			return fmt.Errorf("lite: SaveSharded %s, on rank %d: %s", path, rank, t)
		}
	}
	return nil
}
