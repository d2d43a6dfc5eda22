// Package readmetest has one test: the steps of README work for a module of a user's own, from a read-only module
// cache and an empty folder. It has no code of its own.
package readmetest
