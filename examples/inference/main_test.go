package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/serial"
)

// asProgram makes the test binary the program itself.
const asProgram = "INFERENCE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// saved writes a classifier that the seed made, and returns it.
func saved(t *testing.T, path string, seed uint64) *Classifier {
	t.Helper()
	torch.ManualSeed(seed)
	net := &Classifier{FC1: nn.NewLinear(784, 128), FC2: nn.NewLinear(128, 10)}
	require.NoError(t, serial.SaveStateDict(path, nn.StateDict(net)))
	return net
}

// request is a picture that depends on i, and what the model makes of it.
func request(model *Classifier, i int) (body string, want []float32) {
	pixels := make([]float32, 784)
	for at := range pixels {
		pixels[at] = float32((at*7+i*13)%256) / 255
	}
	text, _ := json.Marshal(map[string]any{"pixels": pixels})
	torch.Scope(func() {
		want = torch.ToSlice[float32](F.Softmax(model.Forward(torch.From(pixels, 1, 784)), -1))
	})
	return string(text), want
}

// serving starts a server with the handlers that main gives it.
func serving(t *testing.T, path string) string {
	t.Helper()
	net, err := load(path)
	require.NoError(t, err)
	s := &Server{pool: torch.NewPool(torch.PoolOptions{Threads: 2, IntraOp: 1, NoGrad: true}), jobs: make(chan job, 256)}
	s.net.Store(net)
	ctx, stop := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	for range 2 {
		loops.Go(func() { s.serve(ctx) })
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /predict", s.predict)
	mux.HandleFunc("POST /reload", s.reload(path))
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		srv.Close()
		stop()
		loops.Wait()
		s.pool.Close()
	})
	return srv.URL
}

// post returns the answer's status and its text.
func post(url, body string) (int, string, error) {
	r, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return r.StatusCode, string(text), err
}

func predicted(t *testing.T, url, body string, want []float32) {
	t.Helper()
	status, text, err := post(url+"/predict", body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, text)
	var got []float32
	require.NoError(t, json.Unmarshal([]byte(text), &got))
	require.InDeltaSlice(t, want, got, 1e-6) // a batch's sums may be of another order
}

// Requests that come at once share forward passes, and each gets its own answer.
func TestEachRequestItsOwnAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	model := saved(t, path, 1)
	url := serving(t, path)
	type pair struct {
		body string
		want []float32
	}
	var pairs []pair
	for i := range 100 {
		body, want := request(model, i)
		pairs = append(pairs, pair{body, want})
	}
	require.False(t, slices.Equal(pairs[0].want, pairs[1].want), "the answers must differ, to be told apart")
	var clients sync.WaitGroup
	for _, p := range pairs {
		clients.Go(func() {
			status, text, err := post(url+"/predict", p.body)
			var got []float32
			if err == nil {
				err = json.Unmarshal([]byte(text), &got)
			}
			if err != nil || status != http.StatusOK || len(got) != 10 {
				t.Errorf("status %d, %v: %s", status, err, text)
				return
			}
			for i := range got {
				if d := got[i] - p.want[i]; d > 1e-6 || d < -1e-6 {
					t.Errorf("got %v, want %v", got, p.want)
					return
				}
			}
		})
	}
	clients.Wait()
}

func TestBadRequests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	model := saved(t, path, 1)
	url := serving(t, path)
	for _, c := range []struct{ name, body, want string }{
		{"no JSON", "pixels", "invalid character"},
		{"too few", `{"pixels": [0, 1]}`, "want 784 pixels"},
		{"nothing", `{}`, "want 784 pixels"},
		{"too long", `{"pixels": [` + strings.Repeat("0.123456789,", 1e5) + `0]}`, "too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, text, err := post(url+"/predict", c.body)
			require.NoError(t, err)
			require.Equal(t, http.StatusBadRequest, status)
			require.Contains(t, text, c.want)
		})
	}
	body, want := request(model, 1)
	predicted(t, url, body, want)
}

// A client that goes away does not keep the others from their answers.
func TestAClientThatGoesAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	model := saved(t, path, 1)
	url := serving(t, path)
	body, want := request(model, 1)
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/predict", strings.NewReader(body))
		require.NoError(t, err)
		if answer, err := http.DefaultClient.Do(r); err == nil {
			answer.Body.Close()
		}
		cancel()
	}
	predicted(t, url, body, want)
}

// A new checkpoint takes the old one's place; one that can't be read leaves it there.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	first := saved(t, path, 1)
	url := serving(t, path)
	body, before := request(first, 5)
	predicted(t, url, body, before)

	second := saved(t, path, 2)
	_, after := request(second, 5)
	require.NotEqual(t, before, after)
	status, text, err := post(url+"/reload", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, text)
	predicted(t, url, body, after)

	small := nn.NewLinear(784, 10)
	require.NoError(t, serial.SaveStateDict(path, nn.StateDict(small)))
	status, text, err = post(url+"/reload", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	for _, key := range []string{"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"} {
		require.Contains(t, text, key)
	}
	predicted(t, url, body, after)
}

// started is the program under way at an address.
func started(t *testing.T, path string) (c *exec.Cmd, addr string, said *bytes.Buffer) {
	addr = freeAddress(t)
	self, err := os.Executable()
	require.NoError(t, err)
	c = exec.CommandContext(t.Context(), self, "-checkpoint", path, "-addr", addr)
	c.Env = append(os.Environ(), asProgram+"=1")
	said = &bytes.Buffer{}
	c.Stdout, c.Stderr = said, said
	require.NoError(t, c.Start())
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	return c, addr, said
}

// The program itself: it answers at its address, and ends in peace when told to.
func TestProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	model := saved(t, path, 1)
	body, want := request(model, 3)
	c, addr, said := started(t, path)
	predicted(t, "http://"+addr, body, want)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(), said.String())

	self, err := os.Executable()
	require.NoError(t, err)
	c = exec.CommandContext(t.Context(), self, "-checkpoint", path+".none")
	c.Env = append(os.Environ(), asProgram+"=1")
	out, err := c.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), path+".none")
}

// Requests that are in flight when the program is told to end get their answers. The server has begun with each when it
// asks for the body, which is sent after the signal.
func TestRequestsInFlightAreAnswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	model := saved(t, path, 1)
	c, addr, said := started(t, path)
	type flight struct {
		conn net.Conn
		from *bufio.Reader
		body string
		want []float32
	}
	var flights []flight
	for i := range 40 {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		body, want := request(model, i)
		_, err = fmt.Fprintf(conn, "POST /predict HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", addr, len(body))
		require.NoError(t, err)
		f := flight{conn, bufio.NewReader(conn), body, want}
		r, err := http.ReadResponse(f.from, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusContinue, r.StatusCode)
		flights = append(flights, f)
	}
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { // it has seen the signal when it listens no more
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, 10*time.Second, 10*time.Millisecond)
	for i, f := range flights {
		_, err := io.WriteString(f.conn, f.body)
		require.NoError(t, err, "request %d", i)
	}
	for i, f := range flights {
		r, err := http.ReadResponse(f.from, nil)
		require.NoError(t, err, "request %d of %d was dropped", i, len(flights))
		require.Equal(t, http.StatusOK, r.StatusCode)
		var got []float32
		require.NoError(t, json.NewDecoder(r.Body).Decode(&got))
		require.InDeltaSlice(t, f.want, got, 1e-6)
	}
	require.NoError(t, c.Wait(), said.String())
}

// freeAddress is an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer at.Close()
	return fmt.Sprint(at.Addr())
}
