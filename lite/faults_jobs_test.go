package lite_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

func init() {
	jobs["fault"] = faultRank
	jobs["stop"] = stopRank
	jobs["outside"] = outsideRank
	jobs["twice"] = func(context.Context, *lite.Lite) (result, error) { return result{}, nil }
}

// tiny is a model whose step takes no time: two layers, of which tests
// make the inner one wider on one rank.
type tiny struct {
	nn.Base
	In, Out *nn.Linear
}

func newTiny(width int) *tiny {
	return &tiny{In: nn.NewLinear(4, width), Out: nn.NewLinear(width, 1)}
}

func (n *tiny) Forward(x *torch.Tensor) *torch.Tensor {
	return n.Out.Forward(F.ReLU(n.In.Forward(x)))
}

// faultAt is the step at which something goes wrong.
const faultAt = 5

// fault is what goes wrong, and on which rank.
func fault(l *lite.Lite) (kind string, mine bool) {
	kind, at, _ := strings.Cut(os.Getenv(envArg), ":")
	return kind, at == strconv.Itoa(l.GlobalRank())
}

// faultRank trains, and fails on the way.
func faultRank(ctx context.Context, l *lite.Lite) (got result, err error) {
	kind, mine := fault(l)
	l.SeedEverything(1)
	width := 8
	if kind == "diverge" && mine {
		width = 9
	}
	net := newTiny(width)
	opt := optim.NewSGD(nn.Parameters(net), 0.01)
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		write(fmt.Sprintf("refused%d", l.GlobalRank()), []byte(err.Error()))
		return got, err
	}
	on := torch.Options{Generator: l.RankGenerator()}
	for step := 1; step <= 20 || kind == "forever"; step++ {
		note(fmt.Sprintf("step%d", l.GlobalRank()), step)
		if mine && step == faultAt {
			if kind == "uneven" {
				return got, nil
			}
			if err := commit(ctx, kind); err != nil {
				return got, err
			}
		}
		torch.Scope(func() {
			opt.ZeroGrad()
			loss := model.Forward(on.Randn(8, 4)).Pow(2).Mean()
			l.Backward(loss)
			opt.Step()
			if kind != "skip" || !mine || step != faultAt {
				l.AllReduce(loss.Detach(), dist.Mean)
			}
		})
		time.Sleep(time.Millisecond)
	}
	return got, nil
}

// commit is what goes wrong with a rank.
func commit(ctx context.Context, kind string) error {
	self := os.Getpid()
	switch kind {
	case "kill":
		return syscall.Kill(self, syscall.SIGKILL)
	case "error":
		return errors.New("the disk is full")
	case "panic":
		var none []int
		none[len(os.Args)] = 1
	case "panic-elsewhere":
		go panic("elsewhere")
		time.Sleep(time.Minute)
	case "op":
		torch.Ones(2, 3).MatMul(torch.Ones(2, 3))
	case "goexit":
		runtime.Goexit()
	case "exit":
		fmt.Fprintln(os.Stderr, "giving up")
		os.Exit(3)
	case "exit0":
		os.Exit(0)
	case "segv":
		writeFarAway()
	case "fpe":
		aten.Call("aten::div.Tensor_mode", torch.From([]int64{math.MinInt64}, 1), torch.From([]int64{-1}, 1), aten.Kw{"rounding_mode": "trunc"})
	case "stop":
		return syscall.Kill(self, syscall.SIGSTOP)
	case "absent":
		<-ctx.Done()
		return ctx.Err()
	case "cgo":
		return stuckInC()
	case "loop":
		for i := 0; ; i++ {
			_ = i
		}
	}
	return nil
}

// writeFarAway has libtorch write outside of a tensor, where nobody owns the memory: the operator that makes a sparse tensor
// without looking at its indices is there to be quick.
func writeFarAway() {
	where, what := torch.From([]int64{1 << 40}, 1, 1), torch.Ones(1)
	aten.Call("aten::_to_dense", aten.CallPrivate("aten::_sparse_coo_tensor_unsafe", where, what, []int{4})[0])
}

// stuckInC waits in C++ for the other end of a fifo, which no process opens: no context ends that.
func stuckInC() error {
	path := filepath.Join(os.Getenv(envDir), fmt.Sprint("fifo", os.Getpid()))
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return err
	}
	aten.Call("aten::from_file", path, false, 1)
	return errors.New("the fifo was opened")
}

// stopRank trains until it is asked to stop, and saves once.
func stopRank(ctx context.Context, l *lite.Lite) (got result, err error) {
	l.SeedEverything(1)
	net := newTiny(8)
	opt := optim.NewSGD(nn.Parameters(net), 0.01)
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return got, err
	}
	for step := 1; ; step++ {
		torch.Scope(func() {
			opt.ZeroGrad()
			l.Backward(model.Forward(torch.Ones(8, 4)).Mean())
			opt.Step()
		})
		if step == 3 {
			note(fmt.Sprintf("training%d", l.GlobalRank()), step)
		}
		if l.Stopping() {
			note(fmt.Sprintf("stopped%d", l.GlobalRank()), step)
			if err := l.Save(filepath.Join(os.Getenv(envDir), "last.pt"), lite.State{"model": model, "step": step}); err != nil {
				return got, err
			}
			return got, lite.ErrStopped
		}
		time.Sleep(time.Millisecond)
	}
}

// shared is a model that was made outside of Run.
var shared *tiny

func outsideRank(ctx context.Context, l *lite.Lite) (got result, err error) {
	_, err = lite.Setup(l, shared, shared.Forward)
	return got, err
}
