// Package health finds out why a process group has ended: the watchdog that aborts a group whose collectives can't end,
// the exchange of status between ranks, and the attribution of failures to ranks. It sees the group through the interface
// Group, and the other ranks through a Board.
package health
