package ptfile

import (
	"hash/crc32"
	"sync"
)

// matrix is a linear map over GF(2) on CRCs.
type matrix [32]uint32

// combineCRC returns the CRC-32 of A followed by B, from their CRCs and the length of B. It lets the parts of a record
// be checked in parallel.
func combineCRC(crcA, crcB uint32, lenB int64) uint32 {
	switch lenB {
	case 0:
		return crcA
	case chunkSize:
		return applyMatrix(chunkZeros(), crcA) ^ crcB
	case writeChunk:
		return applyMatrix(writeZeros(), crcA) ^ crcB
	}
	return applyMatrix(zeros(lenB), crcA) ^ crcB
}

// The maps for whole chunks, which are most of what is combined.
var (
	chunkZeros = sync.OnceValue(func() *matrix { return zeros(chunkSize) })
	writeZeros = sync.OnceValue(func() *matrix { return zeros(writeChunk) })
)

// zeros returns the map that appending n zero bytes is, by repeated squaring.
func zeros(n int64) *matrix {
	var square, other, out matrix
	square[0] = crc32.IEEE // one zero bit
	for i := 1; i < 32; i++ {
		square[i] = 1 << (i - 1)
	}
	for i := range out {
		out[i] = 1 << i // no zeros at all
	}
	squareMatrix(&other, &square) // two bits
	squareMatrix(&square, &other) // four bits
	for ; n != 0; n >>= 1 {
		squareMatrix(&other, &square)
		square = other
		if n&1 != 0 {
			for i, row := range out {
				out[i] = applyMatrix(&square, row)
			}
		}
	}
	return &out
}

func applyMatrix(m *matrix, v uint32) (sum uint32) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func squareMatrix(dst, m *matrix) {
	for i, row := range m {
		dst[i] = applyMatrix(m, row)
	}
}
