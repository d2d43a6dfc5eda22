// Package rendezvous holds declarations of gloo/rendezvous.
package rendezvous
