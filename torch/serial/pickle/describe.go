package pickle

import (
	"fmt"
	"math/big"
	"strconv"

	"github.com/golite/golite/internal/typename"
)

// describeLength bounds the text of a scalar in a message.
const describeLength = 64

// Describe puts a value in a few words for messages: scalars as they are, cut where they are long, containers by what
// they are and how much they hold. Values of a file must not be formatted with %v: a tuple that holds itself
// thousandfold, or lies a million deep, would become a message without end.
func Describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case string:
		if len(v) > describeLength {
			return fmt.Sprintf("%q... (%d bytes)", v[:describeLength], len(v))
		}
		return strconv.Quote(v)
	case bool, int, float64, complex128:
		return fmt.Sprint(v)
	case *big.Int:
		if v.BitLen() > 4*describeLength {
			return fmt.Sprintf("an integer of %d bits", v.BitLen())
		}
		return v.String()
	case Bytes:
		return fmt.Sprintf("%d bytes", len(v))
	case ByteArray:
		return fmt.Sprintf("a bytearray of %d", len(v))
	case Tuple:
		return fmt.Sprintf("a tuple of %d", len(v))
	case *Set:
		return fmt.Sprintf("a set of %d", len(v.Items))
	case *Dict:
		return fmt.Sprintf("a %s of %d", v.Kind, v.Len())
	case Unfinished:
		return v.Unfinished()
	}
	if items, ok := Items(v); ok {
		return fmt.Sprintf("a list of %d", len(items))
	}
	if name := typename.Of(v); name != "*serial.TensorInfo" {
		return "a " + name
	}
	return "a tensor"
}
