// Command plugins shows the three plugins that a user may write: a cluster environment for a launcher that golite
// doesn't know, a precision policy, and a store for checkpoints.
//
//	plugins
//	DESK_RANK=1 DESK_SIZE=2 plugins & DESK_RANK=0 DESK_SIZE=2 plugins
package main
