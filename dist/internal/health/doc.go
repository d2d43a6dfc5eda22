// Package health finds out why a process group has ended: the watchdog that aborts a group whose collectives can't end,
// the exchange of status between ranks, and the attribution of failures to ranks. Its access to the group is the
// interface Group, and to the other ranks a Board.
package health
