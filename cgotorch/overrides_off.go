//go:build golite_no_overrides

package cgotorch

// #cgo CXXFLAGS: -DGOLITE_NO_OVERRIDES
import "C"
