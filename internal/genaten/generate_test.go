package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/schema"
	"github.com/stretchr/testify/require"
)

// The committed files are what the linked libtorch's schemas give.
func TestCommittedFilesAreCurrent(t *testing.T) {
	text, cerr := cgotorch.Schemas()
	require.Nil(t, cerr)
	files, err := generate(text)
	require.NoError(t, err)
	require.Greater(t, len(files), 20)
	const dir = "../../torch/aten"
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err, "run: go generate ./torch/aten")
		require.True(t, string(want) == string(got), "%s differs: run go generate ./torch/aten", name)
		require.Less(t, strings.Count(string(want), "\n"), 2000, name)
	}
	present, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, path := range present {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		if strings.HasPrefix(string(b), marker) {
			require.Contains(t, files, filepath.Base(path), "a generated file that is no longer generated")
		}
	}
}

// Every schema of namespace aten has a function or a refusal.
func TestNoOperatorIsLost(t *testing.T) {
	text, cerr := cgotorch.Schemas()
	require.Nil(t, cerr)
	files, err := generate(text)
	require.NoError(t, err)
	var all strings.Builder
	for _, b := range files {
		all.Write(b)
	}
	source := all.String()
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(line, "aten::") {
			continue
		}
		n++
		name, _, _ := strings.Cut(line, "(")
		require.True(t, strings.Contains(source, "op.Op{Name: \""+name+"\"}") ||
			strings.Contains(source, "{\""+name+"\", \""), name)
	}
	require.Greater(t, n, 2000)
}

func TestNames(t *testing.T) {
	public := namer{"softmax": true, "and": false}
	for line, want := range map[string]string{
		"aten::relu() -> ()":                  "Relu",
		"aten::add.Tensor() -> ()":            "AddTensor",
		"aten::add_.Tensor() -> ()":           "AddTensor_",
		"aten::add.out() -> ()":               "AddOut",
		"aten::sum.dim_IntList() -> ()":       "SumDimIntList",
		"aten::conv2d.padding() -> ()":        "Conv2dPadding",
		"aten::__and__.Scalar() -> ()":        "AndScalar",
		"aten::_foreach_mul_.Scalar() -> ()":  "ForeachMulScalar_",
		"aten::_softmax() -> ()":              "InternalSoftmax",
		"aten::_softmax.out() -> ()":          "InternalSoftmaxOut",
		"aten::range.out_() -> ()":            "RangeOut_",
		"aten::linalg_ldl_factor_ex() -> ()":  "LinalgLdlFactorEx",
		"aten::_log_softmax_backward() -> ()": "LogSoftmaxBackward",
	} {
		s, err := schema.Parse(line)
		require.NoError(t, err)
		require.Equal(t, want, public.name(s), line)
	}
}

func TestParameters(t *testing.T) {
	s, err := schema.Parse("aten::f(Tensor self, int type, Tensor A, str UPLO, Tensor LU_data, int args, Tensor a, int " +
		"running_mean) -> ()")
	require.NoError(t, err)
	require.Equal(t, []string{"self", "typeArg", "a", "uplo", "luData", "argsArg", "a2", "runningMean"}, params(s))
}

func TestGenerateRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"aten::f(Tensor self) -> Tensor\naten::f_(Tensor self -> Tensor":       "want",
		"aten::ab_c(Tensor self) -> Tensor\naten::ab.c(Tensor self) -> Tensor": "would both be called AbC",
		"aten::f(str[]? things) -> Tensor": "doesn't know how to " +
			"write a str[]?",
		"aten::f(Tensor self) -> Tensor\nthis is no schema\naten::g(Tensor self) -> Tensor(a!": "want",
	} {
		_, err := generate(text)
		require.ErrorContains(t, err, want)
	}
}
