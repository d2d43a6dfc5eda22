// Package transport holds declarations of gloo/transport.
package transport
