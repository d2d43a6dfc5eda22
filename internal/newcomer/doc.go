// Package newcomer holds one test: what the README tells somebody with a module of their own works, from a read-only module
// cache and an empty folder. It has no code of its own.
package newcomer
