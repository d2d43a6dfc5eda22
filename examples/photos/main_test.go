package main

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// folder makes a folder of n photos, each with a gradient of its own and a caption of one word to three.
func folder(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	captions := map[string][]int64{}
	for i := range n {
		img := image.NewGray(image.Rect(0, 0, 226+i%5, 225+i%3))
		for at := range img.Pix {
			img.Pix[at] = uint8(at*3 + i*7)
		}
		name := fmt.Sprintf("%02d.jpg", i)
		write(t, filepath.Join(dir, name), img)
		for word := range 1 + i%3 {
			captions[name] = append(captions[name], int64(10*i+word+1))
		}
	}
	text, err := json.Marshal(captions)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "captions.json"), text, 0o644))
	return dir
}

func write(t *testing.T, path string, img image.Image) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, jpeg.Encode(f, img, nil))
	require.NoError(t, f.Close())
}

// The program goes through nine tenths of the folder, in batches of 32, padded to the longest caption.
func TestRun(t *testing.T) {
	dir := folder(t, 40)
	said := func(cfg lite.Config) []string {
		var out strings.Builder
		cfg.Output = &out
		require.NoError(t, lite.Run(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) error { return run(ctx, l, dir) }))
		return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	}
	one := said(lite.Config{})
	require.Len(t, one, 2)
	require.Regexp(t, `^\d\d\.jpg \[32 3 224 224\] \[32 3\]$`, one[0])
	require.Regexp(t, `^\d\d\.jpg \[4 3 224 224\] \[4 [1-3]\]$`, one[1])
	require.Equal(t, one, said(lite.Config{}), "the seed decides the order")

	two := said(lite.Config{Accelerator: "cpu", Devices: "2", Strategy: "ddp_spawn"})
	require.Len(t, two, 1)
	require.Contains(t, two[0], " [18 3 224 224] [18 3]")
}

// batches reads the whole folder with some workers.
func batches(t *testing.T, dir string, workers int) (names []string, pixels []float32) {
	t.Helper()
	photos, err := OpenPhotos(dir)
	require.NoError(t, err)
	require.NoError(t, lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(3)
		loader, err := lite.SetupDataLoader(l, data.NewLoaderFunc(photos, 4, collate, data.Options{Shuffle: true, Workers: workers}))
		if err != nil {
			return err
		}
		for b, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			for i, name := range b.Names {
				row := torch.ToSlice[int64](b.Words.Select(0, i))
				there := torch.ToSlice[bool](b.Mask.Select(0, i))
				caption := photos.captions[name]
				require.Equal(t, caption, row[:len(caption)], name)
				for at := range row {
					require.Equal(t, at < len(caption), there[at], name)
				}
			}
			names = append(names, b.Names...)
			pixels = append(pixels, torch.ToSlice[float32](b.Pixels)...)
		}
		return nil
	}))
	return names, pixels
}

// Order and crops come from the seed, whoever of the workers was faster.
func TestWorkersDoNotMatter(t *testing.T) {
	dir := folder(t, 10)
	names, pixels := batches(t, dir, 1)
	require.Len(t, pixels, 10*3*224*224)
	require.False(t, slices.IsSorted(names), "shuffled")
	require.GreaterOrEqual(t, slices.Min(pixels), float32(0))
	require.LessOrEqual(t, slices.Max(pixels), float32(1))
	for range 2 {
		again, same := batches(t, dir, 4)
		require.Equal(t, names, again)
		require.True(t, slices.Equal(pixels, same), "the crops differ")
	}
}

// What is wrong with a folder comes out of Run, with the file's name.
func TestBadFolders(t *testing.T) {
	failure := func(dir string) error {
		return lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error { return run(ctx, l, dir) })
	}
	missing := filepath.Join(t.TempDir(), "none")
	require.ErrorIs(t, failure(missing), os.ErrNotExist)

	dir := folder(t, 10)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "captions.json"), []byte("{"), 0o644))
	require.ErrorContains(t, failure(dir), "captions: unexpected end of JSON input")

	for _, c := range []struct {
		name  string
		spoil func(path string)
		want  string
	}{
		{"not a picture", func(path string) { require.NoError(t, os.WriteFile(path, []byte("text"), 0o644)) }, "unknown format"},
		{"too small", func(path string) { write(t, path, image.NewGray(image.Rect(0, 0, 100, 300))) }, "100 x 300 is smaller than the crop"},
		{"gone", func(path string) { require.NoError(t, os.Remove(path)) }, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, 20)
			for i := range 20 { // nine tenths of them are read: all, so that it is one of those
				c.spoil(filepath.Join(dir, fmt.Sprintf("%02d.jpg", i)))
			}
			err := failure(dir)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, ".jpg")
			require.ErrorContains(t, err, "worker")
		})
	}
}
