package serial

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/ptfile"
)

var abi torch.ABI

// The operators that take tensors apart and put them together. set_ gives a tensor another's storage without making it
// a view, so that loaded tensors are what tensors are in Python: leaves that share memory.
var (
	opSet         = op.Op{Name: "aten::set_.source_Tensor_storage_offset"}
	opConj        = op.Op{Name: "aten::_conj"}
	opNegView     = op.Op{Name: "aten::_neg_view"}
	opTo          = op.Op{Name: "aten::to.device"}
	opIndices     = op.Op{Name: "aten::_indices"}
	opValues      = op.Op{Name: "aten::_values"}
	opCSRValues   = op.Op{Name: "aten::values"}
	opCrow        = op.Op{Name: "aten::crow_indices"}
	opCol         = op.Op{Name: "aten::col_indices"}
	opCcol        = op.Op{Name: "aten::ccol_indices"}
	opRow         = op.Op{Name: "aten::row_indices"}
	opIsCoalesced = op.Op{Name: "aten::is_coalesced"}
	opSparseCOO   = op.Op{Name: "aten::sparse_coo_tensor.indices_size"}
	opValidateCOO = op.Op{Name: "aten::_validate_sparse_coo_tensor_args"}
	opCompressed  = op.Op{Name: "aten::sparse_compressed_tensor.comp_plain_value_size"}
	opValidateCSR = op.Op{Name: "aten::_validate_sparse_compressed_tensor_args"}
	opClone       = op.Op{Name: "aten::clone"}
	opAsStrided   = op.Op{Name: "aten::as_strided"}
)

// call runs an operator whose arguments write adds; it panics with *torch.Error.
func call(o *op.Op, write func(a *op.Args)) *op.Results {
	var a op.Args
	r := new(op.Results)
	write(&a)
	abi.Call(o, &a, r)
	return r
}

func unary(o *op.Op, t *torch.Tensor) *torch.Tensor {
	return abi.Result(call(o, func(a *op.Args) { abi.Tensor(a, t) }))
}

// setStorage gives t (empty, of the right dtype) the memory of base, which must be contiguous. offset counts from
// base's first element.
func setStorage(t, base *torch.Tensor, offset int, shape, strides []int) *torch.Tensor {
	call(&opSet, func(a *op.Args) {
		abi.Tensor(a, t)
		abi.Tensor(a, base)
		a.Int(int64(offset))
		a.Ints(shape)
		a.Ints(strides)
	})
	return t
}

// storageBytes gives all bytes of a tensor's storage as a tensor that shares them, whatever part of them the tensor
// has. bits are its flags: a view with conjugated or negative values has no operators that leave its memory alone.
func storageBytes(t *torch.Tensor, bits int64) *torch.Tensor {
	whole := t
	if bits&cgotorch.FlagConj != 0 {
		whole = unary(&opConj, whole)
	}
	if bits&cgotorch.FlagNeg != 0 {
		whole = unary(&opNegView, whole)
	}
	whole = abi.Result(call(&opAsStrided, func(a *op.Args) {
		abi.Tensor(a, whole)
		a.Ints([]int{t.StorageBytes() / t.DType().Size()})
		a.Ints([]int{1})
		a.Int(0)
	}))
	raw := torch.Options{DType: torch.UInt8, Device: t.Device()}.Empty(0)
	return setStorage(raw, whole, 0, []int{t.StorageBytes()}, []int{1})
}

// toDevice copies t to a device, or returns a tensor that is t if it is there.
func toDevice(t *torch.Tensor, d torch.Device) *torch.Tensor {
	return abi.Result(call(&opTo, func(a *op.Args) {
		abi.Tensor(a, t)
		abi.Device(a, d)
		abi.DType(a, t.DType())
		a.Bool(false)
		a.Bool(false)
		a.None()
	}))
}

// memory returns a CPU tensor's whole storage. The tensor must be kept alive while it is used.
func memory(t *torch.Tensor) ([]byte, error) {
	_, p, err := cgotorch.Data(abi.Handle(t))
	if err != nil {
		return nil, abi.Error("storage", err, t)
	}
	n := t.StorageBytes()
	if n == 0 || p == nil { // no elements
		return []byte{}, nil
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// fileDType is a torch.DType in files.
func fileDType(d torch.DType) (ptfile.DType, error) {
	f := ptfile.DType(strings.TrimPrefix(d.String(), "torch."))
	if !f.Known() {
		return "", &errs.ErrUnsupported{What: fmt.Sprintf("dtype %s in a checkpoint", d),
			Remedy: "dequantize or convert the tensor first"}
	}
	return f, nil
}

// torchDType is a file's dtype in libtorch.
func torchDType(d ptfile.DType) (torch.DType, error) {
	t, err := torch.ParseDType(string(d))
	if err != nil {
		return 0, &errs.ErrUnsupported{What: "dtype " + d.String()}
	}
	return t, nil
}

var layouts = map[ptfile.Layout]torch.Layout{
	"sparse_csr": torch.SparseCSR, "sparse_csc": torch.SparseCSC, "sparse_bsr": torch.SparseBSR,
	"sparse_bsc": torch.SparseBSC,
}
