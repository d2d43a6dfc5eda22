package supervisor

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
)

// tailSize is how much of a rank's standard error is kept for its error.
const tailSize = 64 << 10

// pump copies a rank's output: to where it belongs, with an optional prefix before each line, and the end of it is
// kept.
type pump struct {
	from   *os.File
	to     io.Writer
	lock   *sync.Mutex // lines of different ranks are not mixed
	prefix string
	done   chan struct{}

	mu   sync.Mutex
	tail []byte
}

func (p *pump) run() {
	defer close(p.done)
	buf := make([]byte, 32<<10)
	var line []byte
	for {
		n, err := p.from.Read(buf)
		if n > 0 {
			p.keep(buf[:n])
			line = p.write(append(line, buf[:n]...))
		}
		if err != nil {
			break
		}
	}
	if len(line) > 0 {
		p.flush(append(line, '\n'))
	}
}

// write writes whole lines (all, where there is no prefix) and returns what remains.
func (p *pump) write(data []byte) []byte {
	if p.prefix == "" {
		p.flush(data)
		return data[:0]
	}
	end := bytes.LastIndexByte(data, '\n') + 1
	if end == 0 && len(data) < tailSize {
		return data
	}
	if end == 0 {
		end = len(data)
	}
	p.flush(data[:end])
	return append([]byte(nil), data[end:]...)
}

func (p *pump) flush(data []byte) {
	if p.prefix != "" {
		var out []byte
		for line := range bytes.Lines(data) {
			out = append(append(out, p.prefix...), line...)
		}
		data = out
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.to.Write(data) // an output that is gone is no reason to end the job
}

func (p *pump) keep(data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tail = append(p.tail, data...)
	if len(p.tail) > 2*tailSize {
		p.tail = append([]byte(nil), p.tail[len(p.tail)-tailSize:]...)
	}
}

func (p *pump) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.tail[max(0, len(p.tail)-tailSize):])
}

// crashSigns begin what the Go runtime, C++ and the C library's allocator write when they end a process.
var crashSigns = []string{"panic: ", "fatal error: ", "SIGSEGV: ", "SIGABRT: ", "SIGBUS: ", "SIGFPE: ", "SIGILL: ",
	"unexpected fault address", "terminate called ", "libc++abi: ",
	"double free or corruption", "free(): ", "malloc(): ", "munmap_chunk(): ", "malloc_consolidate(): ", "corrupted "}

// crashText returns what a crash wrote on the standard error, from its first line on, else the last lines.
func crashText(stderr string) (text string, crashed bool) {
	const most = 16 << 10
	for start := 0; start < len(stderr); {
		rest := stderr[start:]
		for _, sign := range crashSigns {
			if strings.HasPrefix(rest, sign) {
				return strings.TrimSpace(rest[:min(len(rest), most)]), true
			}
		}
		next := strings.IndexByte(rest, '\n')
		if next < 0 {
			break
		}
		start += next + 1
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n"), false
}

// headline is a crash in one line: the first, and with an exception of C++ what it says.
func headline(crash string) string {
	first, rest, _ := strings.Cut(crash, "\n")
	second, _, _ := strings.Cut(rest, "\n")
	if what, ok := strings.CutPrefix(strings.TrimSpace(second), "what():"); ok {
		first += ": " + strings.TrimSpace(what)
	}
	return first
}
