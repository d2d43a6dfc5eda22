// Package api lists the exported names of the module with their signatures, one a line, so that a change of one shows
// in a diff. The lists are recorded in the folder api; package lint compares them with the sources, scripts/api renews
// them.
//
// The sources are type-checked without function bodies and without cgo: neither libtorch nor a C++ compiler is needed,
// and a commit of long ago can be listed as well.
package api
