// Command gomlx is GoMLX's side of the benchmarks, on its pure Go backend: the MLP's training step as one compiled graph, without the
// Trainer around it, which costs a little more. It speaks with the driver as the other sides do.
//
//	GOEXPERIMENT=simd go build -tags noxla
package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/gomlx/backends/default"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/loss"
	"github.com/gomlx/gomlx/ml/train/optimizer"
)

func main() {
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work() error {
	if n, err := strconv.Atoi(os.Getenv("OMP_NUM_THREADS")); err == nil {
		runtime.GOMAXPROCS(n) // as many threads as the other sides have
	}
	step, err := mlp()
	if err != nil {
		return err
	}
	n := 1
	for {
		_, cpu, err := measure(step, n)
		if err != nil {
			return err
		}
		if cpu >= 1e5 {
			n = max(3, int(float64(n)*1e5/cpu))
			break
		}
		n *= 2
	}
	fmt.Println(`{"ready":true}`)
	for in := bufio.NewScanner(os.Stdin); in.Scan() && in.Text() != "quit"; {
		wall, cpu, err := measure(step, n)
		if err != nil {
			return err
		}
		fmt.Printf("{\"value\":%g,\"cpu\":%g}\n", wall/float64(n), cpu/float64(n))
	}
	return nil
}

// mlp is a step of SGD on 784-128-10 with a batch of 64.
func mlp() (func() error, error) {
	backend, err := compute.NewWithConfig("go")
	if err != nil {
		return nil, err
	}
	opt := optimizer.StochasticGradientDescent().WithDecay(false).WithLearningRate(0.1).Done()
	exec, err := model.NewExec(backend, model.NewStore(), func(scope *model.Scope, x, y *graph.Node) *graph.Node {
		h := graph.Max(layers.DenseWithBias(scope.In("one"), x, 128), graph.ScalarZero(x.Graph(), x.DType()))
		out := layers.DenseWithBias(scope.In("two"), h, 10)
		mean := graph.ReduceAllMean(loss.SparseCategoricalCrossEntropyLogits([]*graph.Node{y}, []*graph.Node{out}))
		opt.UpdateGraph(scope, x.Graph(), mean)
		return mean
	})
	if err != nil {
		return nil, err
	}
	images, labels := make([]float32, 64*784), make([]int32, 64)
	for i := range images {
		images[i] = float32(rand.NormFloat64())
	}
	for i := range labels {
		labels[i] = rand.Int32N(10)
	}
	x, y := tensors.FromFlatDataAndDimensions(images, 64, 784), tensors.FromFlatDataAndDimensions(labels, 64, 1)
	return func() error {
		out, err := exec.Exec(x, y)
		if err != nil {
			return err
		}
		for _, t := range out {
			if err := t.FinalizeAll(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// measure returns the microseconds that n steps took, on the wall and of the process's processor time.
func measure(step func() error, n int) (wall, cpu float64, err error) {
	start, used := time.Now(), processorTime()
	for range n {
		if err := step(); err != nil {
			return 0, 0, err
		}
	}
	return float64(time.Since(start).Nanoseconds()) / 1e3, (processorTime() - used) / 1e3, nil
}

func processorTime() float64 {
	var t syscall.Timespec
	const processCPU = 2 // CLOCK_PROCESS_CPUTIME_ID
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, processCPU, uintptr(unsafe.Pointer(&t)), 0)
	return float64(t.Nano())
}
