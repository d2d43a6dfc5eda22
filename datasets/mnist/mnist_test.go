package mnist_test

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/datasets/mnist/idx"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

func TestEmbeddedFilesAreTheOriginals(t *testing.T) {
	for name, want := range map[string]string{
		"train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
		"train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
		"t10k-images-idx3-ubyte":  "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
		"t10k-labels-idx1-ubyte":  "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
	} {
		f, err := os.Open(name + ".gz")
		require.NoError(t, err)
		z, err := gzip.NewReader(f)
		require.NoError(t, err)
		h := sha256.New()
		_, err = io.Copy(h, z)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Equal(t, want, hex.EncodeToString(h.Sum(nil)), name)
	}
}

func TestSamples(t *testing.T) {
	ctx := context.Background()
	pixels, err := idx.ReadFile("t10k-images-idx3-ubyte.gz")
	require.NoError(t, err)
	digits, err := idx.ReadFile("t10k-labels-idx1-ubyte.gz")
	require.NoError(t, err)
	require.Equal(t, []int{10000, 28, 28}, pixels.Dims)

	for _, normalized := range []bool{false, true} {
		t.Run(fmt.Sprint("normalized ", normalized), func(t *testing.T) {
			ds := mnist.Test(mnist.Options{Normalize: normalized})
			require.Equal(t, 10000, ds.Len())
			for _, i := range []int{0, 1, 4321, 9999} {
				s, err := ds.Get(ctx, i)
				require.NoError(t, err)
				require.Equal(t, []int{1, 28, 28}, s.Input.Shape())
				require.Equal(t, torch.Int64, s.Target.DType())
				require.Empty(t, s.Target.Shape())
				require.Equal(t, int64(digits.Data[i]), torch.Item[int64](s.Target))
				for k, got := range torch.ToSlice[float32](s.Input) {
					want := float32(pixels.Data[784*i+k]) / 255
					if normalized {
						want = (want - float32(mnist.Mean)) / float32(mnist.Std)
					}
					require.Equal(t, math.Float32bits(want), math.Float32bits(got), "sample %d, pixel %d", i, k)
				}
			}
		})
	}
}

func TestTrainIsLoadedOnce(t *testing.T) {
	ds := mnist.Train()
	require.Equal(t, 60000, ds.Len())
	require.Same(t, ds, mnist.Train())
	require.NotSame(t, ds, mnist.Train(mnist.Options{Normalize: true}))
	require.Error(t, torch.Try(func() { mnist.Train(mnist.Options{}, mnist.Options{}) }))
}

func TestBatches(t *testing.T) {
	torch.Scope(func() {
		seen := 0
		for batch, err := range data.NewLoader(mnist.Test(), 64).Batches(context.Background()) {
			require.NoError(t, err)
			n := batch.Input.Size(0)
			require.Equal(t, []int{n, 1, 28, 28}, batch.Input.Shape())
			require.Equal(t, []int{n}, batch.Target.Shape())
			seen += n
		}
		require.Equal(t, 10000, seen)
	})
}

// Workers read the same bytes at a time; a batch is what its samples are, bit by bit.
func TestBatchesAreTheSamples(t *testing.T) {
	ctx := context.Background()
	ds := mnist.Test(mnist.Options{Normalize: true})
	n := 0
	for batch, err := range data.NewLoader(data.NewSubset(ds, []int{9999, 17, 0, 17, 4321}), 2, data.Options{Workers: 2}).Batches(ctx) {
		require.NoError(t, err)
		for k := range batch.Input.Size(0) {
			s, err := ds.Get(ctx, []int{9999, 17, 0, 17, 4321}[n])
			require.NoError(t, err)
			require.True(t, batch.Input.Select(0, k).Equal(s.Input))
			require.True(t, batch.Target.Select(0, k).Equal(s.Target))
			n++
		}
	}
	require.Equal(t, 5, n)
	for _, i := range []int{-1, 10000} {
		_, err := ds.Get(ctx, i)
		require.ErrorContains(t, err, "is outside of a data set of 10000 samples")
	}
}

func TestLoad(t *testing.T) {
	ds, err := mnist.Load("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
	require.NoError(t, err)
	require.Equal(t, 10000, ds.Len())

	cut := filepath.Join(t.TempDir(), "cut.gz")
	whole, err := os.ReadFile("t10k-labels-idx1-ubyte.gz")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cut, whole[:1000], 0o600))
	_, err = mnist.Load("t10k-images-idx3-ubyte.gz", cut)
	require.ErrorIs(t, err, idx.ErrTruncated)
	require.ErrorContains(t, err, "cut.gz")

	_, err = mnist.Load("t10k-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
	require.ErrorContains(t, err, "images of dimensions [10000 28 28] and labels of dimensions [60000]")
}

func ExampleTrain() {
	torch.Scope(func() {
		for batch, err := range data.NewLoader(mnist.Train(), 64).Batches(context.Background()) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(batch.Input.Shape(), batch.Target.Shape())
			break
		}
	})
	// Output: [64 1 28 28] [64]
}
