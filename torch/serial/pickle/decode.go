package pickle

import (
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"

	"github.com/golite/golite/torch/serial/errs"
)

// Class is a Python class or function that a pickle may name. As a value it is inert: only REDUCE and NEWOBJ
// look into it.
type Class struct {
	// Name is the full Python name, module and all.
	Name string
	// Call answers REDUCE (and NEWOBJ): what calling the class with args gives. nil refuses the call.
	Call func(args Tuple) (any, error)
}

// Unfinished returns what the class is, for messages.
func (c *Class) Unfinished() string { return "the Python class " + c.Name }

// Unfinished is a value that serves to make others, and must not be left in what Decode returns.
type Unfinished interface {
	// Unfinished names it, for messages.
	Unfinished() string
}

// Builder is a value that accepts pickle's BUILD instruction.
type Builder interface {
	// SetState takes the instruction's argument (__setstate__).
	SetState(state any) error
}

// Holder is a value that holds other values, which may still change while the pickle is read; Resolve is called once
// at the end, and replaces each of them by what f returns.
type Holder interface {
	Resolve(f func(any) (any, error)) error
}

// Options says how Decode reads.
type Options struct {
	// Globals answers GLOBAL: the value for a Python name, usually a *Class. found false refuses the name
	// with *errs.ErrUnsafe; an error is passed on.
	Globals func(module, name string) (value any, found bool, err error)
	// Persistent answers BINPERSID. nil refuses it.
	Persistent func(id any) (any, error)
	// Record and Base place the pickle in error messages: its record's name, and its offset in the file.
	Record string
	Base   int64
}

// maxDepth bounds how deep containers may be nested; Python's own pickle stops near it.
const maxDepth = 1000

// Decode reads one pickle from bytes off to end of r and returns its value, and where it ended.
func Decode(r io.ReaderAt, off, end int64, o Options) (value any, next int64, err error) {
	d := &decoder{in: input{r: r, record: o.Record, base: o.Base, pos: off, end: end}, o: o}
	top, err := d.run()
	if err != nil {
		return nil, 0, err
	}
	next = d.in.pos + int64(d.in.at)
	value, err = resolve(top, next-off)
	if err != nil {
		return nil, 0, d.fail(err)
	}
	return value, next, nil
}

// list is Python's list while the pickle is read: it grows after others have taken hold of it.
type list struct{ items []any }

// Items returns the elements of a list or tuple as they stand, for implementations of Class.Call.
func Items(v any) ([]any, bool) {
	switch s := v.(type) {
	case *list:
		return s.items, true
	case Tuple:
		return s, true
	case []any:
		return s, true
	}
	return nil, false
}

type decoder struct {
	in    input
	o     Options
	stack []any
	marks []int
	memo  map[uint64]any
	spent int64 // elements that calls have copied so far
}

// fail places an error that a callback returned in the file; typed errors pass as they are.
func (d *decoder) fail(err error) error {
	if errs.Typed(err) {
		return err
	}
	return d.in.corrupt("%v", err)
}

func (d *decoder) run() (any, error) {
	for {
		op, err := d.in.byte()
		if err != nil {
			return nil, err
		}
		if op == opStop {
			if len(d.stack) != 1 || len(d.marks) != 0 {
				return nil, d.in.corrupt("the pickle stops with %d values and %d marks on its stack, not one value", len(d.stack),
					len(d.marks))
			}
			return d.stack[0], nil
		}
		if err := d.step(op); err != nil {
			return nil, d.fail(err)
		}
	}
}

// step runs one instruction.
func (d *decoder) step(op byte) error {
	if done, err := d.stepScalar(op); done || err != nil {
		return err
	}
	if done, err := d.stepContainer(op); done || err != nil {
		return err
	}
	switch op {
	case opProto:
		v, err := d.in.byte()
		if err == nil && v > 5 {
			return &errs.ErrUnsupported{What: fmt.Sprintf("pickle protocol %d", v), Remedy: "save with protocol 5 or lower"}
		}
		return err
	case opFrame:
		n, err := d.in.uint(8)
		if err == nil && n > uint64(d.in.left()) {
			return d.in.corrupt("a frame of %d bytes is claimed, %d are left", n, d.in.left())
		}
		return err
	case opMark:
		d.marks = append(d.marks, len(d.stack))
		return nil
	case opPop:
		_, err := d.pop()
		return err
	case opPopMark:
		_, err := d.popMark()
		return err
	case opDup:
		v, err := d.top()
		if err == nil {
			d.push(v)
		}
		return err
	case opBinGet, opLongBinGet, opBinPut, opLongBinPut, opMemoize:
		return d.stepMemo(op)
	case opGlobal, opStackGlobal:
		return d.global(op)
	case opReduce, opNewObj, opNewObjEx, opBuild, opBinPersID:
		return d.stepCall(op)
	}
	return &errs.ErrUnsupported{What: fmt.Sprintf("pickle instruction 0x%02x at offset %d", op, d.in.offset()-1)}
}

func (d *decoder) push(v any) { d.stack = append(d.stack, v) }

// floor is the lowest stack index that the running instruction may touch.
func (d *decoder) floor() int {
	if n := len(d.marks); n > 0 {
		return d.marks[n-1]
	}
	return 0
}

func (d *decoder) top() (any, error) {
	if len(d.stack) <= d.floor() {
		return nil, d.in.corrupt("an instruction finds the stack empty")
	}
	return d.stack[len(d.stack)-1], nil
}

func (d *decoder) pop() (any, error) {
	v, err := d.top()
	if err == nil {
		d.stack[len(d.stack)-1] = nil
		d.stack = d.stack[:len(d.stack)-1]
	}
	return v, err
}

func (d *decoder) popN(n int) ([]any, error) {
	if len(d.stack)-d.floor() < n {
		return nil, d.in.corrupt("an instruction wants %d values, the stack has %d", n, len(d.stack)-d.floor())
	}
	vs := append([]any(nil), d.stack[len(d.stack)-n:]...)
	clear(d.stack[len(d.stack)-n:])
	d.stack = d.stack[:len(d.stack)-n]
	return vs, nil
}

func (d *decoder) popMark() ([]any, error) {
	if len(d.marks) == 0 {
		return nil, d.in.corrupt("an instruction wants a mark, there is none")
	}
	vs, err := d.popN(len(d.stack) - d.floor())
	d.marks = d.marks[:len(d.marks)-1]
	return vs, err
}

// stepScalar pushes numbers, strings and the like.
func (d *decoder) stepScalar(op byte) (bool, error) {
	switch op {
	case opNone:
		d.push(nil)
	case opNewTrue, opNewFalse:
		d.push(op == opNewTrue)
	case opBinInt, opBinInt1, opBinInt2:
		return true, d.binInt(op)
	case opInt:
		return true, d.textInt()
	case opLong1, opLong4:
		return true, d.long(op)
	case opBinFloat:
		p, err := d.in.small(8)
		if err != nil {
			return true, err
		}
		var u uint64
		for _, c := range p {
			u = u<<8 | uint64(c)
		}
		d.push(math.Float64frombits(u))
	case opBinUnicode, opShortBinUnicode, opBinUnicode8:
		p, err := d.in.sized(map[byte]int{opBinUnicode: 4, opShortBinUnicode: 1, opBinUnicode8: 8}[op])
		if err != nil {
			return true, err
		}
		if !validText(string(p)) {
			return true, d.in.corrupt("text of %d bytes is no UTF-8", len(p))
		}
		d.push(string(p))
	case opBinString, opShortBinString:
		p, err := d.in.sized(map[byte]int{opBinString: 4, opShortBinString: 1}[op])
		if err != nil {
			return true, err
		}
		d.push(pythonTwoString(p))
	case opBinBytes, opShortBinBytes, opBinBytes8:
		p, err := d.in.sized(map[byte]int{opBinBytes: 4, opShortBinBytes: 1, opBinBytes8: 8}[op])
		if err != nil {
			return true, err
		}
		d.push(Bytes(p))
	case opByteArray8:
		p, err := d.in.sized(8)
		if err != nil {
			return true, err
		}
		d.push(ByteArray(p))
	default:
		return false, nil
	}
	return true, nil
}

// pythonTwoString gives Python 2's str as a string where it is text, else as Bytes.
func pythonTwoString(p []byte) any {
	if utf8.Valid(p) {
		return string(p)
	}
	return Bytes(p)
}

func (d *decoder) binInt(op byte) error {
	width := map[byte]int{opBinInt: 4, opBinInt1: 1, opBinInt2: 2}[op]
	u, err := d.in.uint(width)
	if err != nil {
		return err
	}
	if width == 4 {
		d.push(int(int32(uint32(u))))
	} else {
		d.push(int(u))
	}
	return nil
}

func (d *decoder) textInt() error {
	s, err := d.in.line()
	if err != nil {
		return err
	}
	switch s {
	case "00":
		d.push(false)
		return nil
	case "01":
		d.push(true)
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return d.in.corrupt("%q is no integer", s)
	}
	d.push(n)
	return nil
}

func (d *decoder) long(op byte) error {
	width := 1
	if op == opLong4 {
		width = 4
	}
	p, err := d.in.sized(width)
	if err != nil {
		return err
	}
	d.push(normalInt(twosComplement(p)))
	return nil
}

// twosComplement reads a little-endian two's complement integer of any length.
func twosComplement(p []byte) *big.Int {
	be := make([]byte, len(p))
	for i, c := range p {
		be[len(p)-1-i] = c
	}
	n := new(big.Int).SetBytes(be)
	if len(be) > 0 && be[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(be))))
	}
	return n
}

// normalInt gives an int where the number fits.
func normalInt(n *big.Int) any {
	if n.IsInt64() {
		return int(n.Int64())
	}
	return n
}
