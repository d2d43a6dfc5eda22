package supervisor

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, writeFrame(&b, kindStop, nil))
	require.NoError(t, writeFrame(&b, kindResult, bytes.Repeat([]byte("x"), 5<<20)))
	k, body, err := readFrame(&b)
	require.NoError(t, err)
	require.Equal(t, kindStop, k)
	require.Empty(t, body)
	k, body, err = readFrame(&b)
	require.NoError(t, err)
	require.Equal(t, kindResult, k)
	require.Len(t, body, 5<<20)
	_, _, err = readFrame(&b)
	require.Equal(t, io.EOF, err)
	require.ErrorContains(t, writeFrame(&b, kindState, make([]byte, maxBody+1)), "more than a message carries")
}

func TestWrongFrames(t *testing.T) {
	for name, raw := range map[string]string{
		"another version": "\x02\x01\x00\x00\x00\x00",
		"no such kind":    "\x01\x00\x00\x00\x00\x00",
		"a later kind":    "\x01\x63\x00\x00\x00\x00",
		"too long":        "\x01\x02\xff\xff\xff\xff",
	} {
		_, _, err := readFrame(bytes.NewReader([]byte(raw)))
		require.ErrorIs(t, err, errFrame, name)
	}
	for _, cut := range []string{"\x01", "\x01\x02\x00\x00\x00\x05ab", "\x01\x07\x3f\xff\xff\xffab"} {
		_, _, err := readFrame(bytes.NewReader([]byte(cut)))
		require.Equal(t, io.ErrUnexpectedEOF, err)
	}
}

func TestStateInWords(t *testing.T) {
	at := time.Unix(100, 0)
	require.Equal(t, "step 0", State{}.String())
	require.Equal(t, "step 3, computing after collective 7", State{Step: 3, Seq: 7}.String())
	require.Equal(t, "step 3, waiting in all_reduce at a.go:1 (collective 7) for 1.5s",
		State{3, 7, "all_reduce at a.go:1", at}.at(at.Add(1500*time.Millisecond)))
}

func FuzzReadFrame(f *testing.F) {
	var b bytes.Buffer
	writeFrame(&b, kindState, encodeJSON(State{Step: 1}))
	f.Add(b.Bytes())
	f.Add([]byte("\x01\x07\x3f\xff\xff\xff"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		j := newJob(Spec{LocalRanks: 1, Settle: 1, Logger: zap.NewNop()}, time.Now())
		for {
			k, body, err := readFrame(r)
			if err != nil {
				return
			}
			var again bytes.Buffer
			require.NoError(t, writeFrame(&again, k, body))
			require.Equal(t, raw[:again.Len()], again.Bytes())
			raw = raw[again.Len():]
			j.onMessage(0, k, body, time.Now()) // whatever it says, the supervisor goes on
		}
	})
}
