package torch

import "github.com/golite/golite/cgotorch"

func closures() int { return cgotorch.Closures() }
