// Command autograd shows a function with a backward pass of its own, a module with buffers, and memory scopes.
package main
