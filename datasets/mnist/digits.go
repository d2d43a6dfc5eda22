package mnist

import (
	"slices"
	"sync"

	"github.com/golite/golite/datasets/mnist/idx"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// digits are images and their labels as they lie in the files. They stay bytes, a quarter of what they are as tensors, until they
// are read: a byte becomes its number by a look into a table.
type digits struct{ images, labels *idx.Array }

// dataset gives them as tensors.
func (d *digits) dataset(normalized bool) *data.TensorDataset[data.Example] {
	r := &reader{images: d.images.Data, labels: d.labels.Data, height: d.images.Dims[1], width: d.images.Dims[2], numbers: numbers(normalized)}
	return data.NewTensorDatasetFunc(d.images.Dims[0], r.sample, r.batch)
}

// numbers is what each byte becomes. The arithmetic is ToTensor's and Normalize's, in their order, so that the bits are theirs.
func numbers(normalized bool) (table [256]float32) {
	var all [256]uint8
	for i := range all {
		all[i] = uint8(i)
	}
	torch.Scope(func() {
		x := torch.From(all[:]).To(torch.Float32).DivScalar_(255)
		if normalized {
			x.SubScalar_(Mean).DivScalar_(Std)
		}
		copy(table[:], torch.ToSlice[float32](x))
	})
	return table
}

// reader makes tensors of the bytes, for several workers at a time.
type reader struct {
	images, labels []byte
	height, width  int
	numbers        [256]float32
	rooms          sync.Pool // of *room: batches are big, and would keep the collector busy
}

// room is where a batch's numbers are put together.
type room struct {
	pixels []float32
	labels []int64
	seen   byte // what touch read, so that it is read
}

func (r *reader) sample(i int) data.Example {
	return r.read([]int{i}, []int{1, r.height, r.width}, []int{})
}

func (r *reader) batch(indices []int) data.Example {
	n := len(indices)
	return r.read(indices, []int{n, 1, r.height, r.width}, []int{n})
}

// read makes the tensors of some digits, in the shapes of a batch or of a sample.
func (r *reader) read(indices, image, label []int) data.Example {
	to, _ := r.rooms.Get().(*room)
	if to == nil {
		to = new(room)
	}
	defer r.rooms.Put(to)
	size := r.height * r.width
	to.pixels = slices.Grow(to.pixels[:0], len(indices)*size)[:len(indices)*size]
	to.labels = to.labels[:0]
	bytes := func(i int) []byte { return r.images[i*size:][:size] }
	for k, i := range indices {
		if k == 0 {
			to.touch(bytes(i))
		}
		if k+1 < len(indices) {
			to.touch(bytes(indices[k+1]))
		}
		r.pixels(to.pixels[k*size:][:size], bytes(i))
		to.labels = append(to.labels, int64(r.labels[i]))
	}
	return data.Example{Input: torch.From(to.pixels, image...), Target: torch.From(to.labels, label...)}
}

// touch has an image on its way from memory: all of its lines at once, where reading byte by byte waits for each. Images are read in a random order, and
// far more of them than a cache holds.
func (to *room) touch(image []byte) {
	for i := 0; i < len(image); i += 64 {
		to.seen ^= image[i]
	}
}

// pixels turns an image's bytes into numbers.
func (r *reader) pixels(to []float32, from []byte) {
	to = to[:len(from)]
	for k, b := range from {
		to[k] = r.numbers[b]
	}
}
