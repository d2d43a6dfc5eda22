package torch

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/callsite"
	"github.com/golite/golite/internal/op"
)

// Error is what an operation panics with.
type Error struct {
	// Op is the operation: an operator's name ("aten::mm") or a function of this module ("nn.NewLinear").
	Op string
	// Shapes are the tensor arguments, each as "float32[2, 3]", with the device where it is not the CPU.
	Shapes []string
	// Message says what is wrong: libtorch's own words, or golite's.
	Message string
	// Origin is where the operation was called.
	Origin string
	// OutOfMemory reports whether an allocation failed. The process goes on.
	OutOfMemory bool
	// Cause is what a Go function panicked with that autograd ran (a hook, a Function's Backward), and Stack its stack.
	Cause any
	Stack []byte
}

// Error names the operation, the shapes and the place.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if len(e.Shapes) > 0 {
		fmt.Fprintf(&b, "(%s)", strings.Join(e.Shapes, ", "))
	}
	b.WriteString(": ")
	b.WriteString(strings.TrimSpace(e.Message))
	if e.Origin != "" {
		fmt.Fprintf(&b, " [%s]", e.Origin)
	}
	return b.String()
}

// Unwrap gives the cause, if it is an error.
func (e *Error) Unwrap() error {
	err, _ := e.Cause.(error)
	return err
}

// Fail panics with an *Error of an operation of golite's own: a layer, an optimizer, a function. Its message
// is formatted as by fmt.Sprintf.
func Fail(operation, format string, args ...any) {
	panic(&Error{Op: operation, Message: fmt.Sprintf(format, args...), Origin: callsite.Outside(2)})
}

// notNil panics where an operation was given no function.
func notNil(operation string, there bool) {
	if !there {
		noFunction(operation)
	}
}

//go:noinline
func noFunction(operation string) { Fail(operation, "the function is nil") }

// Try runs f and returns the *Error that it panicked with, nil if none. Other panics pass through.
//
//	err := torch.Try(func() { y = x.MatMul(w) })
func Try(f func()) (err error) {
	if f == nil {
		return &Error{Op: "torch.Try", Message: "the function is nil", Origin: callsite.Outside(1)}
	}
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *Error:
			err = v
		default:
			if e, ok := v.(error); ok {
				var te *Error
				if errors.As(e, &te) {
					err = e
					return
				}
			}
			panic(v)
		}
	}()
	f()
	return nil
}

// opError makes the *Error of a failed call. args are its arguments, or tensors the ones it was about.
func opError(name string, cause *cgotorch.Error, args *op.Args, tensors ...*Tensor) *Error {
	if args != nil {
		args.Refs(func(r op.Ref) {
			if r.N < 0 {
				tensors = append(tensors, (*Tensor)(r.P))
			} else {
				tensors = append(tensors, unsafe.Slice((**Tensor)(r.P), r.N)...)
			}
		})
	}
	e := &Error{Op: name, Message: cause.Message, OutOfMemory: cause.OutOfMemory, Cause: cause.Panic, Stack: cause.Stack}
	for _, t := range tensors {
		if t == nil {
			continue
		}
		if cause.Stale != 0 && t.h() == cause.Stale {
			e.Message = staleMessage(t)
		}
		if len(e.Shapes) < 16 {
			e.Shapes = append(e.Shapes, describe(t))
		}
	}
	if i := strings.Index(e.Message, "This could be because"); i > 0 {
		e.Message = missingBackend(e.Message[:i]) // what follows is a page about building PyTorch
	}
	if strings.Contains(e.Message, assertionMark) || strings.Contains(e.Message, sameViewMark) {
		e.Message = assertion(name, e.Message)
	}
	if inner, ok := cause.Panic.(*Error); ok {
		e.Message = "a Go function that autograd ran panicked: " + inner.Error()
	}
	e.Origin = callsite.Outside(2)
	return e
}

// orUnreadable is what describe says of a tensor of which libtorch gives no facts.
func orUnreadable(err *cgotorch.Error) string {
	if err.Stale != 0 {
		return "released"
	}
	return "unknown"
}

var backendNames = map[string]string{"SparseCsr": "compressed sparse tensors", "Sparse": "sparse tensors",
	"NestedTensor": "nested tensors",
	"Quantized":    "quantized tensors", "Mkldnn": "tensors in oneDNN's layout"}

// missingBackend says in golite's words that an operation can't run on a device.
func missingBackend(text string) string {
	_, device, ok := strings.Cut(text, "from the '")
	device, _, ok2 := strings.Cut(device, "' backend")
	if !ok || !ok2 {
		return text
	}
	for _, kind := range []string{"SparseCsr", "Sparse", "NestedTensor", "Quantized", "Mkldnn"} {
		if strings.HasPrefix(device, kind) {
			return "there is no such operation for " + backendNames[kind] + " (libtorch's " + device +
				"); aten.ToDense and its like convert them"
		}
	}
	return "there is no " + device + " here, or the operation doesn't exist for it: torch.CPU always is"
}

func staleMessage(t *Tensor) string {
	return "a tensor was used after it was released, by Release or by the end of its scope. It was made in " +
		orUnknown(t.origin.String()) + ". What leaves a scope or a loop's body is taken along with Item(), Keep() or " +
		"torch.ScopeOf"
}

func orUnknown(s string) string {
	if s == "" {
		return "an unknown place"
	}
	return s
}

// describe gives a tensor's type, shape and device in a few characters.
func describe(t *Tensor) string {
	var buf [32]int64
	w, err := cgotorch.Info(t.h(), buf[:])
	if err != nil {
		return orUnreadable(err)
	}
	s := dtypeOf(w[cgotorch.InfoDType]).String()
	if w[cgotorch.InfoFlags]&cgotorch.FlagNested != 0 {
		s = "nested " + s + strings.ReplaceAll(shapeString(w[cgotorch.InfoFixed:cgotorch.InfoFixed+w[cgotorch.InfoDim]]),
			"-1", "*")
	} else {
		s += shapeString(w[cgotorch.InfoFixed : cgotorch.InfoFixed+w[cgotorch.InfoDim]])
	}
	if l := Layout(w[cgotorch.InfoLayout] + 1); l != Strided {
		s += " " + l.String()
	}
	if d := deviceOf(w[cgotorch.InfoDeviceType], w[cgotorch.InfoDeviceIndex]); d.Type != CPUType {
		s += " on " + d.String()
	}
	return s
}

func shapeString[N int | int64](shape []N) string {
	parts := make([]string, len(shape))
	for i, n := range shape {
		parts[i] = fmt.Sprint(n)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
