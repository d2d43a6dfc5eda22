// Package options reads options structs that come as a trailing parameter: none, or one.
package options

import (
	"fmt"
	"reflect"
)

// One returns the only element of a trailing parameter, the zero value if there is none. More than one is an error,
// which names the type: the others would be passed over in silence.
func One[T any](given []T) (o T, err error) {
	if len(given) > 1 {
		return o, fmt.Errorf("want at most one %s, got %d", reflect.TypeFor[T]().Name(), len(given))
	}
	if len(given) == 1 {
		o = given[0]
	}
	return o, nil
}

// Named is One with the function's name before an error's text.
func Named[T any](function string, given []T) (o T, err error) {
	if o, err = One(given); err != nil {
		err = fmt.Errorf("%s: %w", function, err)
	}
	return o, err
}

// Must is One for operations that panic: fail, which is torch.Fail, is given the operation's name and the error's text.
func Must[T any](operation string, given []T, fail func(operation, format string, args ...any)) T {
	o, err := One(given)
	if err != nil {
		fail(operation, "%v", err)
	}
	return o
}
