package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	_ "image/jpeg"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// Photo is one sample: an image and a caption of any length.
type Photo struct {
	Name   string
	Pixels *torch.Tensor // [3, H, W], float32 in 0..1
	Words  []int64
}

// Photos is a folder of JPEG files with captions.json beside them.
type Photos struct {
	dir      string
	names    []string
	captions map[string][]int64
}

func OpenPhotos(dir string) (*Photos, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "captions.json"))
	if err != nil {
		return nil, err
	}
	p := &Photos{dir: dir}
	if err := json.Unmarshal(raw, &p.captions); err != nil {
		return nil, fmt.Errorf("captions: %w", err)
	}
	for name := range p.captions {
		p.names = append(p.names, name)
	}
	slices.Sort(p.names) // a map's order differs from rank to rank
	return p, nil
}

func (p *Photos) Len() int { return len(p.names) }

// Get may be called from several workers at once. What is random comes from the worker in ctx,
// so that it depends on seed, epoch and index, and never on which goroutine was faster.
func (p *Photos) Get(ctx context.Context, i int) (Photo, error) {
	name := p.names[i]
	f, err := os.Open(filepath.Join(p.dir, name))
	if err != nil {
		return Photo{}, err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		return Photo{}, fmt.Errorf("%s: %w", name, err)
	}

	const side = 224
	rng := data.WorkerFrom(ctx).Rand
	b := img.Bounds()
	if b.Dx() < side || b.Dy() < side {
		return Photo{}, fmt.Errorf("%s: %d x %d is smaller than the crop", name, b.Dx(), b.Dy())
	}
	x0, y0 := b.Min.X+rng.IntN(b.Dx()-side+1), b.Min.Y+rng.IntN(b.Dy()-side+1)
	px := make([]float32, 3*side*side)
	for y := range side {
		for x := range side {
			r, g, bl, _ := img.At(x0+x, y0+y).RGBA()
			at := y*side + x
			px[at], px[side*side+at], px[2*side*side+at] = float32(r)/65535, float32(g)/65535, float32(bl)/65535
		}
	}
	return Photo{Name: name, Pixels: torch.From(px, 3, side, side), Words: p.captions[name]}, nil
}

// Batch is what the loop sees. Its tensors are moved to the device, its strings are left alone.
type Batch struct {
	Names  []string
	Pixels *torch.Tensor // [N, 3, H, W]
	Words  *torch.Tensor // [N, T], padded with 0
	Mask   *torch.Tensor // [N, T], true where there is a word
}

func collate(photos []Photo) (Batch, error) {
	longest := 0
	for _, p := range photos {
		longest = max(longest, len(p.Words))
	}
	var b Batch
	words := make([]int64, 0, len(photos)*longest)
	pixels := make([]*torch.Tensor, len(photos))
	for i, p := range photos {
		b.Names = append(b.Names, p.Name)
		pixels[i] = p.Pixels
		words = append(words, p.Words...)
		words = append(words, make([]int64, longest-len(p.Words))...)
	}
	b.Pixels = torch.Stack(pixels, 0)
	b.Words = torch.From(words, len(photos), longest)
	b.Mask = b.Words.NeScalar(0)
	return b, nil
}

func main() {
	var cfg lite.Config
	cfg.RegisterFlags(flag.CommandLine)
	dir := flag.String("dir", "photos", "a folder of JPEG files with captions.json")
	flag.Parse()
	if err := lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error { return run(ctx, l, *dir) }); err != nil {
		log.Print(err)
		os.Exit(lite.ExitCode(err))
	}
}

func run(ctx context.Context, l *lite.Lite, dir string) error {
	l.SeedEverything(7)
	photos, err := OpenPhotos(dir)
	if err != nil {
		return err
	}
	parts := data.RandomSplit(photos, 42, photos.Len()*9/10, photos.Len()-photos.Len()*9/10)
	loader, err := lite.SetupDataLoader(l, data.NewLoaderFunc(parts[0], 32, collate,
		data.Options{Shuffle: true, Workers: 4, Prefetch: 2, Timeout: time.Minute}))
	if err != nil {
		return err
	}
	for batch, err := range loader.Batches(ctx) {
		if err != nil {
			return err // names the file, the index and the worker
		}
		l.Print(batch.Names[0], batch.Pixels.Shape(), batch.Words.Shape())
		if batch.Words.Size(1) > 100 {
			break // the workers stop here; Batches starts the next epoch
		}
	}
	return nil
}
