package serial

import (
	"fmt"
	"sync"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch/serial/errs"
)

// Saver saves in the background: Save copies the tensors in memory and returns, a goroutine writes. One write runs at a
// time. The zero value is ready. A Saver must be closed, or the last write's error is lost.
//
//	var saver serial.Saver
//	defer func() { err = errors.Join(err, saver.Close()) }()
//	err := saver.Save("last.pt", state) // the training loop goes on
type Saver struct {
	mu      sync.Mutex
	pending chan struct{} // closed when the write that runs is done; nil when none does
	err     error         // of that write
	closed  bool
}

// Save waits for the write before it, if one still runs, and returns its error. Else it copies v in memory (tensors on
// a GPU to the CPU) and writes the copy to path in the background, atomically as serial.Save does. Errors of the value
// itself come at once; those of the write come from the next Save, Wait or Close.
func (s *Saver) Save(path string, v any, opts ...SaveOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("save %s: the Saver is closed", path)
	}
	if err := s.wait(); err != nil {
		return err
	}
	o, err := options.One(opts)
	if err != nil {
		return errs.InFile(err, path)
	}
	c := newCollector(true)
	a, err := archive(path, v, c, o)
	if err != nil {
		c.release()
		return errs.InFile(err, path)
	}
	done := make(chan struct{})
	s.pending = done
	go func() {
		defer close(done)
		defer c.release()
		s.err = o.write(path, a)
	}()
	return nil
}

// wait waits for the write that runs and takes its error. s.mu is held.
func (s *Saver) wait() error {
	if s.pending == nil {
		return nil
	}
	<-s.pending
	err := s.err
	s.pending, s.err = nil, nil
	return err
}

// Wait waits until nothing is being written, and returns the error of the last write if it was not returned yet.
func (s *Saver) Wait() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wait()
}

// Close is Wait, and ends the Saver. Closing twice does nothing.
func (s *Saver) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.wait()
}
