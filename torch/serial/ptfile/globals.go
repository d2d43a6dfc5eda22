package ptfile

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
)

// Globals is the allow-list: every Python name that a checkpoint may use, and what it becomes. All of it
// makes data. Names that are known and not readable (quantized tensors) give *errs.ErrUnsupported, other
// names are refused by the pickle reader with *errs.ErrUnsafe.
func Globals(module, name string) (any, bool, error) {
	if c, ok := torchClasses[module+"."+name]; ok {
		return c, true, nil
	}
	switch module {
	case "torch":
		if v, ok := torchName(name); ok {
			return v, true, nil
		}
	case "torch.storage", "torch.cuda", "torch.sparse":
		if v, ok := storageClass(name); ok {
			return v, true, nil
		}
	}
	if v, ok := numpyGlobal(module, name); ok {
		return v, true, nil
	}
	if remedy, known := unsupported(module, name); known {
		return nil, false, &errs.ErrUnsupported{What: module + "." + name, Remedy: remedy}
	}
	return pickle.Builtins(module, name)
}

// What to do in Python about values that golite has no tensors for.
const (
	dequantize = "quantized tensors are not read: in Python, save t.dequantize(), or the state dict of the model " +
		"before it is quantized"
	gathered = "a part of a distributed tensor: in Python, save t.full_tensor(), or the state with " +
		"torch.distributed.checkpoint, " +
		"which LoadSharded reads"
	onCPU = "in Python, save t.cpu()"
)

// unsupported reports whether PyTorch itself writes a name for which golite has no value, and what to do about it.
func unsupported(module, name string) (remedy string, known bool) {
	switch module {
	case "torch._utils":
		switch name {
		case "_rebuild_qtensor":
			return dequantize, true
		case "_rebuild_meta_tensor_no_storage":
			return "a tensor on the meta device has no values: in Python, load the model's weights before it is saved", true
		case "_rebuild_nested_tensor":
			return "nested tensors are not read: in Python, save the list t.unbind()", true
		case "_rebuild_wrapper_subclass":
			return "a tensor of a Python class: in Python, save t.full_tensor() of a DTensor, and of others the plain " +
				"tensors that they are made of", true
		case "_rebuild_device_tensor_from_numpy", "_rebuild_xla_tensor":
			return onCPU, true
		case "_load_from_bytes":
			return "pickle.dump wrote the tensor: in Python, save with torch.save", true
		}
	case "torch":
		switch {
		case smallInteger.MatchString(name), strings.HasPrefix(name, "bits"):
			return "in Python, save t.view(torch.uint8)", true
		case strings.HasPrefix(name, "Q") && strings.HasSuffix(name, "Storage"), strings.HasPrefix(name, "per_tensor_"),
			strings.HasPrefix(name, "per_channel_"), strings.HasPrefix(name, "q"):
			return dequantize, true
		}
	case "torch.distributed.tensor", "torch.distributed._shard.sharded_tensor.api":
		return gathered, true
	}
	return "", false
}

// smallInteger are dtypes that torch has names for, and hardly anything else.
var smallInteger = regexp.MustCompile(`^u?int[1-7]$`)

// torchName gives dtypes, layouts and typed storages of the module torch.
func torchName(name string) (any, bool) {
	if d := DType(name); d.Known() {
		return d, true
	}
	if d, ok := aliases[name]; ok {
		return d, true
	}
	if _, ok := layouts[Layout(name)]; ok {
		return Layout(name), true
	}
	return storageClass(name)
}

// untyped is the dtype slot of torch.UntypedStorage: raw bytes.
const untyped DType = ""

// storageType is a storage class as a pickle names it.
type storageType struct{ dtype DType }

// Unfinished says that a storage class is no value.
func (s storageType) Unfinished() string { return "a storage class" }

func storageClass(name string) (any, bool) {
	if name == "UntypedStorage" {
		return storageType{untyped}, true
	}
	d, ok := storageDTypes[name]
	return storageType{d}, ok
}

var torchClasses = map[string]*pickle.Class{}

func init() {
	for name, call := range map[string]func(pickle.Tuple) (any, error){
		"torch._utils._rebuild_tensor":                         rebuildTensor,
		"torch._utils._rebuild_tensor_v2":                      rebuildTensor,
		"torch._utils._rebuild_tensor_v3":                      rebuildTensor,
		"torch._utils._rebuild_parameter":                      rebuildParameter,
		"torch._utils._rebuild_parameter_with_state":           rebuildParameter,
		"torch._utils._rebuild_sparse_tensor":                  rebuildSparse,
		"torch._utils._rebuild_device_tensor_from_cpu_tensor":  rebuildFromCPU,
		"torch._tensor._rebuild_from_type_v2":                  rebuildFromType,
		"torch.nn.parameter.Parameter":                         newParameter,
		"torch.nn.Parameter":                                   newParameter,
		"torch.nn.parameter.Buffer":                            newBuffer,
		"torch.Tensor":                                         nil, // named by _rebuild_from_type_v2
		"torch.Size":                                           newSize,
		"torch.device":                                         newDevice,
		"torch.serialization._get_layout":                      getLayout,
		"torch.torch_version.TorchVersion":                     newText,
		"pathlib.PosixPath":                                    newPath,
		"pathlib.PurePosixPath":                                newPath,
		"lightning.fabric.utilities.data.AttributeDict":        newAttributeDict,
		"lightning_fabric.utilities.data.AttributeDict":        newAttributeDict,
		"pytorch_lightning.utilities.parsing.AttributeDict":    newAttributeDict,
		"lightning.pytorch.utilities.parsing.AttributeDict":    newAttributeDict,
		"deepspeed.runtime.zero.config.ZeroStageEnum":          newStage,
		"deepspeed.runtime.fp16.loss_scaler.LossScaler":        newAttributeDict, // an object's attributes, as data
		"deepspeed.runtime.fp16.loss_scaler.DynamicLossScaler": newAttributeDict,
		"deepspeed.utils.tensor_fragment.fragment_address":     newAttributeDict,
	} {
		torchClasses[name] = &pickle.Class{Name: name, Call: call}
	}
}

// newStage is the number of a member of DeepSpeed's enumeration of stages.
func newStage(args pickle.Tuple) (any, error) {
	if len(args) == 1 {
		if n, ok := args[0].(int); ok {
			return n, nil
		}
	}
	return nil, fmt.Errorf("one whole number was expected")
}

func newText(args pickle.Tuple) (any, error) {
	if len(args) == 1 {
		if s, ok := args[0].(string); ok {
			return s, nil
		}
	}
	return nil, fmt.Errorf("one string was expected")
}

// newPath joins the parts of a path; a path in a checkpoint is text, never opened.
func newPath(args pickle.Tuple) (any, error) {
	parts := make([]string, len(args))
	for i, a := range args {
		s, ok := a.(string)
		if !ok {
			return nil, fmt.Errorf("a path is made of %s", pickle.Describe(a))
		}
		parts[i] = s
	}
	if len(parts) > 1 && parts[0] == "/" {
		return "/" + strings.Join(parts[1:], "/"), nil
	}
	return strings.Join(parts, "/"), nil
}

func newAttributeDict(args pickle.Tuple) (any, error) {
	c, _, _ := pickle.Builtins("builtins", "dict")
	return c.(*pickle.Class).Call(args)
}

func newSize(args pickle.Tuple) (any, error) {
	if len(args) == 0 {
		return Size{}, nil
	}
	s, err := ints(args[0])
	return Size(s), err
}

func newDevice(args pickle.Tuple) (any, error) {
	if len(args) == 0 || len(args) > 2 {
		return nil, fmt.Errorf("%d arguments", len(args))
	}
	s, ok := args[0].(string)
	if !ok {
		return nil, fmt.Errorf("%s as its type", pickle.Describe(args[0]))
	}
	d, err := ParseDevice(s)
	if err != nil {
		return nil, err
	}
	if len(args) == 2 && args[1] != nil {
		if d.Index, ok = args[1].(int); !ok || d.Index < 0 {
			return nil, fmt.Errorf("%s as its index", pickle.Describe(args[1]))
		}
	}
	return d, nil
}

func getLayout(args pickle.Tuple) (any, error) {
	s, err := newText(args)
	if err != nil {
		return nil, err
	}
	l := Layout(strings.TrimPrefix(s.(string), "torch."))
	if _, ok := layouts[l]; !ok {
		return nil, &errs.ErrUnsupported{What: "layout " + s.(string)}
	}
	return l, nil
}

// ints reads a list or tuple of integers.
func ints(v any) ([]int, error) {
	if s, ok := v.(Size); ok {
		return s, nil
	}
	items, ok := pickle.Items(v)
	if !ok || len(items) > maxDims {
		return nil, fmt.Errorf("a tuple of at most %d integers was expected", maxDims)
	}
	out := make([]int, len(items))
	for i, it := range items {
		n, ok := it.(int)
		if !ok {
			return nil, fmt.Errorf("%s where an integer was expected", pickle.Describe(it))
		}
		out[i] = n
	}
	return out, nil
}
