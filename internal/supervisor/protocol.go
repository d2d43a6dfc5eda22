package supervisor

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// protocolVersion is in every frame. Both ends are the same program, so that a difference means a mistaken pipe.
const protocolVersion = 1

// kind is the type of a frame.
type kind uint8

const (
	kindHello    kind = iota + 1 // to the supervisor: hello
	kindState                    // to the supervisor: State
	kindPort                     // both ways: port
	kindStop                     // to the supervisor: the rank got a signal; to a rank: all are to stop
	kindAbort                    // to a rank: the job has failed; the cause, as text
	kindDump                     // to a rank: send the stacks; to the supervisor: the stacks, as text
	kindResult                   // to the supervisor: rank 0's result, raw
	kindOutcome                  // to the supervisor: Report, or empty on success
	kindPeers                    // to a rank: the process groups of the job
	kindStopping                 // to the supervisor: the ranks of all nodes have agreed to stop
	kindEnd                      // one more than the last
)

// Bodies are bounded, a result's more generously.
const (
	maxBody   = 4 << 20
	maxResult = 1 << 30
	header    = 6
)

var errFrame = errors.New("launch: not a frame of this protocol")

func (k kind) limit() int {
	if k == kindResult {
		return maxResult
	}
	return maxBody
}

// writeFrame writes one frame with a single call of Write.
func writeFrame(w io.Writer, k kind, body []byte) error {
	if len(body) > k.limit() {
		return fmt.Errorf("launch: %d bytes are more than a message carries (%d)", len(body), k.limit())
	}
	frame := make([]byte, header, header+len(body))
	frame[0], frame[1] = protocolVersion, byte(k)
	binary.BigEndian.PutUint32(frame[2:], uint32(len(body)))
	_, err := w.Write(append(frame, body...))
	return err
}

// readFrame reads one frame. A frame that is not one of this protocol's is errFrame; io.EOF means that the other end
// is closed, io.ErrUnexpectedEOF that it was closed within a frame.
func readFrame(r io.Reader) (kind, []byte, error) {
	var head [header]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	k, n := kind(head[1]), int64(binary.BigEndian.Uint32(head[2:]))
	if head[0] != protocolVersion || k == 0 || k >= kindEnd || n > int64(k.limit()) {
		return 0, nil, fmt.Errorf("%w: it starts with % x", errFrame, head)
	}
	var body bytes.Buffer // grows with what is read, not with the stated length
	if _, err := io.CopyN(&body, r, n); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return k, body.Bytes(), nil
}

type hello struct {
	PID  int `json:"pid"`
	Rank int `json:"rank"`
}

type port struct {
	Port int `json:"port"`
}

type peersBody struct {
	Groups []int `json:"groups"`
}

// State is a rank's progress.
type State struct {
	Step    int64     `json:"step"`              // the training step, 0 where the rank does not count them
	Seq     uint64    `json:"seq,omitempty"`     // the number of the last collective it entered
	Waiting string    `json:"waiting,omitempty"` // the collective it waits in, with its call site; empty: it computes
	Since   time.Time `json:"since,omitzero"`    // since when it waits
}

// String describes the state in a few words.
func (s State) String() string { return s.at(time.Now()) }

func (s State) at(now time.Time) string {
	text := fmt.Sprintf("step %d", s.Step)
	switch {
	case s.Waiting != "" && !s.Since.IsZero():
		waited := now.Sub(s.Since).Round(10 * time.Millisecond)
		text += fmt.Sprintf(", waiting in %s (collective %d) for %s", s.Waiting, s.Seq, waited)
	case s.Waiting != "":
		text += fmt.Sprintf(", waiting in %s (collective %d)", s.Waiting, s.Seq)
	case s.Seq > 0:
		text += fmt.Sprintf(", computing after collective %d", s.Seq)
	}
	return text
}

// Report describes a rank's failure.
type Report struct {
	Message string `json:"message"`         // the error's text
	Stack   string `json:"stack,omitempty"` // of the panic, if it was one
	// Secondary marks a failure that another rank caused: a lost connection, a timeout, an abort. The supervisor then
	// searches that rank.
	Secondary bool `json:"secondary,omitempty"`
	// Blames are the ranks that this one was waiting for, where they are known.
	Blames []int `json:"blames,omitempty"`
	// Late marks a timeout: some rank did not join a collective, and the supervisor searches it.
	Late bool `json:"late,omitempty"`
	// Stopped marks a rank that ended early on request.
	Stopped bool `json:"stopped,omitempty"`
}

// encodeJSON encodes one of the bodies above.
func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("launch: %T can't be encoded: %v", v, err)) // they are structs of plain fields
	}
	return b
}

// decodeJSON decodes into v; the error names the message.
func decodeJSON(k kind, body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: the body of message %d: %v", errFrame, k, err)
	}
	return nil
}
