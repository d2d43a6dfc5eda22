// Package mnist is the MNIST data set of handwritten digits, 60,000 images to train with and 10,000 to test, embedded in the
// binary: it needs neither a network nor a folder.
//
//	loader := data.NewLoader(mnist.Train(), 64, data.Options{Shuffle: true})
//
// A sample is what torchvision.datasets.MNIST with ToTensor gives: Input is the image, float32 of shape [1, 28, 28] from 0
// (paper) to 1 (ink), Target the digit, int64 of no dimension. In a batch of n they are [n, 1, 28, 28] and [n].
//
// The images are Y. LeCun, C. Cortes and C. Burges's; the idx files in this folder are theirs, compressed. Load reads other
// data sets of the same format, such as Fashion-MNIST. Package idx is the reader alone.
package mnist

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"github.com/golite/golite/datasets/mnist/idx"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

var (
	//go:embed train-images-idx3-ubyte.gz
	trainImages string
	//go:embed train-labels-idx1-ubyte.gz
	trainLabels string
	//go:embed t10k-images-idx3-ubyte.gz
	testImages string
	//go:embed t10k-labels-idx1-ubyte.gz
	testLabels string
)

// The mean and the standard deviation of the training set's pixels, as PyTorch's MNIST example states them.
const (
	Mean = 0.1307
	Std  = 0.3081
)

// Options say how the images become numbers. The zero value leaves them from 0 to 1.
type Options struct {
	// Normalize subtracts Mean and divides by Std (torchvision's transforms.Normalize((0.1307,), (0.3081,))).
	Normalize bool
}

// The data sets are decoded when they are first asked for (a sixth of a second, 47 MB for the training set), and then shared by all
// who ask.
var (
	trainDigits = sync.OnceValue(func() *digits { return embedded(trainImages, trainLabels) })
	testDigits  = sync.OnceValue(func() *digits { return embedded(testImages, testLabels) })

	train           = sync.OnceValue(func() *data.TensorDataset[data.Example] { return trainDigits().dataset(false) })
	trainNormalized = sync.OnceValue(func() *data.TensorDataset[data.Example] { return trainDigits().dataset(true) })
	test            = sync.OnceValue(func() *data.TensorDataset[data.Example] { return testDigits().dataset(false) })
	testNormalized  = sync.OnceValue(func() *data.TensorDataset[data.Example] { return testDigits().dataset(true) })
)

// Train returns the 60,000 images to train with.
func Train(opts ...Options) *data.TensorDataset[data.Example] {
	if normalize("mnist.Train", opts) {
		return trainNormalized()
	}
	return train()
}

// Test returns the 10,000 images to test with.
func Test(opts ...Options) *data.TensorDataset[data.Example] {
	if normalize("mnist.Test", opts) {
		return testNormalized()
	}
	return test()
}

func normalize(name string, opts []Options) bool {
	return options.Must(name, opts, torch.Fail).Normalize
}

// Load reads a data set of images and labels from idx files, plain or gzip: another one of MNIST's format.
func Load(imagesPath, labelsPath string, opts ...Options) (*data.TensorDataset[data.Example], error) {
	images, err := idx.ReadFile(imagesPath)
	if err != nil {
		return nil, fmt.Errorf("mnist: the images: %w", err)
	}
	labels, err := idx.ReadFile(labelsPath)
	if err != nil {
		return nil, fmt.Errorf("mnist: the labels: %w", err)
	}
	if err := check(images, labels); err != nil {
		return nil, fmt.Errorf("mnist: %s, %s: %w", imagesPath, labelsPath, err)
	}
	return (&digits{images, labels}).dataset(normalize("mnist.Load", opts)), nil
}

func embedded(imageFile, labelFile string) *digits {
	images, err := idx.Read(strings.NewReader(imageFile))
	if err != nil {
		torch.Fail("mnist", "the embedded images: %v", err)
	}
	labels, err := idx.Read(strings.NewReader(labelFile))
	if err != nil {
		torch.Fail("mnist", "the embedded labels: %v", err)
	}
	return &digits{images, labels}
}

// check refuses arrays that are not images and their labels.
func check(images, labels *idx.Array) error {
	if len(images.Dims) != 3 || len(labels.Dims) != 1 || images.Dims[0] != labels.Dims[0] {
		return fmt.Errorf("images of dimensions %v and labels of dimensions %v: expected [n h w] and [n]", images.Dims, labels.Dims)
	}
	return nil
}
