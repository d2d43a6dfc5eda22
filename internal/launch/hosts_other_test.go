//go:build !linux

package launch

// nodeAddress is used on Linux only: other systems have no network namespaces.
const nodeAddress = "127.0.0.1"
