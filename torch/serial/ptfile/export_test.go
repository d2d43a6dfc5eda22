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
