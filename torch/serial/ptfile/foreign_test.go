package ptfile_test

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/ptfile"
)

// formats are files of other formats, which scripts/checkpoints/formats.py recorded.
const formats = "../testdata/formats"

// TestOtherFormatsAreNamed: what the tools themselves wrote is called by its name, with what to do about it, and not
// corrupt.
func TestOtherFormatsAreNamed(t *testing.T) {
	for _, c := range []struct{ file, what, remedy string }{
		{"script.pt", "a TorchScript archive (torch.jit.save)", "torch.save(torch.jit.load(path).state_dict(), new)"},
		{"mobile.ptl", "a TorchScript archive for mobile devices", "torch.save(model.state_dict(), path)"},
		{"exported.pt2", "an exported program (torch.export.save)", "torch.save(torch.export.load(path).state_dict, new)"},
		{"aot.pt2", "a model compiled by AOTInductor", "torch.save(model.state_dict(), path)"},
		{"package.pt", "a package of code (torch.package)", "PackageImporter"},
		{"module.pt", "a whole module (torch.save(model))", "torch.save(model.state_dict(), path)"},
		{"module_inside.pt", "a whole module (torch.save(model))", "torch.save(model.state_dict(), path)"},
		{"module_legacy.pt", "a whole module (torch.save(model))", "torch.save(model.state_dict(), path)"},
		{"module_class.pt", "a whole module (torch.save(model))", "torch.save(model.state_dict(), path)"},
		{"quantized.pt", "torch._utils._rebuild_qtensor", "save t.dequantize()"},
		{"nested.pt", "torch._utils._rebuild_nested_tensor", "save the list t.unbind()"},
		{"meta.pt", "torch._utils._rebuild_meta_tensor_no_storage", "a tensor on the meta device has no values"},
		{"distributed.pt", "torch._utils._rebuild_wrapper_subclass", "t.full_tensor()"},
		{"class_inside.pt", "__builtin__.slice", "in Python, save nothing else, as torch.save(model.state_dict(), path) does"},
		{"array.npy", "a numpy array (numpy.save)", "torch.from_numpy(numpy.load(path))"},
		{"arrays.npz", "an archive of numpy arrays (numpy.savez)", "safetensors.numpy.save_file"},
		{"arrays_compressed.npz", "an archive of numpy arrays (numpy.savez)", "safetensors.numpy.save_file"},
		{"values.pkl", "a plain pickle", "save its tensors and arrays with torch.save"},
		{"config.json", "a JSON file", "model.safetensors.index.json"},
		{"model.safetensors.index.json", "a JSON file", "model.safetensors.index.json"},
		{"pointer.safetensors", "a Git LFS pointer", "git lfs pull"},
		{"page.pt", "an HTML or XML page", "download the file again"},
		{"model.onnx", "an ONNX model", "onnx.numpy_helper.to_array"},
		{"model.h5", "an HDF5 file (Keras' .h5)", "h5py"},
		{"model.keras", "a Keras model (.keras)", "keras.models.load_model"},
		{"model.gguf", "a GGUF file (llama.cpp)", "safetensors files"},
		{"flax_model.msgpack", "a msgpack file (Flax)", "flax.serialization.msgpack_restore"},
		{"model.tflite", "a TensorFlow Lite model", "weights of the model"},
		{"saved_model", "a TensorFlow SavedModel", "tf.saved_model.load"},
		{"saved_model/saved_model.pb", "a TensorFlow SavedModel", "tf.saved_model.load"},
		{"saved_model/variables/variables.index", "the index of a TensorFlow checkpoint", "tf.train.load_checkpoint"},
	} {
		t.Run(c.file, func(t *testing.T) {
			path := filepath.Join(formats, c.file)
			_, err := ptfile.Open(path)
			refused(t, err, path, c.what, c.remedy)
			if st, serr := os.Stat(path); serr == nil && st.Mode().IsRegular() { // the bytes tell it, whatever the name
				raw, rerr := os.ReadFile(path)
				require.NoError(t, rerr)
				_, err := ptfile.Read(bytes.NewReader(raw), int64(len(raw)), "weights.pt")
				refused(t, err, "weights.pt", c.what, c.remedy)
			}
		})
	}
}

// refused requires an error that names the file, its format and the remedy, and does not call the file damaged.
func refused(t *testing.T, err error, parts ...string) {
	t.Helper()
	require.Error(t, err)
	for _, part := range parts {
		require.ErrorContains(t, err, part)
	}
	var unsafe *errs.ErrUnsafe
	var unsupported *errs.ErrUnsupported
	require.True(t, asUnsafe(err, &unsafe) || asUnsupported(err, &unsupported), "%T: %v", err, err)
	require.NotContains(t, err.Error(), "zip -0")
}

// TestOtherBeginningsAreNamed has the formats that are told by a few bytes alone.
func TestOtherBeginningsAreNamed(t *testing.T) {
	for head, what := range map[string]string{
		"\x1f\x8b\x08\x00": "gzip", "\x28\xb5\x2f\xfd\x04": "zstd", "\xfd7zXZ\x00": "xz", "BZh91AY": "bzip2",
		"\x20\x00\x00\x00ET12": "ExecuTorch", "\n <html>": "HTML", "<?xml version=\"1.0\"?>": "XML",
		"\xef\xbb\xbf{\"a\": 1}": "JSON",
		"\x80\x02}q\x00.":        "a plain pickle",
	} {
		_, err := ptfile.Read(bytes.NewReader([]byte(head)), int64(len(head)), "x.pt")
		refused(t, err, what)
	}
	for name, what := range map[string]string{"a.onnx": "ONNX", "a.pb": "SavedModel", "a.mlmodel": "Core ML"} {
		_, err := ptfile.Read(bytes.NewReader([]byte("\x08\x09:x")), 4, name)
		refused(t, err, what)
	}
}

// TestOtherFolders: a folder that holds a model names the file to give instead.
func TestOtherFolders(t *testing.T) {
	for _, c := range []struct{ file, what string }{
		{"model.safetensors", "give its file %"}, {"model.safetensors.index.json", "give its file %"},
		{"pytorch_model.bin", "give its file %"}, {"pytorch_model.bin.index.json", "give its file %"},
		{"zero_to_fp32.py", "zero_to_fp32.py"}, {"_CHECKPOINT_METADATA", "Orbax"}, {"data.pkl", "zip -0 -r new.pt"},
		{"notes.txt", "LoadSharded"},
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, c.file), nil, 0o644))
		_, err := ptfile.Open(dir)
		require.ErrorContains(t, err,
			string(bytes.ReplaceAll([]byte(c.what), []byte("%"), []byte(filepath.Join(dir, c.file)))))
	}
}

// TestCompressedCheckpoints: an archive that was packed again with compression is told how to pack it.
func TestCompressedCheckpoints(t *testing.T) {
	src, err := zip.OpenReader(filepath.Join(formats, "bare.pt"))
	require.NoError(t, err)
	defer src.Close()
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for _, f := range src.File {
		body, err := f.Open()
		require.NoError(t, err)
		to, err := w.Create(f.Name)
		require.NoError(t, err)
		_, err = to.Write(bytes.Repeat([]byte("x"), 99))
		require.NoError(t, err)
		require.NoError(t, body.Close())
	}
	require.NoError(t, w.Close())
	_, err = ptfile.Read(bytes.NewReader(packed.Bytes()), int64(packed.Len()), "x.pt")
	require.ErrorContains(t, err, "zip -0")
}
