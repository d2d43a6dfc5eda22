package deepspeed_test

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/lite/strategy/deepspeed"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func TestMain(m *testing.M) { fixture.Main(m) }

const recorded = "testdata/deepspeed.json.gz"

// names are the recorded cases of a kind.
func names(t *testing.T, kind string) (out []string) {
	file, err := fixture.Read(recorded)
	require.NoError(t, err)
	for _, c := range file.Cases {
		if strings.HasPrefix(c.Name, kind+"/") {
			out = append(out, c.Name)
		}
	}
	require.NotEmpty(t, out)
	return out
}

// twoGroups is an optimizer with rates 0.1 and 0.02.
func twoGroups(kind string) optim.Optimizer {
	groups := []optim.Group{{Params: nn.Parameters(nn.NewLinear(2, 2)), LR: new(0.1)}, {Params: nn.Parameters(nn.NewLinear(2, 2)), LR: new(0.02)}}
	if kind == "sgd" {
		return optim.NewSGDGroups(groups, 0.1, optim.SGDOptions{Momentum: 0.9})
	}
	return optim.NewAdamWGroups(groups, 1e-3)
}

func TestSchedulesAreDeepSpeeds(t *testing.T) {
	file := fixture.Open(t, recorded)
	for _, name := range names(t, "schedule") {
		t.Run(name, func(t *testing.T) {
			var c struct {
				Type, Optimizer string
				Params          map[string]any
				Rates, Betas    []fixture.Floats
			}
			file.Case(t, name).Decode(t, &c)
			torch.Scope(func() {
				o := twoGroups(c.Optimizer)
				config, err := deepspeed.Read(map[string]any{"scheduler": map[string]any{"type": c.Type, "params": c.Params}})
				require.NoError(t, err)
				s, err := config.NewScheduler(o)
				require.NoError(t, err)
				for n, want := range c.Rates {
					if n > 0 {
						s.Step()
					}
					g := o.ParamGroups()
					require.Equal(t, want.Slice(), []float64{g[0].LR, g[1].LR}, "step %d", n)
					require.Equal(t, want.Slice(), s.LastLR())
					if len(c.Betas) > 0 {
						require.Equal(t, c.Betas[n].Slice(), g[0].Betas[:], "step %d", n)
					}
				}
			})
		})
	}
}

func TestScheduleResumes(t *testing.T) {
	torch.Scope(func() {
		config, err := deepspeed.Read([]byte(`{"scheduler": {"type": "WarmupCosineLR", "params": {"total_num_steps": 9, "warmup_num_steps": 3}}}`))
		require.NoError(t, err)
		first, second := twoGroups("adamw"), twoGroups("adamw")
		a, err := config.NewScheduler(first)
		require.NoError(t, err)
		for range 4 {
			a.Step()
		}
		b, err := config.NewScheduler(second)
		require.NoError(t, err)
		require.NoError(t, b.LoadStateDict(a.StateDict()))
		for range 4 {
			a.Step()
			b.Step()
			require.Equal(t, a.LastLR(), b.LastLR())
		}
		require.ErrorContains(t, b.LoadStateDict(map[string]any{}), "no last_batch_iteration")
		require.ErrorContains(t, b.LoadStateDict(map[string]any{"last_batch_iteration": "x"}), "want a whole number")
		require.Equal(t, a.LastLR(), b.LastLR())
	})
}

func TestScalerIsDeepSpeeds(t *testing.T) {
	file := fixture.Open(t, recorded)
	for _, name := range names(t, "scaler") {
		t.Run(name, func(t *testing.T) {
			var c struct {
				FP16      map[string]any
				Overflows []bool
				Scales    fixture.Floats
				Raises    *int
			}
			file.Case(t, name).Decode(t, &c)
			c.FP16["enabled"] = true
			config, err := deepspeed.Read(map[string]any{"fp16": c.FP16})
			require.NoError(t, err)
			s := config.NewLossScaler()
			for n, overflow := range c.Overflows {
				if n%7 == 3 { // a state that is saved and loaded goes on alike
					next := config.NewLossScaler()
					require.NoError(t, next.LoadStateDict(s.StateDict()))
					s = next
				}
				err := s.Update(overflow)
				if c.Raises != nil && n == *c.Raises {
					require.ErrorContains(t, err, "smallest loss scale")
					return
				}
				require.NoError(t, err)
				require.Equal(t, float64(c.Scales[n]), s.Scale(), "step %d", n)
			}
			require.Nil(t, c.Raises)
		})
	}
}

func TestScalers(t *testing.T) {
	for text, want := range map[string]float64{
		`{}`: 1, `{"fp16": {"enabled": false, "loss_scale": 8}}`: 1, `{"fp16": {"enabled": true, "loss_scale": 8}}`: 8,
		`{"fp16": {"enabled": true}}`: 65536,
	} {
		c, err := deepspeed.Read([]byte(text))
		require.NoError(t, err)
		s := c.NewLossScaler()
		require.Equal(t, want, s.Scale(), text)
		if want < 10 { // static: an overflow changes nothing
			require.NoError(t, s.Update(true))
			require.Equal(t, want, s.Scale(), text)
		}
		for _, bad := range []map[string]any{{}, {"cur_scale": 0.0}, {"cur_scale": math.NaN()}, {"cur_scale": 2.0, "cur_iter": "x"}} {
			require.Error(t, s.LoadStateDict(bad))
			require.Equal(t, want, s.Scale())
		}
	}
}

// remedies are the texts of golite's errors for configurations that DeepSpeed refuses, by a part of DeepSpeed's.
var remedies = []struct{ deepspeed, golite string }{
	{"train_batch_size is not equal", "train_batch_size is not equal to micro_batch_per_gpu * gradient_acc_step * world_size"},
	{"Either train_batch_size or", "either train_batch_size or train_micro_batch_size_per_gpu needs to be provided"},
	{"Apex AMP", `"16-mixed"`},
	{"Train batch size: 0", ": 0: want 1 or more"},
	{"Train batch size: -8", "train_batch_size: -8: want 1 or more"},
	{"Gradient accumulation steps: 0", "gradient_accumulation_steps: 0: want 1 or more"},
	{"Micro batch size per gpu: 0", "train_batch_size is not equal"},
	{"simultaneously", "bf16.enabled: bfloat16 and fp16 modes cannot be simultaneously enabled"},
	{"loss_scale must be >= 0", "fp16.loss_scale: -1: want 0 or more"},
	{"not bool", "fp16.loss_scale: true is a boolean: want a number"},
	{"fp16.loss_scale must be a number", `fp16.loss_scale: "x" is a string: want a number`},
	{"loss_scale_window must be > 0", "fp16.loss_scale_window: 0: want 1 or more"},
	{"min_loss_scale must be > 0", "fp16.min_loss_scale: 0: want more than 0"},
	{"Elastic", "elasticity"}, {"sparse_gradients", "nn.EmbeddingOptions{Sparse: true}"},
	{"MiCS", "mics_shard_size"}, {"gradient_allreduce_op", "multiply the loss by l.WorldSize()"},
}

func TestConfigsAreJudgedAsByDeepSpeed(t *testing.T) {
	file := fixture.Open(t, recorded)
	for _, name := range names(t, "config") {
		t.Run(name, func(t *testing.T) {
			var c struct {
				World  int
				Config json.RawMessage
				Batch  []int
				Error  string
			}
			file.Case(t, name).Decode(t, &c)
			config, err := deepspeed.Read([]byte(c.Config))
			var batch deepspeed.Batch
			if err == nil {
				batch, err = config.Batch(c.World)
			}
			if strings.Contains(string(c.Config), `"auto"`) { // DeepSpeed takes its default for it, in some blocks
				require.ErrorContains(t, err, "leave the key out for its default")
				return
			}
			if c.Error == "" {
				require.NoError(t, err, string(c.Config))
				require.Equal(t, c.Batch, []int{batch.Train, batch.Micro, batch.Accumulation})
				return
			}
			require.Error(t, err, "%s: DeepSpeed: %s", c.Config, c.Error)
			for _, r := range remedies {
				if strings.Contains(c.Error, r.deepspeed) {
					require.ErrorContains(t, err, r.golite, c.Error)
					return
				}
			}
			require.Contains(t, c.Error, "ValidationError", "a kind of error without a row in remedies")
		})
	}
}

func TestReadsPathsBytesAndMaps(t *testing.T) {
	path := t.TempDir() + "/ds.json"
	text := `{"train_batch_size": 4, "gradient_clipping": 1e0}`
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	for _, source := range []any{path, []byte(text), map[string]any{"train_batch_size": 4, "gradient_clipping": 1}} {
		c, err := deepspeed.Read(source)
		require.NoError(t, err)
		require.Equal(t, 4, c.TrainBatchSize)
		require.Equal(t, 1.0, c.GradientClipping)
		require.Empty(t, c.Notes)
	}
	for _, bad := range []struct {
		source any
		want   string
	}{
		{path + "x", "no such file"}, {t.TempDir(), "no regular file"}, {"/dev/null", "no regular file"}, {3, "the configuration is a int"},
		{map[string]any{"x": func() {}}, "can't be written as JSON"},
		{text, "JSON itself is given as []byte"},
	} {
		_, err := deepspeed.Read(bad.source)
		require.ErrorContains(t, err, bad.want)
	}
}
