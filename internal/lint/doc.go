// Package lint holds the habits of this repository as ordinary tests: which package may import which, what every
// package and exported name must have and what its comment names, which calls are forbidden, how long a file or a
// function may be. It has no code of its own.
//
// A test fails with the place and the rule. Where a rule has exceptions they stand in one table, each with its reason.
package lint
