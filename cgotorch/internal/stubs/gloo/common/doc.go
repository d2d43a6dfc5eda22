// Package common holds declarations of gloo/common.
package common
