package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/serial"
)

// Classifier has the fields of the Python class, so its checkpoint's keys are ours: fc1.weight, ...
type Classifier struct {
	nn.Base
	FC1, FC2 *nn.Linear
}

func (c *Classifier) Forward(x *torch.Tensor) *torch.Tensor {
	return c.FC2.Forward(F.ReLU(c.FC1.Forward(x)))
}

func load(path string) (*Classifier, error) {
	weights, err := serial.LoadStateDict(path) // what torch.save(model.state_dict(), path) wrote; no code in it is run
	if err != nil {
		return nil, err
	}
	net := &Classifier{FC1: nn.NewLinear(784, 128), FC2: nn.NewLinear(128, 10)}
	if err := nn.LoadStateDict(net, weights); err != nil {
		return nil, err // all missing, unexpected and misshapen keys at once
	}
	nn.Eval(net)
	return net, nil
}

type job struct {
	ctx    context.Context
	pixels []float32
	reply  chan reply // room for one: the answer never blocks the server
}

type reply struct {
	probs []float32
	err   error
}

type Server struct {
	net  atomic.Pointer[Classifier] // swapped whole when a new checkpoint is loaded
	pool *torch.Pool
	jobs chan job
}

var errShape = errors.New("want 784 pixels")

func (s *Server) predict(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Pixels []float32 `json:"pixels"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if len(in.Pixels) != 784 {
		http.Error(w, errShape.Error(), http.StatusBadRequest)
		return
	}
	j := job{r.Context(), in.Pixels, make(chan reply, 1)}
	select {
	case s.jobs <- j:
	case <-r.Context().Done():
		return
	}
	select {
	case out := <-j.reply:
		if out.err != nil {
			http.Error(w, out.err.Error(), http.StatusInternalServerError)
			return
		}
		json.NewEncoder(w).Encode(out.probs)
	case <-r.Context().Done():
	}
}

// serve gathers up to 32 requests, or those of 2 ms, and answers them with one forward pass.
func (s *Server) serve(ctx context.Context) {
	const most, wait = 32, 2 * time.Millisecond
	for {
		var batch []job
		select {
		case j := <-s.jobs:
			batch = append(batch, j)
		case <-ctx.Done():
			return
		}
		full := time.After(wait)
	gather:
		for len(batch) < most {
			select {
			case j := <-s.jobs:
				if j.ctx.Err() == nil { // the client has not gone away
					batch = append(batch, j)
				}
			case <-full:
				break gather
			}
		}
		s.answer(ctx, batch)
	}
}

func (s *Server) answer(ctx context.Context, batch []job) {
	pixels := make([]float32, 0, len(batch)*784)
	for _, j := range batch {
		pixels = append(pixels, j.pixels...)
	}
	var probs []float32
	// Do runs the function on one of the pool's own threads, in a scope, without gradients.
	// Its error is the op's, had one panicked, or ctx's, had no thread come free in time.
	err := s.pool.Do(ctx, func() {
		x := torch.From(pixels, len(batch), 784)
		probs = torch.ToSlice[float32](F.Softmax(s.net.Load().Forward(x), -1)) // a copy: it outlives the scope
	})
	for i, j := range batch {
		if err != nil {
			j.reply <- reply{err: err}
			continue
		}
		j.reply <- reply{probs: probs[i*10 : (i+1)*10]}
	}
}

func (s *Server) reload(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		net, err := load(path) // parameters belong to no scope: the old ones go when the last request lets go
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		s.net.Store(net)
	}
}

func main() {
	path := flag.String("checkpoint", "mnist.pt", "a file written by torch.save or by lite")
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	net, err := load(*path)
	if err != nil {
		log.Fatal(err)
	}
	threads := max(1, runtime.NumCPU()/2)
	s := &Server{
		pool: torch.NewPool(torch.PoolOptions{Threads: threads, IntraOp: 1, NoGrad: true}),
		jobs: make(chan job, 256),
	}
	s.net.Store(net)
	working, endWork := context.WithCancel(context.Background()) // not ctx: requests in flight are answered after the signal
	var workers sync.WaitGroup
	for range threads {
		workers.Go(func() { s.serve(working) })
	}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /predict", s.predict)
	mux.HandleFunc("POST /reload", s.reload(*path))
	srv := &http.Server{Addr: *addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	select {
	case err := <-failed:
		log.Fatal(err)
	case <-ctx.Done():
		stop() // another signal ends the process
	}
	// In this order: the requests in flight get their answers from the workers, and these have a pool until they end.
	late, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(late); err != nil {
		log.Print("requests were under way for too long: ", err)
	}
	endWork()
	workers.Wait()
	s.pool.Close()
}
