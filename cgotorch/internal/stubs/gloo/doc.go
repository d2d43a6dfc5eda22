// Package gloo holds the few declarations of Gloo that libtorch's headers ask for and its wheel does not ship. It and
// the packages in it have no Go of their own: being packages, they are copied by go mod vendor.
package gloo

import (
	_ "github.com/golite/golite/cgotorch/internal/stubs/gloo/common"
	_ "github.com/golite/golite/cgotorch/internal/stubs/gloo/rendezvous"
	_ "github.com/golite/golite/cgotorch/internal/stubs/gloo/transport"
)
