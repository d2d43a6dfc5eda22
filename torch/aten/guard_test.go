package aten_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/schema"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// swept makes the test binary a process that calls every operator with one kind of arguments, and prints each before.
const swept = "ATEN_TEST_SWEEP"

// kinds of tensors that make no sense to most operators.
var kinds = []func() *torch.Tensor{
	func() *torch.Tensor { return torch.Ones(2, 2) },
	func() *torch.Tensor { return torch.Ones(2, 2) }, // optional ones given as well
	func() *torch.Tensor { return torch.Zeros() },
	func() *torch.Tensor { return torch.Zeros(0) },
	func() *torch.Tensor { return torch.Options{DType: torch.Int64}.Ones(2, 2) },
	func() *torch.Tensor { return torch.Ones(2) },
	func() *torch.Tensor { return torch.Ones(1, 2, 2) },
	func() *torch.Tensor { return torch.Ones(1, 2, 2, 2) },
}

// Whatever an operator is called with, the process goes on: what goes wrong is a *torch.Error.
func TestNoOperatorEndsTheProcess(t *testing.T) {
	if kind := os.Getenv(swept); kind != "" {
		n, err := strconv.Atoi(kind)
		require.NoError(t, err)
		sweep(t, n)
		return
	}
	for kind := range kinds {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoOperatorEndsTheProcess$")
		c.Env = append(os.Environ(), fmt.Sprint(swept, "=", kind))
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		last, calls := "", 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if name, found := strings.CutPrefix(lines.Text(), "call "); found {
				last = name
				calls++
			}
		}
		require.NoError(t, c.Wait(), "arguments of kind %d: the last call was %s", kind, last)
		require.Greater(t, calls, 2500)
	}
}

func sweep(t *testing.T, kind int) {
	for _, s := range schemas(t) {
		if s.Namespace != "aten" || s.Refusal() != "" {
			continue
		}
		fmt.Println("call", s.FullName())
		torch.Scope(func() {
			var args []any
			kw := aten.Kw{}
			for _, a := range s.Args {
				if a.KwOnly {
					kw[a.Name] = sense(a.Type, kind)
				} else {
					args = append(args, sense(a.Type, kind))
				}
			}
			err := torch.Try(func() { aten.CallPrivate(s.FullName(), append(args, kw)...) })
			if e := (*torch.Error)(nil); err != nil && !errors.As(err, &e) {
				t.Error(s.FullName(), err)
			}
		})
	}
}

// sense is an argument that the schema allows.
func sense(of schema.Type, kind int) any {
	if of.IsOptional() {
		if kind == 1 && of.Inner().Form == schema.Leaf && of.Base() == "Tensor" {
			return kinds[kind]()
		}
		return nil
	}
	list := of.Form == schema.List
	switch base := of.Base(); {
	case base == "Tensor" && list && kind == 0:
		return []*torch.Tensor{}
	case base == "Tensor" && list:
		return []*torch.Tensor{kinds[kind](), kinds[kind]()}
	case base == "Tensor":
		return kinds[kind]()
	case (base == "int" || base == "SymInt") && list:
		return [][]int{{}, {0}, {1, 1}}[min(kind, 2)]
	case base == "int" || base == "SymInt":
		return kind % 3
	case base == "float" && list:
		return []float64{0.5}
	case base == "float":
		return 0.5
	case base == "bool" && list:
		return []bool{true, true, true}
	case base == "bool":
		return kind%2 == 0
	case base == "Scalar" && list:
		return []float64{1}
	case base == "Scalar":
		return 1
	case base == "str":
		return "mean"
	case base == "ScalarType":
		return torch.Float32
	case base == "Device":
		return torch.CPU
	}
	return nil
}
