package torch

import "math"

// End stands for the end of a dimension in Slice and R.
const End = math.MaxInt64
