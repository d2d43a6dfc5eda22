package main

import (
	"context"
	"flag"
	"log"
	"math"
	"os"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

type Block struct {
	nn.Base
	Norm1, Norm2 *nn.LayerNorm
	QKV, Proj    *nn.Linear
	MLP          *nn.Sequential
	heads        int // not a module, not a tensor: not in the state dict
}

func NewBlock(dim, heads int) *Block {
	return &Block{
		Norm1: nn.NewLayerNorm(dim), Norm2: nn.NewLayerNorm(dim),
		QKV:  nn.NewLinear(dim, 3*dim, nn.LinearOptions{NoBias: true}),
		Proj: nn.NewLinear(dim, dim),
		MLP: nn.NewSequential(
			nn.NewLinear(dim, 4*dim), nn.NewGELU(), nn.NewLinear(4*dim, dim), nn.NewDropout(0.1),
		),
		heads: heads,
	}
}

func (b *Block) Forward(x, mask *torch.Tensor) *torch.Tensor {
	n, t, dim := x.Size(0), x.Size(1), x.Size(2)
	qkv := b.QKV.Forward(b.Norm1.Forward(x)).Split(dim, -1)
	for i := range qkv {
		qkv[i] = qkv[i].View(n, t, b.heads, dim/b.heads).Transpose(1, 2)
	}
	y := F.ScaledDotProductAttention(qkv[0], qkv[1], qkv[2], F.SDPAOptions{Mask: mask, Causal: mask == nil})
	x = x.Add(b.Proj.Forward(y.Transpose(1, 2).Reshape(n, t, dim)))
	return x.Add(b.MLP.Forward(b.Norm2.Forward(x)))
}

type GPT struct {
	nn.Base
	Tok    *nn.Embedding
	Pos    nn.Parameter // a plain tensor as a parameter: key "pos"
	Blocks []*Block     // blocks.0.norm1.weight, blocks.0.norm1.bias, ...
	Norm   *nn.LayerNorm
	Head   *nn.Linear `torch:"lm_head"`
}

func NewGPT(vocab, dim, depth, heads, maxLen int) *GPT {
	g := &GPT{
		Tok:  nn.NewEmbedding(vocab, dim),
		Pos:  nn.NewParameter(torch.Randn(maxLen, dim).MulScalar(0.02)),
		Norm: nn.NewLayerNorm(dim),
		Head: nn.NewLinear(dim, vocab, nn.LinearOptions{NoBias: true}),
	}
	for range depth {
		g.Blocks = append(g.Blocks, NewBlock(dim, heads))
	}
	g.Head.Weight = g.Tok.Weight // shared: counted once, saved under both keys
	return g
}

// Forward takes ids [N, T] and a mask [N, 1, T, T] (nil: causal); it returns logits [N, T, vocab].
func (g *GPT) Forward(ids, mask *torch.Tensor) *torch.Tensor {
	x := g.Tok.Forward(ids).Add(g.Pos.Slice(0, 0, ids.Size(1)))
	for _, b := range g.Blocks {
		x = b.Forward(x, mask)
	}
	return g.Head.Forward(g.Norm.Forward(x))
}

// Embed is a second way in: the mean of the last hidden states.
func (g *GPT) Embed(ids *torch.Tensor) *torch.Tensor {
	x := g.Tok.Forward(ids)
	for _, b := range g.Blocks {
		x = b.Forward(x, nil)
	}
	return g.Norm.Forward(x).Mean(1)
}

// Tokens is both a sample and, with one more dimension in front, a batch.
type Tokens struct{ IDs, Mask, Targets *torch.Tensor }

const (
	accumulate = 4
	warmup     = 200
)

func main() {
	cfg := lite.Config{Accelerator: "auto", Devices: "auto", Precision: "bf16-mixed"}
	cfg.RegisterFlags(flag.CommandLine)
	lr := flag.Float64("lr", 3e-4, "peak learning rate")
	decay := flag.Float64("weight-decay", 0.1, "AdamW's weight decay; 0 means none")
	steps := flag.Int("steps", 5000, "steps of the optimizer")
	checkpoint := flag.String("checkpoint", "gpt.pt", "where to save")
	flag.Parse()
	err := lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error {
		return train(ctx, l, corpus{}, *lr, decay, *steps, *checkpoint)
	})
	if err != nil {
		log.Print(err)
		os.Exit(lite.ExitCode(err))
	}
}

// schedule rises for the warmup and then falls along a cosine, to 0 at the last step.
func schedule(step, maxSteps int) float64 {
	if step < warmup {
		return float64(step) / warmup // 0 at step 0, and that is meant
	}
	return 0.5 * (1 + math.Cos(math.Pi*float64(step-warmup)/float64(max(1, maxSteps-warmup))))
}

// groups lets matrices decay, and leaves biases and the weights of normalisations as large as they are.
func groups(m nn.Module, decay *float64) []optim.Group {
	var matrices, vectors []nn.Parameter
	for _, p := range nn.NamedParameters(m) {
		if len(p.Shape()) > 1 {
			matrices = append(matrices, p)
		} else {
			vectors = append(vectors, p)
		}
	}
	return []optim.Group{{Params: matrices, WeightDecay: decay}, {Params: vectors, WeightDecay: new(0.0)}}
}

func train(ctx context.Context, l *lite.Lite, ds data.Dataset[Tokens], lr float64, decay *float64, maxSteps int, checkpoint string) error {
	l.SeedEverything(1)

	gpt := NewGPT(256, 128, 4, 4, 64)
	opt := optim.NewAdamWGroups(groups(gpt, decay), lr, optim.AdamWOptions{Betas: &[2]float64{0.9, 0.95}})
	sched := optim.NewLambdaLR(opt, func(step int) float64 { return schedule(step, maxSteps) })

	model, err := lite.Setup(l, gpt, gpt.Forward, opt) // model.Forward is func(ids, mask *torch.Tensor) *torch.Tensor
	if err != nil {
		return err
	}
	embed := lite.Bind(model, gpt.Embed) // another method, in the same context
	loader, err := lite.SetupDataLoader(l, data.NewLoader(ds, 8, data.Options{Shuffle: true, Workers: 2}))
	if err != nil {
		return err
	}

	model.Train()
	micro, step := 0, 0
	for step < maxSteps {
		for batch, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			micro++
			last := micro%accumulate == 0
			var loss *torch.Tensor
			l.NoBackwardSync(model, !last, func() {
				logits := model.Forward(batch.IDs, batch.Mask)
				loss = F.CrossEntropy(logits.View(-1, 256), batch.Targets.View(-1),
					F.CrossEntropyOptions{IgnoreIndex: new(0), LabelSmoothing: 0.1})
				l.Backward(loss.DivScalar(accumulate))
			})
			if !last {
				continue
			}
			norm := l.ClipGradNorm(model, opt, 1.0)
			opt.Step()
			if !opt.Skipped() {
				sched.Step()
			}
			opt.ZeroGrad()
			if step++; step%50 == 0 {
				l.Printf("step %d loss %.4f norm %.3f lr %.2e", step, loss.Item(), norm.Item(), sched.LastLR()[0])
			}
			if step == maxSteps {
				break
			}
		}
	}
	torch.NoGrad(func() { l.Print(embed(torch.Options{DType: torch.Int64, Device: l.Device()}.Zeros(1, 8)).Shape()) })
	return l.Save(checkpoint, lite.State{"model": model, "optimizer": opt, "scheduler": sched, "step": step})
}

// corpus is a stand-in: 1,000 windows of 64 bytes.
type corpus struct{}

func (corpus) Len() int { return 1000 }

func (corpus) Get(ctx context.Context, i int) (Tokens, error) {
	ids := torch.Options{DType: torch.Int64}.Arange(65).AddScalar(float64(i % 100))
	all := torch.Options{DType: torch.Bool}.Ones(1, 64, 64)
	return Tokens{IDs: ids.Slice(0, 0, 64), Mask: all, Targets: ids.Slice(0, 1, 65)}, nil
}
