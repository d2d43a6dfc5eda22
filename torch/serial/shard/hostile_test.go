package shard

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/pickle"
)

// bombOf nests a tuple of ten fetches of the one before it, 40 times: 10^40 elements in a kilobyte.
func bombOf() string {
	b := []byte("]q\x00")
	for i := range 40 {
		b = append(b, '(')
		for range 10 {
			b = append(b, 'h', byte(i))
		}
		b = append(b, 't', 'q', byte(i+1))
	}
	return string(b)
}

// text pickles a string.
func text(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// instance pickles an object of one of DCP's classes with raw instructions for its attributes.
func instance(module, class, attributes string) string {
	return "c" + module + "\n" + class + "\n)\x81}(" + attributes + "ub"
}

// metadata pickles a whole .metadata of raw parts.
func metadata(tensors, paths, places string) string {
	return "\x80\x02" + instance(moduleMetadata, "Metadata",
		text("state_dict_metadata")+"}("+tensors+"u"+text("planner_data")+"}("+paths+"u"+text(
			"storage_data")+"}("+places+"u") + "."
}

// TestHostileObjects: values that would print without end, or cost without end, are refused in milliseconds.
func TestHostileObjects(t *testing.T) {
	place := instance(moduleFilesystem, "_StorageInfo",
		text("relative_path")+text("f")+text("offset")+"K\x00"+text("length")+"K\x01")
	index := func(fqn string) string { return instance(moduleMetadata, "MetadataIndex", text("fqn")+fqn) }
	plain := instance(moduleMetadata, "BytesStorageMetadata", "")
	deep := ")" + strings.Repeat("\x85", 2000000)
	long := text(strings.Repeat("n", 1<<20))
	var many strings.Builder
	many.WriteString(index(long+"q\x00") + place)
	for range 20000 {
		many.WriteString(index("h\x00") + "N")
	}
	for name, raw := range map[string]string{
		"bomb as an fqn":          metadata("", "", index(bombOf())+place),
		"deep fqn":                metadata("", "", index(deep)+place),
		"bomb as an entry's name": metadata(bombOf()+plain, "", ""),
		"bomb as an entry":        metadata(text("x")+bombOf(), "", ""),
		"bomb as a path":          metadata(text("x")+plain, text("x")+bombOf(), index(text("x"))+place),
		"deep path":               metadata(text("x")+plain, text("x")+deep, index(text("x"))+place),
		"long path": metadata(text("x")+plain, text("x")+"("+strings.Repeat("K\x00", 100000)+"t",
			index(text("x"))+place),
		"long name":            metadata("", "", index(long)+place),
		"one long name, often": metadata("", "", many.String()),
		"bomb as a transform": metadata("", "", index(text("x"))+instance(moduleFilesystem, "_StorageInfo",
			text("relative_path")+text("f")+text("offset")+"K\x00"+text("length")+"K\x01"+text(
				"transform_descriptors")+"]"+bombOf()+"a")),
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			took := time.Hour // the quickest of three
			for range 3 {
				start := processorTime()
				_, err = parseMetadata([]byte(raw))
				took = min(took, processorTime()-start)
			}
			require.Error(t, err)
			typed(t, err)
			require.Less(t, len(err.Error()), 500)
			require.Less(t, took, 50*time.Millisecond+time.Duration(len(raw))*500*time.Nanosecond)
		})
	}
	_, err := parseMetadata([]byte(metadata(text("x")+plain, "", index(text("x"))+place)))
	require.NoError(t, err, "the same metadata without malice is read")
}

// processorTime is what this process has used so far: a busy machine doesn't change it.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestManyChunks: how chunks lie is checked in one pass, however many they are, empty ones included.
func TestManyChunks(t *testing.T) {
	const n = 1 << 18
	e := &Entry{DType: "float32", Shape: []int{n}}
	empty := &Entry{DType: "float32", Shape: []int{1}, Chunks: []Chunk{{Offsets: []int{0}, Sizes: []int{1}}}}
	for i := range n {
		e.Chunks = append(e.Chunks, Chunk{Offsets: []int{i}, Sizes: []int{1}})
		empty.Chunks = append(empty.Chunks, Chunk{Offsets: []int{0}, Sizes: []int{0}})
	}
	start := processorTime()
	require.NoError(t, e.check())
	require.NoError(t, empty.check())
	e.Chunks[n/2].Offsets = []int{7}
	require.ErrorContains(t, e.check(), "overlap")
	require.Less(t, processorTime()-start, 5*time.Second, "pair by pair these are 10^11 comparisons")

	wide := &Entry{DType: "float32", Shape: slices.Repeat([]int{2}, 40)}
	wide.Chunks = []Chunk{{Offsets: make([]int, 40), Sizes: slices.Repeat([]int{1}, 40)}}
	require.ErrorContains(t, wide.check(), "too many")
}

// TestTilings compares the check with counting every element.
func TestTilings(t *testing.T) {
	for _, c := range []struct {
		shape  []int
		chunks [][2][]int
		ok     bool
	}{
		{[]int{}, [][2][]int{{{}, {}}}, true},
		{[]int{}, [][2][]int{{{}, {}}, {{}, {}}}, false},
		{[]int{}, nil, false},
		{[]int{0, 3}, nil, true},
		{[]int{4, 4}, [][2][]int{{{0, 0}, {4, 2}}, {{0, 2}, {2, 2}}, {{2, 2}, {2, 2}}}, true},
		// as many elements, one column twice
		{[]int{4, 4}, [][2][]int{{{0, 0}, {4, 2}}, {{0, 1}, {2, 2}}, {{2, 2}, {2, 2}}}, false},
		// a spiral
		{[]int{3, 3}, [][2][]int{{{0, 0}, {1, 2}}, {{0, 2}, {2, 1}}, {{2, 1}, {1, 2}}, {{1, 0}, {2, 1}}, {{1, 1}, {1, 1}}}, true},
		{[]int{3, 3}, [][2][]int{{{0, 0}, {1, 2}}, {{0, 2}, {2, 1}}, {{2, 1}, {1, 2}}, {{1, 0}, {2, 1}}}, false},
		{[]int{2, 2}, [][2][]int{{{0, 0}, {1, 1}}, {{1, 1}, {1, 1}}, {{0, 0}, {1, 1}}, {{1, 1}, {1, 1}}}, false},
	} {
		e := &Entry{DType: "int8", Shape: c.shape}
		counts := map[string]int{}
		for _, k := range c.chunks {
			e.Chunks = append(e.Chunks, Chunk{Offsets: k[0], Sizes: k[1]})
			each(k[0], k[1], func(at []int) { counts[fmt.Sprint(at)]++ })
		}
		once := len(counts) == product(c.shape)
		for _, n := range counts {
			once = once && n == 1
		}
		require.Equal(t, c.ok, once, "the table itself: %v %v", c.shape, c.chunks)
		err := e.check()
		require.Equal(t, c.ok, err == nil, "%v %v: %v", c.shape, c.chunks, err)
	}
}

// each visits the elements of a box.
func each(offsets, sizes []int, f func(at []int)) {
	if product(sizes) == 0 {
		return
	}
	at := slices.Clone(offsets)
	for {
		f(at)
		d := len(at) - 1
		for ; d >= 0; d-- {
			if at[d]++; at[d] < offsets[d]+sizes[d] {
				break
			}
			at[d] = offsets[d]
		}
		if d < 0 {
			return
		}
	}
}

// TestIntegerKeysAnywhere: dicts with integer keys come back within lists too, and only the keys that were numbers do.
func TestIntegerKeysAnywhere(t *testing.T) {
	root := &node{}
	for i, path := range [][]any{{"a", 0, "7"}, {"a", 0, "007"}, {"b", "1"}, {"c", "1"}} {
		require.NoError(t, root.put(path, i))
	}
	root.markInts([]any{"a", 0})
	root.markInts([]any{"b"})
	root.markInts([]any{"nowhere", []any{}})
	v, err := root.value()
	require.NoError(t, err)
	d := v.(*pickle.Dict)
	get := func(v any, k any) any { x, _ := v.(*pickle.Dict).Get(k); return x }
	require.Equal(t, 0, get(get(d, "a").([]any)[0], 7))
	require.Equal(t, 1, get(get(d, "a").([]any)[0], "007"))
	require.Equal(t, 2, get(get(d, "b"), 1))
	require.Equal(t, 3, get(get(d, "c"), "1"))
}
