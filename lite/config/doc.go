// Package config resolves lite.Config: it merges the places where settings are given, checks them against each other
// and against a machine, and makes the plan of a run. It is pure: it reads the environment and files through an
// interface, and starts nothing.
//
// Programs use lite.Config and lite.ConfigError, which are aliases of Config and Error.
package config
