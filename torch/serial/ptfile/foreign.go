package ptfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/golite/golite/torch/serial/errs"
)

// headSize is how much of a file's beginning determines its format.
const headSize = 512

// saveStateDict is the remedy for what holds Python objects.
const saveStateDict = "in Python, save its state dict: torch.save(model.state_dict(), path)"

// asSafetensors is the remedy for formats that Python reads into arrays.
const asSafetensors = "in Python, read it with %s and write its arrays with safetensors.numpy.save_file"

// magic is how the files of another format begin.
type magic struct {
	at           int
	text         string
	what, remedy string
}

var magics = []magic{
	{0, "\x89HDF\r\n\x1a\n", "an HDF5 file (Keras' .h5)", fmt.Sprintf(asSafetensors, "h5py")},
	{0, "\x93NUMPY", "a numpy array (numpy.save)", "in Python, torch.save(torch.from_numpy(numpy.load(path)), new)"},
	{0, "GGUF", "a GGUF file (llama.cpp)", "take the model's safetensors files, of which it was made"},
	{4, "TFL3", "a TensorFlow Lite model", "export the weights of the model that it was made of"},
	{4, "ET12", "an ExecuTorch program (.pte)", "save the state dict of the model that it was made of: " +
		"torch.save(model.state_dict(), path)"},
	{0, "version https://git-lfs", "a Git LFS pointer, which stands for a file that was not downloaded,",
		"run git lfs pull in its repository"},
	{0, "\x1f\x8b", "a file compressed with gzip", "unpack it with gunzip"},
	{0, "\x28\xb5\x2f\xfd", "a file compressed with zstd", "unpack it with zstd -d"},
	{0, "\xfd7zXZ\x00", "a file compressed with xz", "unpack it with unxz"},
	{0, "BZh", "a file compressed with bzip2", "unpack it with bunzip2"},
	{257, "ustar", "a tar checkpoint (torch older than 0.1.10), or another tar archive,",
		"unpack it, if it is an archive of files; else load it in Python and save it again"},
}

// foreign names the format of a file that is no checkpoint, by its first bytes. It returns nil for what it does not
// know.
func foreign(head []byte, src io.ReaderAt, size int64, name string) error {
	for _, m := range magics {
		if len(head) >= m.at+len(m.text) && string(head[m.at:m.at+len(m.text)]) == m.text {
			return &errs.ErrUnsupported{What: m.what, Remedy: m.remedy}
		}
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(text) > 0 && text[0] == '<' && regexp.MustCompile(`(?i)^<(!doctype|html|\?xml)`).Match(text):
		return &errs.ErrUnsupported{What: "an HTML or XML page, as a failed download leaves,",
			Remedy: "download the file again"}
	case len(text) > 0 && text[0] == '{':
		return &errs.ErrUnsupported{What: "a JSON file",
			Remedy: "give the file of the weights, such as model.safetensors, or the model.safetensors.index.json of several"}
	case barePickle(head):
		return &errs.ErrUnsupported{What: "a plain pickle, which torch.save did not write,",
			Remedy: "in Python, load it with pickle, and save its tensors and arrays with torch.save"}
	case flaxMap(head):
		return &errs.ErrUnsupported{What: "a msgpack file (Flax)", Remedy: fmt.Sprintf(asSafetensors,
			"flax.serialization.msgpack_restore")}
	case tensorflowTable(src, size):
		return &errs.ErrUnsupported{What: "the index of a TensorFlow checkpoint", Remedy: fmt.Sprintf(asSafetensors,
			"tf.train.load_checkpoint")}
	}
	return protobuf(head, name)
}

// barePickle reports whether pickle.dump wrote the file: an instruction PROTO, and then one that begins a frame or a
// value. NB: torch's legacy files begin with PROTO and a long integer.
func barePickle(head []byte) bool {
	return len(head) > 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 && strings.IndexByte("\x95}])(c", head[2]) >= 0
}

// flaxMap reports whether a file begins with a map of msgpack whose first key is a short text.
func flaxMap(head []byte) bool {
	if len(head) < 2 || head[0]&0xf0 != 0x80 || head[1]&0xe0 != 0xa0 {
		return false
	}
	n := int(head[1] & 0x1f)
	return n > 0 && len(head) >= 2+n && printable(head[2:2+n])
}

func printable(b []byte) bool {
	return !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r > '~' })
}

// tensorflowTable reports whether a file ends as the tables of TensorFlow's checkpoints do.
func tensorflowTable(src io.ReaderAt, size int64) bool {
	var foot [8]byte
	if size < 48 {
		return false
	}
	_, err := src.ReadAt(foot[:], size-8)
	return (err == nil || err == io.EOF) && binary.LittleEndian.Uint64(foot[:]) == 0xdb4775248b80fb57
}

// protobuf names files of protocol buffers, which have no magic number: ONNX and TensorFlow begin with a version, field
// 1, and go on with field 2, ONNX's producer_name or the meta graph of a SavedModel.
func protobuf(head []byte, name string) error {
	onnx := &errs.ErrUnsupported{What: "an ONNX model", Remedy: fmt.Sprintf(asSafetensors,
		"onnx.numpy_helper.to_array, from model.graph.initializer,")}
	savedModel := &errs.ErrUnsupported{What: "a TensorFlow SavedModel", Remedy: fmt.Sprintf(asSafetensors,
		"tf.saved_model.load")}
	switch path.Ext(name) {
	case ".onnx":
		return onnx
	case ".pb":
		return savedModel
	case ".mlmodel":
		return &errs.ErrUnsupported{What: "a Core ML model", Remedy: "save the state dict of the model that it was made of"}
	}
	if len(head) < 8 || head[0] != 0x08 || head[1] == 0 || head[1] > 0x20 || head[2] != 0x12 {
		return nil
	}
	n, used := binary.Uvarint(head[3:])
	body := head[3+max(used, 0):]
	switch {
	case used > 0 && n > 0 && n <= uint64(len(body)) && printable(body[:n]):
		return onnx
	case used > 0 && head[1] == 1 && len(body) > 0 && body[0] == 0x0a:
		return savedModel
	}
	return nil
}

// foreignZip names the format of a zip archive that is no checkpoint, by the names of its records.
func foreignZip(names []string) error {
	has := func(pattern string) bool {
		re := regexp.MustCompile(pattern)
		return slices.ContainsFunc(names, re.MatchString)
	}
	switch {
	case has(`^[^/]+/bytecode\.pkl$`):
		return &errs.ErrUnsupported{What: "a TorchScript archive for mobile devices (.ptl)",
			Remedy: "save the state dict of the model that it was made of: torch.save(model.state_dict(), path)"}
	case has(`^[^/]+/constants\.pkl$`):
		return &errs.ErrUnsupported{What: "a TorchScript archive (torch.jit.save)",
			Remedy: "in Python, save its state dict: torch.save(torch.jit.load(path).state_dict(), new)"}
	case has(`^[^/]+/data/aotinductor/`):
		return &errs.ErrUnsupported{What: "a model compiled by AOTInductor (.pt2)",
			Remedy: "save the state dict of the model that it was made of: torch.save(model.state_dict(), path)"}
	case has(`^([^/]+/)?(models/[^/]+\.json|serialized_exported_program\.json)$`):
		return &errs.ErrUnsupported{What: "an exported program (torch.export.save)",
			Remedy: "in Python, save its state dict: torch.save(torch.export.load(path).state_dict, new)"}
	case has(`^[^/]+/\.data/extern_modules$`):
		return &errs.ErrUnsupported{What: "a package of code (torch.package)",
			Remedy: "in Python, load the model with torch.package.PackageImporter and save its state dict: " +
				"torch.save(model.state_dict(), new)"}
	case has(`^model\.weights\.h5$`):
		return &errs.ErrUnsupported{What: "a Keras model (.keras)", Remedy: fmt.Sprintf(asSafetensors,
			"keras.models.load_model")}
	case len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool { return path.Ext(name) != ".npy" }):
		return &errs.ErrUnsupported{What: "an archive of numpy arrays (numpy.savez)",
			Remedy: "in Python, write its arrays with safetensors.numpy.save_file(dict(numpy.load(path)), new)"}
	case has(`^MAR-INF/`):
		return &errs.ErrUnsupported{What: "a TorchServe archive (.mar)",
			Remedy: "unpack it, and give the file of the weights"}
	}
	return nil
}

// maxExplained is how much of a refused file is searched for the reason.
const maxExplained = 1 << 20

// explained adds to a refused Python name how the file can be written without it. values is the pickle, or its
// beginning.
func explained(err error, values io.ReaderAt) error {
	var u *errs.ErrUnsafe
	if !errors.As(err, &u) || u.Global == "" || u.Reason != "" {
		return err
	}
	head, _ := io.ReadAll(io.NewSectionReader(values, 0, maxExplained)) // for the message alone
	has := func(name string) bool { return bytes.Contains(head, []byte(name)) }
	switch {
	case has("_parameters") && has("_buffers") && has("_modules"):
		u.Reason = "the file holds a whole module (torch.save(model)), which is Python code to be run: " + saveStateDict
	case has("pytorch-lightning_version"):
		u.Reason = "a LightningModule keeps objects out of its checkpoints with self.save_hyperparameters(ignore=[...])"
	default:
		u.Reason = "checkpoints are tensors, numbers, strings, and lists and dicts of them: in Python, save nothing else, " +
			"as torch.save(model.state_dict(), path) does"
	}
	return err
}

// ForeignFolder names a folder that is no sharded checkpoint, with the file in it to read instead. It returns nil for
// what it does not know.
func ForeignFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	find := func(patterns ...string) string {
		for _, pattern := range patterns {
			for _, e := range entries {
				if ok, _ := path.Match(pattern, e.Name()); ok {
					return e.Name()
				}
			}
		}
		return ""
	}
	give := func(name string) string { return "give its file " + filepath.Join(dir, name) }
	if name := find("*.safetensors.index.json", "*.safetensors", "*.bin.index.json", "pytorch_model*.bin"); name != "" {
		return &errs.ErrUnsupported{File: dir, What: "the folder of a Hugging Face model", Remedy: give(name)}
	}
	switch {
	case find("zero_to_fp32.py") != "":
		return &errs.ErrUnsupported{File: dir, What: "a checkpoint of DeepSpeed",
			Remedy: "run python zero_to_fp32.py in it, and give the file that it writes"}
	case find("saved_model.pb") != "":
		return &errs.ErrUnsupported{File: dir, What: "a TensorFlow SavedModel", Remedy: fmt.Sprintf(asSafetensors,
			"tf.saved_model.load")}
	case find("_CHECKPOINT_METADATA", "_METADATA") != "":
		return &errs.ErrUnsupported{File: dir, What: "an Orbax checkpoint (JAX)", Remedy: fmt.Sprintf(asSafetensors,
			"orbax.checkpoint")}
	case find("data.pkl") != "":
		return &errs.ErrUnsupported{File: dir, What: "an unpacked file of torch.save",
			Remedy: "pack it again, with the folder's name before the records': zip -0 -r new.pt " + filepath.Base(dir)}
	}
	return nil
}
