package text

import (
	"math"
	"strconv"
	"strings"
)

// Float writes a float as Python's repr does: the shortest digits that read back as v, with an exponent below 1e-4 and
// from 1e16 on, and never without a point or an exponent.
func Float(v float64) string {
	switch {
	case math.IsNaN(v):
		return "nan"
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	}
	if abs := math.Abs(v); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// Bool writes a bool as Python does.
func Bool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
