package metrics

import (
	"strings"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
)

// NewPerplexity is the exponential of the mean negative log likelihood of tokens (torchmetrics.text.Perplexity): preds are logits
// [N, sequence, vocabulary], target is tokens [N, sequence].
func NewPerplexity(opts ...IgnoreOptions) *Classification {
	const op = "metrics.NewPerplexity"
	ignore := options.Must(op, opts, torch.Fail).IgnoreIndex
	m := &Classification{base: base{op: op}}
	m.fields = []field{{name: "total_log_probs"}, {name: "count"}, {name: "invalid"}}
	m.verify = func(s []*torch.Tensor) string {
		if n := int(s[2].Item()); n > 0 {
			return itoa(n) + " tokens of target are out of range; want tokens of the vocabulary, the last dimension of preds, or IgnoreIndex"
		}
		return ""
	}
	m.value = func(s []*torch.Tensor) *torch.Tensor { return s[0].Div(s[1]).Exp() }
	m.batch = func(op string, preds, target *torch.Tensor) []*torch.Tensor {
		need(op, preds, target)
		p, y := preds.Shape(), target.Shape()
		if len(p) != 3 || len(y) != 2 || p[0] != y[0] || p[1] != y[1] || !preds.DType().IsFloating() || target.DType() != torch.Int64 {
			torch.Fail(op, "preds %s%v and target %s%v; want floats [N, sequence, vocabulary] and int64 [N, sequence]", preds.DType(), p, target.DType(), y)
		}
		k := mark(target, nil, p[2], ignore)
		valid := k.valid.Reshape(-1)
		at := target.Reshape(-1).MaskedFill(valid.LogicalNot(), 0)
		probs := preds.Reshape(-1, p[2]).Softmax(1).Gather(1, at.Unsqueeze(1)).Squeeze(1)
		if probs.Device().Type == torch.CPUType {
			probs = probs.MaskedSelect(valid) // torchmetrics' order of the sum
		} else {
			probs = probs.MaskedFill(valid.LogicalNot(), 1)
		}
		return []*torch.Tensor{probs.Log().Sum().Neg(), valid.Sum(), k.wrong.Sum()}
	}
	return m
}

// WER is the word error rate; NewWER makes one.
type WER struct{ base }

// NewWER is the number of words that are inserted, left out or replaced, over that of the targets' words
// (torchmetrics.text.WordErrorRate).
func NewWER() *WER {
	m := &WER{base: base{op: "metrics.NewWER"}}
	m.fields = []field{{name: "errors"}, {name: "total"}}
	m.value = func(s []*torch.Tensor) *torch.Tensor { return s[0].Div(s[1]) }
	return m
}

// Update adds sentences and what they should be.
func (m *WER) Update(preds, target []string) { m.run("Update", preds, target, false) }

// Forward adds sentences and returns their own error rate.
func (m *WER) Forward(preds, target []string) *torch.Tensor {
	return m.run("Forward", preds, target, true)
}

func (m *WER) run(method string, preds, target []string, wanted bool) *torch.Tensor {
	if len(preds) != len(target) {
		torch.Fail(m.op+"."+method, "%d preds and %d targets; want one target for each", len(preds), len(target))
	}
	wrong, total := 0, 0
	for i := range preds {
		words := strings.Fields(target[i])
		wrong += editDistance(strings.Fields(preds[i]), words)
		total += len(words)
	}
	return m.add(method, func() []*torch.Tensor { return []*torch.Tensor{number(wrong), number(total)} }, wanted)
}

// editDistance is Levenshtein's distance of two lists of words.
func editDistance(a, b []string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			least := diagonal
			if a[i] != b[j] {
				least = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], least
		}
	}
	return row[len(b)]
}

func number(n int) *torch.Tensor { return torch.From([]int64{int64(n)}).Reshape() }

// BLEUOptions are the settings of NewBLEU.
type BLEUOptions struct {
	// NGram is the length of the longest sequences of words, 4 by default.
	NGram int
	// Smooth adds 1 to the counts of sequences of two words and more.
	Smooth bool
	// Weights of the lengths, 1/NGram each by default.
	Weights []float64
}

// BLEU is the score of translations; NewBLEU makes one.
type BLEU struct {
	base
	ngram int
}

// NewBLEU is the BLEU score of a corpus of translations (torchmetrics.text.BLEUScore). Words are divided at white space.
func NewBLEU(opts ...BLEUOptions) *BLEU {
	const op = "metrics.NewBLEU"
	o := options.Must(op, opts, torch.Fail)
	if o.NGram == 0 {
		o.NGram = 4
	}
	if o.NGram < 1 || o.Weights != nil && len(o.Weights) != o.NGram {
		torch.Fail(op, "NGram %d and %d Weights; want 1 or more, and a weight for each length or none", o.NGram, len(o.Weights))
	}
	weights := make([]float32, o.NGram)
	for i := range weights {
		weights[i] = float32(1 / float64(o.NGram))
		if o.Weights != nil {
			weights[i] = float32(o.Weights[i])
		}
	}
	m := &BLEU{base: base{op: op}, ngram: o.NGram}
	m.fields = []field{{name: "preds_len"}, {name: "target_len"}, {name: "numerator"}, {name: "denominator"}}
	m.zero = func() []*torch.Tensor {
		on := torch.Options{DType: torch.Int64}
		return []*torch.Tensor{on.Zeros(), on.Zeros(), on.Zeros(o.NGram), on.Zeros(o.NGram)}
	}
	m.value = func(s []*torch.Tensor) *torch.Tensor { return bleu(s, torch.From(weights), o.Smooth) }
	return m
}

func bleu(s []*torch.Tensor, weights *torch.Tensor, smooth bool) *torch.Tensor {
	above, below := s[2].To(torch.Float32), s[3].To(torch.Float32)
	if above.Min().Item() == 0 {
		return above.Min()
	}
	precision := above.Div(below)
	if smooth {
		first := precision.Narrow(0, 0, 1)
		precision = above.AddScalar(1).Div(below.AddScalar(1))
		precision.Narrow(0, 0, 1).Copy_(first)
	}
	mean := weights.Mul(precision.Log()).Sum().Exp()
	if s[0].Item() > s[1].Item() {
		return mean
	}
	return s[1].Div(s[0]).RsubScalar(1).Exp().Mul(mean)
}

// Update adds translations, and for each the reference translations, one or more.
func (m *BLEU) Update(preds []string, target [][]string) { m.run("Update", preds, target, false) }

// Forward adds translations and returns their own score.
func (m *BLEU) Forward(preds []string, target [][]string) *torch.Tensor {
	return m.run("Forward", preds, target, true)
}

func (m *BLEU) run(method string, preds []string, target [][]string, wanted bool) *torch.Tensor {
	if len(preds) != len(target) {
		torch.Fail(m.op+"."+method, "%d preds and %d lists of references in target; want one for each", len(preds), len(target))
	}
	above, below := make([]int64, m.ngram), make([]int64, m.ngram)
	var n, want int
	for i, p := range preds {
		if len(target[i]) == 0 {
			torch.Fail(m.op+"."+method, "target[%d] is empty; want one reference or more", i)
		}
		words := strings.Fields(p)
		n += len(words)
		nearest := -1
		allowed := map[string]int64{}
		for _, reference := range target[i] {
			other := strings.Fields(reference)
			if nearest < 0 || abs(len(words)-len(other)) < abs(len(words)-nearest) {
				nearest = len(other)
			}
			for key, c := range nGrams(other, m.ngram) {
				allowed[key] = max(allowed[key], c)
			}
		}
		want += nearest
		for key, c := range nGrams(words, m.ngram) {
			size := strings.Count(key, " ")
			below[size] += c
			above[size] += min(c, allowed[key])
		}
	}
	return m.add(method, func() []*torch.Tensor {
		return []*torch.Tensor{number(n), number(want), torch.From(above), torch.From(below)}
	}, wanted)
}

// nGrams counts the sequences of up to n words, which the key joins by spaces.
func nGrams(words []string, n int) map[string]int64 {
	out := map[string]int64{}
	for size := 1; size <= n; size++ {
		for i := 0; i+size <= len(words); i++ {
			out[strings.Join(words[i:i+size], " ")]++
		}
	}
	return out
}

func abs(n int) int { return max(n, -n) }
