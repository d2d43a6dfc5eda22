package trainer_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/trainer"
)

// lightningRun is the module of the recorded checkpoints.
func lightningRun() *recordedRun { return &recordedRun{Opt: "adam", Sched: "step", Log: "both"} }

// fitFrom runs a Fit of that module.
func fitFrom(t *testing.T, epochs int, from string, callbacks ...trainer.Callback) (net *recordedNet, tr *trainer.Trainer) {
	err := lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) (err error) {
		r := lightningRun()
		net = newRecordedNet(r)
		l.SeedEverything(7)
		tr, err = trainer.New(l, trainer.Options{
			MaxEpochs: epochs, NoLogger: true, NoProgressBar: true, NoModelSummary: true, RootDir: t.TempDir(), LogEveryNSteps: 1,
			Callbacks: append([]trainer.Callback{&trainer.EarlyStopping{Monitor: "val_loss", Patience: new(50)}}, callbacks...),
		})
		if err != nil {
			return err
		}
		torch.WithNumThreads(1, func() { err = trainer.Fit(ctx, tr, net, recordedData{r}, trainer.FitOptions{CkptPath: from}) })
		return err
	})
	require.NoError(t, err)
	return net, tr
}

// golite goes on from a checkpoint of Lightning's as Lightning does, which begins the loader's pass anew in the middle of
// an epoch.
func TestCheckpointOfLightning(t *testing.T) {
	var recorded map[string]*recordedRun
	text, err := os.ReadFile("testdata/lightning/resumed.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &recorded))
	for _, kind := range []string{"epoch_end", "batch_end"} {
		t.Run(kind, func(t *testing.T) {
			want := recorded[kind]
			checkpoint := &trainer.ModelCheckpoint{Monitor: "val_loss"}
			net, tr := fitFrom(t, 3, filepath.Join("testdata", "lightning", kind+".ckpt"), checkpoint)
			require.Equal(t, want.Losses, net.losses)
			require.Equal(t, want.Rates, net.rates)
			for name, p := range nn.StateDict(net).All() {
				require.Equal(t, want.Weights[name], floats(p), name)
			}
			require.Equal(t, [2]int{want.Steps, want.Epochs}, [2]int{tr.GlobalStep(), tr.Epoch()})
		})
	}
}

// What golite writes, Lightning goes on from: scripts/fixtures/record_trainer_ckpt.py compares, with the folder that
// GOLITE_KEEP_CKPT names.
func TestCheckpointForLightning(t *testing.T) {
	dir := t.TempDir()
	if keep := os.Getenv("GOLITE_KEEP_CKPT"); keep != "" {
		dir = keep
	}
	epochEnd := &trainer.ModelCheckpoint{Dir: filepath.Join(dir, "epochs"), Monitor: "val_loss"}
	fitFrom(t, 2, "", epochEnd)
	require.NoError(t, os.Rename(epochEnd.BestModelPath(), filepath.Join(dir, "epoch_end.ckpt")))
	fitFrom(t, 2, "", &trainer.ModelCheckpoint{Dir: filepath.Join(dir, "steps"), EveryNTrainSteps: 1, SaveTopK: -1})
	require.NoError(t, os.Rename(filepath.Join(dir, "steps", "epoch=1-step=11.ckpt"), filepath.Join(dir, "batch_end.ckpt")))

	// The layout is that of Lightning's own files.
	for _, kind := range []string{"epoch_end", "batch_end"} {
		var own, theirs lite.State
		require.NoError(t, lite.Run(t.Context(), lite.Config{}, func(_ context.Context, l *lite.Lite) (err error) {
			if own, err = l.Load(filepath.Join(dir, kind+".ckpt"), nil); err != nil {
				return err
			}
			theirs, err = l.Load(filepath.Join("testdata", "lightning", kind+".ckpt"), nil)
			return err
		}))
		for _, key := range []string{"epoch", "global_step", "pytorch-lightning_version", "loops"} {
			require.Equal(t, theirs[key], own[key], "%s: %s", kind, key)
		}
		theirCallbacks, _ := theirs["callbacks"].(map[string]any)
		ownCallbacks, _ := own["callbacks"].(map[string]any)
		for key, state := range theirCallbacks {
			require.Contains(t, ownCallbacks, key)
			require.ElementsMatch(t, slices.Collect(maps.Keys(state.(map[string]any))), slices.Collect(maps.Keys(ownCallbacks[key].(map[string]any))), key)
		}
		for _, key := range []string{"state_dict", "optimizer_states", "lr_schedulers"} {
			require.Contains(t, own, key)
		}
	}
}
