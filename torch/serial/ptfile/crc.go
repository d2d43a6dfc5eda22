package ptfile

import "hash/crc32"

// combineCRC returns the CRC-32 of A followed by B, from their CRCs and the length of B: appending n zero bytes is
// a linear map over GF(2), applied by repeated squaring. It lets the parts of a record be checked in parallel.
func combineCRC(crcA, crcB uint32, lenB int64) uint32 {
	if lenB <= 0 {
		return crcA
	}
	var square, other [32]uint32
	square[0] = crc32.IEEE // one zero bit
	for i := 1; i < 32; i++ {
		square[i] = 1 << (i - 1)
	}
	squareMatrix(&other, &square) // two bits
	squareMatrix(&square, &other) // four bits
	for n := lenB; n != 0; n >>= 1 {
		squareMatrix(&other, &square)
		square = other
		if n&1 != 0 {
			crcA = applyMatrix(&square, crcA)
		}
	}
	return crcA ^ crcB
}

func applyMatrix(m *[32]uint32, v uint32) (sum uint32) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func squareMatrix(dst, m *[32]uint32) {
	for i, row := range m {
		dst[i] = applyMatrix(m, row)
	}
}
