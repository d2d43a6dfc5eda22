package ptfile_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/ptfile"
)

// bomb nests a tuple of ten fetches of the one before it, depth times: 10^depth elements in a few bytes each.
func bomb(depth int) []byte {
	b := []byte("\x80\x02]q\x00")
	for i := range depth {
		b = append(b, '(')
		for range 10 {
			b = append(b, 'h', byte(i))
		}
		b = append(b, 't', 'q', byte(i+1))
	}
	return append(b, '.')
}

// copies makes many calls that each copy one long list.
func copies() []byte {
	b := []byte("\x80\x02(]q\x00(")
	b = append(b, bytes.Repeat([]byte("K\x01"), 50000)...)
	b = append(b, "ec__builtin__\nset\nq\x01"...)
	for range 50000 {
		b = append(b, "h\x01h\x00\x85R"...)
	}
	return append(b, "t."...)
}

// deepTuple nests n tuples of one.
func deepTuple(n int) string { return ")" + strings.Repeat("\x85", n) }

// around puts raw instructions before and after a pickled value.
func around(before string, value []byte, after string) string {
	return "\x80\x02" + before + string(value[2:len(value)-1]) + after + "."
}

// text pickles a string.
func text(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// arrays hands one long text to the states of many arrays, each of which would copy it.
func arrays() []byte {
	state := "(K\x01\x8a\x03\x50\xc3\x00\x85" + "cnumpy\ndtype\n(X\x02\x00\x00\x00S1\x89\x88tR\x89" +
		text(strings.Repeat("x", 50000)) + "tq\x00"
	b := "\x80\x02(" + state + "cnumpy._core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02" +
		"h\x01h\x02K\x00\x85C\x01b\x87q\x03"
	return []byte(b + strings.Repeat("h\x01h\x02K\x00\x85C\x01b\x87Rh\x00b", 20000) + "t.")
}

// namespaces does the same with a dict.
func namespaces() []byte {
	b := []byte("\x80\x02(}q\x00(")
	for i := range 20000 {
		b = append(append(b, 'J'), binary.LittleEndian.AppendUint32(nil, uint32(i))...)
		b = append(b, 'N')
	}
	b = append(b, "ucargparse\nNamespace\nq\x01"...)
	return append(append(b, strings.Repeat("h\x01)\x81h\x00b", 20000)...), "t."...)
}

// longKeys sets one long key in a dict again and again.
func longKeys() []byte {
	return []byte("\x80\x02(" + text(strings.Repeat("k", 100000)) + "q\x00}" + strings.Repeat("h\x00Ns", 50000) + "t.")
}

func length8(op byte) string {
	return string(binary.LittleEndian.AppendUint64([]byte{op}, 1<<60))
}

func storage(class, key string, n int) string {
	b := "(X\x07\x00\x00\x00storagec" + class + "\nX" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(key)))) +
		key
	return b + "X\x03\x00\x00\x00cpuJ" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) + "tQ"
}

// tensor is a call of _rebuild_tensor_v2 with a storage of four floats and raw pickled arguments.
func tensor(args string) string {
	return "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage("torch\nFloatStorage", "0", 4) + args +
		"\x89ccollections\nOrderedDict\n)RtR."
}

// TestHostilePickles: each is refused with a typed error, in milliseconds and in little memory.
func TestHostilePickles(t *testing.T) {
	for name, test := range map[string]struct{ pickle, global string }{
		"os.system":                {"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00echo\x85R.", "posix.system"},
		"os.system, protocol 4":    {"\x80\x04\x8c\x02os\x8c\x06system\x93X\x04\x00\x00\x00echo\x85R.", "os.system"},
		"eval":                     {"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", "__builtin__.eval"},
		"getattr":                  {"\x80\x02cbuiltins\ngetattr\n.", "builtins.getattr"},
		"attribute of a module":    {"\x80\x04\x8c\x05torch\x8c\x0fhub.load_state_\x93.", "torch.hub.load_state_"},
		"subprocess":               {"\x80\x02csubprocess\nPopen\n)\x81.", "subprocess.Popen"},
		"torch.load":               {"\x80\x02ctorch.storage\n_load_from_bytes\n.", "torch.storage._load_from_bytes"},
		"instance":                 {"(S'echo'\nios\nsystem\n.", ""},
		"class as a value":         {"\x80\x02c__builtin__\nset\n.", ""},
		"call of a number":         {"\x80\x02K\x01)R.", ""},
		"call of a name only":      {"\x80\x02c__builtin__\nobject\n)R.", "builtins.object"},
		"bomb":                     {string(bomb(40)), ""},
		"copies":                   {string(copies()), ""},
		"bomb as a persistent id":  {around("", bomb(40), "Q"), ""},
		"bomb as a storage's view": {around("(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01", bomb(40), "tQ"), ""},
		"bomb as an offset": {around("ctorch._utils\n_rebuild_tensor_v2\n("+storage("torch\nFloatStorage", "0", 4),
			bomb(40), "))\x89NtR"), ""},
		"bomb as a layout":         {around("ctorch._utils\n_rebuild_sparse_tensor\n", bomb(40), ")\x86R"), ""},
		"bomb as a type code":      {around("cnumpy\ndtype\n", bomb(40), "\x85R"), ""},
		"bomb as a numpy dtype":    {around("cnumpy._core.multiarray\nscalar\n", bomb(40), "N\x86R"), ""},
		"bomb as a byte order":     {around("cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R(K\x03", bomb(40), "NNNtb"), ""},
		"bomb as a device's index": {around("ctorch\ndevice\nX\x04\x00\x00\x00cuda", bomb(40), "\x86R"), ""},
		"deep persistent id":       {"\x80\x02" + deepTuple(2000000) + "Q.", ""},
		"deep offset": {"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage("torch\nFloatStorage", "0", 4) +
			deepTuple(2000000) + "))\x89NtR.", ""},
		"deep type code":          {"\x80\x02cnumpy\ndtype\n" + deepTuple(2000000) + "\x85R.", ""},
		"one text in many arrays": {string(arrays()), ""},
		"one dict, many spaces":   {string(namespaces()), ""},
		"one long key, many sets": {string(longKeys()), ""},
		"2^60 bytes":              {"\x80\x04" + length8(0x8e) + ".", ""},
		"2^60 of text":            {"\x80\x04" + length8(0x8d) + ".", ""},
		"2^60 frame":              {"\x80\x04" + length8(0x95) + ".", ""},
		"4 GB of text":            {"\x80\x02X\xff\xff\xff\xff.", ""},
		"long integer":            {"\x80\x02\x8b\xff\xff\xff\x7f.", ""},
		"self reference":          {"\x80\x02]q\x00h\x00a.", ""},
		"dict in itself":          {"\x80\x02}q\x00K\x01h\x00s.", ""},
		"deep lists":              {"\x80\x02" + strings.Repeat("]", 100000) + strings.Repeat("a", 99999) + ".", ""},
		"deep tuples":             {"\x80\x02)" + strings.Repeat("\x85", 100000) + ".", ""},
		"deep key":                {"\x80\x02}" + ")" + strings.Repeat("\x85", 100000) + "K\x01s.", ""},
		"empty stack":             {"\x80\x020.", ""},
		"no stop":                 {"\x80\x02K\x01", ""},
		"no memo":                 {"\x80\x02h\x05.", ""},
		"unhashable key":          {"\x80\x02}]K\x01s.", ""},
		"path as key":             {"\x80\x02" + storage("torch\nFloatStorage", "../../../etc/passwd", 1) + ".", ""},
		"storage too long":        {"\x80\x02" + storage("torch\nFloatStorage", "0", 5) + ".", ""},
		"quantized":               {"\x80\x02ctorch._utils\n_rebuild_qtensor\n.", "torch._utils._rebuild_qtensor"},
		"quantized dtype":         {"\x80\x02ctorch\nquint8\n.", "torch.quint8"},
		"quantized storage":       {"\x80\x02" + storage("torch\nQInt8Storage", "0", 4) + ".", "torch.QInt8Storage"},
		"quantization scheme":     {"\x80\x02ctorch\nper_channel_affine\n.", "torch.per_channel_affine"},
		"three bits":              {"\x80\x02ctorch\nuint3\n.", "torch.uint3"},
		"text that is none":       {"\x80\x02X\x02\x00\x00\x00\xff\xfe.", ""},
		"beyond its storage":      {tensor("K\x00K\x05\x85K\x01\x85"), ""},
		"offset beyond":           {tensor("K\x04K\x01\x85K\x01\x85"), ""},
		"negative stride":         {tensor("K\x03K\x02\x85J\xff\xff\xff\xff\x85"), ""},
		"negative size":           {tensor("K\x00J\xff\xff\xff\xff\x85K\x01\x85"), ""},
		"overflowing strides":     {tensor("K\x00K\x02\x85\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x85"), ""},
		"huge expansion":          {tensor("K\x00\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x86K\x00K\x00\x86"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var w buffer
			require.NoError(t, ptfile.RawArchive(&w, []byte(test.pickle), make([]byte, 16)))
			var err error
			var bytes uint64
			took := time.Hour // the quickest of three
			for range 3 {
				start := processorTime()
				bytes = allocated(func() { _, err = ptfile.Read(&section{w.b}, int64(len(w.b)), "hostile.pt") })
				took = min(took, processorTime()-start)
			}
			require.Error(t, err)
			typed(t, err)
			require.Less(t, len(err.Error()), 500, "the message must not repeat the file")
			if test.global != "" {
				var u *errs.ErrUnsafe
				var n *errs.ErrUnsupported
				switch {
				case asUnsafe(err, &u):
					require.Equal(t, test.global, u.Global)
				case asUnsupported(err, &n):
					require.Equal(t, test.global, n.What)
				default:
					require.Fail(t, "another error was expected", "%v", err)
				}
			}
			require.Less(t, bytes, uint64(1<<20+400*len(w.b)), "memory must be bounded by the file's size")
			require.Less(t, took, 50*time.Millisecond+time.Duration(len(w.b))*500*time.Nanosecond,
				"milliseconds, and more only for megabytes")
		})
	}
}

// processorTime is what this process has used so far: a busy machine doesn't change it.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type section struct{ b []byte }

func (s *section) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(s.b).ReadAt(p, off)
}

func asUnsafe(err error, u **errs.ErrUnsafe) bool {
	e, ok := err.(*errs.ErrUnsafe)
	*u = e
	return ok
}

func asUnsupported(err error, u **errs.ErrUnsupported) bool {
	e, ok := err.(*errs.ErrUnsupported)
	*u = e
	return ok
}

// TestHostileArchives: zip files that are not what they say.
func TestHostileArchives(t *testing.T) {
	pkl := []byte("\x80\x02K\x01.")
	write := func(names ...string) []byte {
		var w buffer
		bodies := make([][]byte, len(names))
		for i := range bodies {
			bodies[i] = pkl
		}
		require.NoError(t, ptfile.RawRecords(&w, names, bodies))
		return w.b
	}
	refuse := func(t *testing.T, raw []byte, part string) {
		t.Helper()
		_, err := readAll(raw)
		require.ErrorContains(t, err, part)
		typed(t, err)
	}
	t.Run("names that climb", func(t *testing.T) {
		for _, n := range []string{"a/../../etc/passwd", "/etc/passwd", "a\\..\\b", "../x"} {
			refuse(t, write("a/data.pkl", n), "leads out")
		}
	})
	t.Run("same name twice", func(t *testing.T) { refuse(t, write("a/data.pkl", "a/x", "a/x"), "twice") })
	t.Run("two pickles", func(t *testing.T) { refuse(t, write("a/data.pkl", "b/data.pkl"), "second data.pkl") })
	t.Run("no pickle", func(t *testing.T) { refuse(t, write("a/x"), "no data.pkl") })
	t.Run("TorchScript", func(t *testing.T) { refuse(t, write("a/data.pkl", "a/constants.pkl"), "TorchScript") })
	raw := write("a/data.pkl", "a/data/0")
	central := bytes.LastIndex(raw, []byte("PK\x01\x02"))
	edit := func(f func(b []byte)) []byte {
		b := bytes.Clone(raw)
		f(b)
		return b
	}
	t.Run("overlapping records", func(t *testing.T) {
		// The second record's entry points at the first one: with a thousand of them one megabyte would count as a gigabyte.
		refuse(t, edit(func(b []byte) { copy(b[central+42:], []byte{0, 0, 0, 0}) }), "disagrees")
	})
	t.Run("compressed", func(t *testing.T) { refuse(t, edit(func(b []byte) { b[central+10] = 8 }), "method 8") })
	t.Run("encrypted", func(t *testing.T) { refuse(t, edit(func(b []byte) { b[central+8] |= 1 }), "encrypted") })
	t.Run("huge record", func(t *testing.T) {
		refuse(t, edit(func(b []byte) { copy(b[central+20:], "\xfe\xff\xff\xff\xfe\xff\xff\xff") }), "beyond")
	})
	t.Run("many records claimed", func(t *testing.T) {
		refuse(t, edit(func(b []byte) { copy(b[len(b)-14:], "\xfe\xff\xfe\xff") }), "disagree")
	})
	t.Run("no checkpoint", func(t *testing.T) { refuse(t, []byte("GIF89a and so on"), "no checkpoint") })
	t.Run("empty", func(t *testing.T) { refuse(t, nil, "no checkpoint") })
}
