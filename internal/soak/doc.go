// Package soak holds tests of what only shows after a long time: memory that grows, activations that pile up.
package soak
