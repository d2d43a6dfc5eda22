package ptfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/golite/golite/torch/serial/ptfile"
)

// seeds adds the files of the corpus up to a size.
func seeds(f *testing.F, limit int64) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join(corpus, "*.*t"))
	if err != nil || len(files) < 20 {
		f.Fatalf("the corpus has %d files: %v", len(files), err)
	}
	for _, name := range files {
		if st, err := os.Stat(name); err != nil || st.Size() > limit {
			continue
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
}

// FuzzFile feeds whole files, zip and legacy, to the reader. What it accepts must be writable and readable again, the
// same.
func FuzzFile(f *testing.F) {
	seeds(f, 3<<10)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if want, err := readAll(raw); err == nil {
			again(t, raw, want)
		} else {
			typed(t, err)
		}
	})
}

// FuzzPickle feeds pickles, in a sound archive with two storages, past the checksums.
func FuzzPickle(f *testing.F) {
	f.Add([]byte("\x80\x02K\x01."))
	f.Add([]byte(tensor("K\x00K\x02K\x02\x86K\x02K\x01\x86")))
	f.Add(bomb(3))
	f.Add([]byte("\x80\x05\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01\x88eu."))
	f.Add([]byte("\x80\x02cnumpy._core.multiarray\nscalar\ncnumpy\ndtype\n(X\x02\x00\x00\x00i8\x89\x88tR(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbc_codecs\nencode\nX\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00X\x06\x00\x00\x00latin1\x86R\x86R."))
	for _, name := range []string{"full.pt", "views.pt", "sparse.pt", "parameters.pt", "protocol5.pt"} {
		f.Add(pickleOf(f, name))
	}
	f.Fuzz(func(t *testing.T, pkl []byte) {
		var w buffer
		if err := ptfile.RawArchive(&w, pkl, make([]byte, 16), make([]byte, 64)); err != nil {
			t.Fatal(err)
		}
		if want, err := readAll(w.b); err == nil {
			again(t, w.b, want)
		} else {
			typed(t, err)
		}
	})
}

// pickleOf takes the pickle out of a file of the corpus.
func pickleOf(f *testing.F, name string) []byte {
	f.Helper()
	raw, err := ptfile.PickleOf(filepath.Join(corpus, name))
	if err != nil {
		f.Fatal(err)
	}
	return raw
}

// again writes what was read, and reads it once more.
func again(t *testing.T, raw []byte, want string) {
	t.Helper()
	file, err := ptfile.Read(&section{raw}, int64(len(raw)), "fuzz")
	if err != nil {
		t.Fatal(err)
	}
	a, err := ptfile.NewArchive(file.Root, ptfile.Options{FullPickle: true})
	if err != nil {
		return // some values can be read and not written: integers of 10,000 bits
	}
	var w buffer
	if err := a.WriteTo(&w, 0); err != nil {
		t.Fatal(err)
	}
	got, err := readAll(w.b)
	if err != nil {
		t.Fatalf("%v\nfrom %s", err, want)
	}
	if got != want {
		t.Fatalf("read %s\nwrote and read %s", want, got)
	}
}
