package trainer

import (
	"fmt"
	"math"
	"time"
)

// Amount is a number of batches, a part of an epoch or a time. The zero Amount stands for the default of the option.
type Amount struct {
	kind     amountKind
	n        int
	fraction float64
	time     time.Duration
}

type amountKind int

const (
	amountDefault amountKind = iota
	amountBatches
	amountFraction
	amountTime
)

// Batches is n batches.
func Batches(n int) Amount { return Amount{kind: amountBatches, n: n} }

// Fraction is a part of the batches of an epoch, from 0 to 1.
func Fraction(f float64) Amount { return Amount{kind: amountFraction, fraction: f} }

// Every is a time.
func Every(d time.Duration) Amount { return Amount{kind: amountTime, time: d} }

// String writes the Amount as the call that makes it.
func (a Amount) String() string {
	switch a.kind {
	case amountBatches:
		return fmt.Sprintf("Batches(%d)", a.n)
	case amountFraction:
		return fmt.Sprintf("Fraction(%v)", a.fraction)
	case amountTime:
		return fmt.Sprintf("Every(%v)", a.time)
	}
	return "the default"
}

// noLimit is the number of batches of a loader of unknown length.
const noLimit = math.MaxInt

// checkLimit checks the Amount of a Limit option.
func (a Amount) checkLimit(option string) error {
	switch {
	case a.kind == amountTime:
		return fmt.Errorf("trainer: %s is %v: want Batches(n) or Fraction(f)", option, a)
	case a.kind == amountBatches && a.n < 0:
		return fmt.Errorf("trainer: %s is %v: want 0 or more batches", option, a)
	case a.kind == amountFraction && !(a.fraction >= 0 && a.fraction <= 1):
		return fmt.Errorf("trainer: %s is %v: want a part from 0 to 1; Batches(n) is a number of batches", option, a)
	}
	return nil
}

// limit returns how many of a loader's length batches are read. length is noLimit where it is unknown.
func (a Amount) limit(option string, length int) (int, error) {
	switch {
	case a.kind == amountBatches:
		return min(a.n, length), nil
	case a.kind == amountDefault || a.fraction == 1:
		return length, nil
	case a.fraction == 0:
		return 0, nil
	case length == noLimit:
		return 0, fmt.Errorf("trainer: %s is %v, and the loader's length is unknown: want Batches(n)", option, a)
	}
	n := int(float64(length) * a.fraction)
	if n == 0 && length > 0 {
		return 0, fmt.Errorf("trainer: %s is %v, and %v of %d batches is less than one: want at least Fraction(%.3g), or Batches(1)",
			option, a, a.fraction, length, 1/float64(length))
	}
	return n, nil
}
