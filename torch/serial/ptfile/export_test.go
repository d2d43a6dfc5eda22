package ptfile

import "io"

// RawArchive writes a zip checkpoint around a hand-made pickle, for tests that no honest writer would do.
func RawArchive(w io.WriterAt, pkl []byte, storages ...[]byte) error {
	a := &Archive{}
	a.add("archive/data.pkl", NewMemoryStorage(pkl, "", ""))
	a.add("archive/byteorder", NewMemoryStorage([]byte("little"), "", ""))
	for i, s := range storages {
		a.add("archive/data/"+string(rune('0'+i)), NewMemoryStorage(s, "", ""))
	}
	a.place()
	return a.WriteTo(w, 0)
}

// RawRecords writes a zip archive with records of any names.
func RawRecords(w io.WriterAt, names []string, bodies [][]byte) error {
	a := &Archive{}
	for i, n := range names {
		a.add(n, NewMemoryStorage(bodies[i], "", ""))
	}
	a.place()
	return a.WriteTo(w, 0)
}

// CombineCRC is combineCRC.
var CombineCRC = combineCRC

// PickleOf returns data.pkl of a zip file.
func PickleOf(path string) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	prefix, err := f.dir.prefix()
	if err != nil {
		return nil, err
	}
	return f.record(f.dir.byName[prefix+"data.pkl"])
}
