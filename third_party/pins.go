// Package thirdparty holds the exact versions and checksums of what golite takes from elsewhere: libtorch,
// and the CUDA headers and libraries that go with it. Nothing here is edited by hand but pins.json.
//
// The links libtorch and cuda that `make libtorch` and `make cuda` put beside this file lead into the user's cache
// folder and are not committed.
package thirdparty

import _ "embed"

// Pins is the content of pins.json; cmd/libtorch reads it.
//
//go:embed pins.json
var Pins []byte
