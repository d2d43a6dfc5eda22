package nn

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// recordedTexts are what scripts/fixtures/record_repr.py recorded.
type recordedTexts struct {
	Layers []struct {
		Name, Module, DType, Text string
		Args                      []any
		Kwargs                    map[string]any
	}
	Models []struct{ Name, Text string }
}

func readTexts(t *testing.T) (r recordedTexts) {
	data, err := os.ReadFile("testdata/repr.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &r))
	require.NotEmpty(t, r.Layers)
	require.NotEmpty(t, r.Models)
	return r
}

// Every layer, with every setting that a recorded case has, is printed as PyTorch prints it.
func TestLayersPrintAsPyTorchs(t *testing.T) {
	for _, c := range readTexts(t).Layers {
		// golite has no padding="valid", which is a padding of 0.
		want := strings.Replace(c.Text, ", padding=valid", "", 1)
		if c.Kwargs["padding"] == "valid" {
			delete(c.Kwargs, "padding")
		}
		m, _ := build(t, c.Module, c.Args, c.Kwargs, c.DType)
		require.Equal(t, want, fmt.Sprint(printable(m)), "%s", c.Name)
	}
}

// printable is the layer inside of what the tests of other kinds call.
func printable(m Module) Module {
	switch m := m.(type) {
	case *bagCaller:
		return m.EmbeddingBag
	case *unpoolCaller:
		switch {
		case m.one != nil:
			return m.one
		case m.two != nil:
			return m.two
		}
		return m.three
	}
	return m
}

// Every exported struct of the package that is a module is among the recorded texts.
func TestEveryLayerHasARecordedText(t *testing.T) {
	texts := readTexts(t)
	all := ""
	for _, c := range texts.Layers {
		all += " " + c.Text
	}
	for _, c := range texts.Models {
		all += " " + c.Text
	}
	for _, name := range moduleTypes(t) {
		require.Contains(t, all, name+"(", "no text of nn.%s is recorded: add it to scripts/fixtures/record_repr.py", name)
	}
}

// moduleTypes are the exported structs of the package that embed Base, or an unexported struct that does.
func moduleTypes(t *testing.T) (names []string) {
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	embeds := map[string][]string{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					for _, field := range s.Fields.List {
						if id, ok := field.Type.(*ast.Ident); ok && len(field.Names) == 0 {
							embeds[spec.Name.Name] = append(embeds[spec.Name.Name], id.Name)
						}
					}
				}
			}
			return true
		})
	}
	var isModule func(string) bool
	isModule = func(name string) bool {
		for _, e := range embeds[name] {
			if e == "Base" || isModule(e) {
				return true
			}
		}
		return false
	}
	for name := range embeds {
		if ast.IsExported(name) && isModule(name) {
			names = append(names, name)
		}
	}
	require.Greater(t, len(names), 100)
	return names
}

type MLP struct {
	Base
	FC1 *Linear
	Act *ReLU
	FC2 *Linear
}

type Block struct {
	Base
	LN1  *LayerNorm
	Attn *MultiheadAttention
	MLP  *Sequential
}

func newBlock(width int) *Block {
	return &Block{LN1: NewLayerNorm(width), Attn: NewMultiheadAttention(width, 2,
		MultiheadAttentionOptions{BatchFirst: true}),
		MLP: NewSequential(NewLinear(width, 4*width), NewGELU(), NewLinear(4*width, width))}
}

type GPT struct {
	Base
	WTE         *Embedding
	Blocks      []*Block
	Heads       *ModuleDict[*Linear]
	Temperature Parameter
	//lint:ignore U1000 only exported fields are printed
	callbacks []fmt.Stringer
}

type Empty struct{ Base }

type Scaled struct {
	Base
	Scale Parameter
}

func newScaled() *Scaled { return &Scaled{Scale: NewParameter(torch.Ones(3))} }

func (*Scaled) Forward(x *torch.Tensor) *torch.Tensor { return x }
func (*Scaled) ExtraRepr() string                     { return "channels=3" }

type Described struct {
	Scaled
	FC *Linear
}

func newDescribed() *Described       { return &Described{Scaled: *newScaled(), FC: NewLinear(3, 3)} }
func (*Described) ExtraRepr() string { return "channels=3\nkind=lines" }

func printedMLP() *MLP {
	m := &MLP{FC1: NewLinear(784, 128), Act: NewReLU(), FC2: NewLinear(128, 10, LinearOptions{NoBias: true})}
	m.Act.Inplace = true
	return m
}

func ones(shape ...int) Parameter { return NewParameter(torch.Ones(shape...)) }

func repeat[M any](n int, f func() M) (list []M) {
	for range n {
		list = append(list, f())
	}
	return list
}

func inplaceLayers() *Sequential {
	s := NewSequential(NewReLU(), NewReLU6(), NewSELU(), NewSiLU(), NewMish(), NewHardswish(), NewHardsigmoid(),
		NewHardtanh(),
		NewThreshold(0.1, 20), NewRReLU(), NewLeakyReLU(0.2), NewELU(1), NewCELU(0.5))
	s.At(0).(*ReLU).Inplace = true
	s.At(1).(*ReLU6).Inplace = true
	s.At(2).(*SELU).Inplace = true
	s.At(3).(*SiLU).Inplace = true
	s.At(4).(*Mish).Inplace = true
	s.At(5).(*Hardswish).Inplace = true
	s.At(6).(*Hardsigmoid).Inplace = true
	s.At(7).(*Hardtanh).Inplace = true
	s.At(8).(*Threshold).Inplace = true
	s.At(9).(*RReLU).Inplace = true
	s.At(10).(*LeakyReLU).Inplace = true
	s.At(11).(*ELU).Inplace = true
	s.At(12).(*CELU).Inplace = true
	return s
}

func transformerOptions() TransformerOptions { return TransformerOptions{DimFeedforward: 16} }

// modelTwins are the models of record_repr.py.
var modelTwins = map[string]func() Module{
	"MLP": func() Module { return printedMLP() },
	"GPT": func() Module {
		return &GPT{WTE: NewEmbedding(65, 8), Blocks: repeat(3, func() *Block { return newBlock(8) }),
			Heads:       NewModuleDict[*Linear]().Set("small", NewLinear(8, 2)).Set("large", NewLinear(8, 65)),
			Temperature: ones()}
	},
	"Empty":     func() Module { return &Empty{} },
	"Scaled":    func() Module { return newScaled() },
	"Described": func() Module { return newDescribed() },
	"Sequential": func() Module {
		return NewSequential(NewConv2d(1, 20, 5), NewReLU(), NewMaxPool2d(2), NewFlatten(), NewLinear(2880, 10))
	},
	"nested Sequential": func() Module {
		return NewSequential(NewSequential(NewLinear(2, 2), NewSequential()), newScaled())
	},
	"empty Sequential":    func() Module { return NewSequential() },
	"empty ModuleList":    func() Module { return NewModuleList[Module]() },
	"empty ModuleDict":    func() Module { return NewModuleDict[Module]() },
	"empty ParameterList": func() Module { return NewParameterList() },
	"empty ParameterDict": func() Module { return NewParameterDict() },
	"repeated": func() Module {
		return NewModuleList(repeat(6, func() *Linear {
			return NewLinear(2,
				3)
		})...)
	},
	"repeated in runs": func() Module {
		return NewModuleList[Layer](NewLinear(2, 2), NewLinear(2, 2), NewReLU(), NewLinear(2, 2), NewReLU(), NewReLU())
	},
	"repeated blocks": func() Module { return NewModuleList(repeat(11, newDescribed)...) },
	"ModuleDict": func() Module {
		return NewModuleDict[Layer]().Set("left", NewLinear(2, 2)).Set("right", NewSequential(NewTanh()))
	},
	"ParameterList": func() Module {
		return NewParameterList(ones(2, 3), NewParameter(torch.Options{DType: torch.Float64}.Ones(4)), ones())
	},
	"ParameterDict": func() Module { return NewParameterDict().Set("left", ones(2, 3)).Set("right", ones(5)) },
	"inplace":       func() Module { return inplaceLayers() },
	"TransformerEncoder": func() Module {
		return NewTransformerEncoder(NewTransformerEncoderLayer(8, 2, transformerOptions()), 2)
	},
	"TransformerEncoder with norm": func() Module {
		o := TransformerOptions{DimFeedforward: 16, Dropout: new(0.0), NoBias: true, NormFirst: true}
		return NewTransformerEncoder(NewTransformerEncoderLayer(8, 2, o), 2, NewLayerNorm(8))
	},
	"TransformerDecoder": func() Module {
		return NewTransformerDecoder(NewTransformerDecoderLayer(8, 2, transformerOptions()), 2, NewLayerNorm(8))
	},
	"SyncBatchNorm": func() Module {
		m := NewSequential(NewLinear(4, 3), NewBatchNorm1d(3))
		NormalizeWith(m, func(x, _, _ *torch.Tensor, _ F.BatchNormOptions) *torch.Tensor { return x })
		return m
	},
	"UpsamplingNearest2d":  func() Module { return NewUpsamplingNearest2d(UpsampleOptions{Scale: []float64{2}}) },
	"UpsamplingBilinear2d": func() Module { return NewUpsamplingBilinear2d(UpsampleOptions{Size: []int{4}}) },
}

func TestModelsPrintAsPyTorchs(t *testing.T) {
	models := readTexts(t).Models
	require.Len(t, models, len(modelTwins))
	for _, c := range models {
		require.Contains(t, modelTwins, c.Name)
		require.Equal(t, c.Text, fmt.Sprint(modelTwins[c.Name]()), "%s", c.Name)
	}
}

type named struct {
	Base
	FC *Linear
}

func (*named) String() string { return "a module of\nmy own" }

type half struct {
	Base
	FC   *Linear
	Skip *Linear `torch:"skip,optional"`
}

// A model is printed however fmt comes to it: by pointer, by value, as a field, with any verb.
func TestModelsPrintHoweverTheyAreGiven(t *testing.T) {
	m := printedMLP()
	want := fmt.Sprint(m)
	require.True(t, strings.HasPrefix(want, "MLP(\n  (fc1): Linear(in_features=784, out_features=128, bias=True)\n"), want)
	require.Equal(t, want, fmt.Sprint(*m), "by value")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.Equal(t, want, fmt.Sprintf(verb, m), verb)
	}
	require.Equal(t, fmt.Sprintf("%q", want), fmt.Sprintf("%q", m))
	require.Equal(t, "{"+want+" 3}", fmt.Sprint(struct {
		Model *MLP
		N     int
	}{m, 3}), "inside of another value")
	require.Equal(t, "["+want+" Tanh()]", fmt.Sprint([]Module{m, NewTanh()}))
	require.Equal(t, "*nn.MLP", fmt.Sprintf("%T", m))
	require.Equal(t, "<nil>", fmt.Sprint((*MLP)(nil)))
	require.Equal(t, "Module()", fmt.Sprint(&Base{}))
	require.Equal(t, "Module()", fmt.Sprint(Base{}))
	require.Equal(t, "Module(\n  (fc): Linear(in_features=1, out_features=2, bias=True)\n)", fmt.Sprint(&struct {
		Base
		FC *Linear
	}{FC: NewLinear(1, 2)}))
}

func TestAModelsOwnStringIsUsed(t *testing.T) {
	require.Equal(t, "a module of\nmy own", fmt.Sprint(&named{FC: NewLinear(1, 1)}))
	require.Equal(t, "a module of\nmy own", fmt.Sprint(named{FC: NewLinear(1, 1)}))
	require.Equal(t, "ModuleList(\n  (0): a module of\n  my own\n)",
		fmt.Sprint(NewModuleList(&named{FC: NewLinear(1, 1)})))
}

// A model that is only half made can be looked at, too.
func TestANilModulePrintsAsNone(t *testing.T) {
	require.Equal(t, "half(\n  (fc): None\n)", fmt.Sprint(&half{}))
	require.ErrorContains(t, torch.Try(func() { Parameters(&half{}) }), "the module fc is nil")
}

type ring struct {
	Base
	Next *ring
	FC   *Linear
}

type byName struct {
	Base
	Blocks map[string]*Block
}

// A model with a fault is looked at in order to find it: what can be written is, and the fault stands in its place.
func TestAFaultyModelPrintsItsFault(t *testing.T) {
	r := &ring{FC: NewLinear(1, 1)}
	r.Next = r
	require.Equal(t, "ring(<next leads back to a module that holds it: a model must not contain itself; "+
		"`torch:\"-\"` leaves a field out>)", fmt.Sprint(r))
	require.Contains(t, fmt.Sprint(*r), "ring(<next.next leads back to a module that holds it")
	require.Contains(t, fmt.Sprint(&byName{}), "byName(<nn.byName.Blocks (in the model itself) is a Go map of modules")
	require.Equal(t, "Embedding(<the tensor is nil>)", fmt.Sprint(&Embedding{}))

	gone := NewSequential(NewLinear(1, 2), NewEmbedding(3, 4))
	gone.At(1).(*Embedding).Weight.Release()
	text := fmt.Sprint(gone)
	require.True(t, strings.HasPrefix(text, "Sequential(\n  (0): Linear(in_features=1, out_features=2, bias=True)\n"+
		"  (1): Embedding(<a tensor was used after it was released"), text)
	require.Len(t, strings.Split(text, "\n"), 4)
}

type byValue struct {
	Base
	FC *Linear
}

func (v *byValue) String() string { return "fields " + fmt.Sprintf("%+v", *v) }

// A String method that prints the struct that it belongs to would call itself without end.
func TestAStringMethodThatPrintsItsOwnStruct(t *testing.T) {
	want := "fields byValue(\n  (fc): Linear(in_features=1, out_features=1, bias=True)\n)"
	m := &byValue{FC: NewLinear(1, 1)}
	require.Equal(t, want, fmt.Sprint(m))
	require.Equal(t, want, fmt.Sprint(*m))
	require.Equal(t, "["+want+"]", fmt.Sprint([]byValue{*m}))
}
