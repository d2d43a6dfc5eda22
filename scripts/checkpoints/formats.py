"""Records files of formats that torch/serial names, and of wrapped and sharded models that it reads.

    "$(scripts/peers.sh)/bin/python" scripts/checkpoints/formats.py torch/serial/testdata/formats

It needs torch 2.11.0, numpy and safetensors. ONNX (onnx 1.23.2), GGUF (gguf 0.19.0), Flax's msgpack (flax 0.12.8), and Keras' and
TensorFlow's files (tensorflow-cpu 2.21.0, keras 3.15.1) are recorded where these packages are installed; names after the
folder, such as "onnx gguf", record those alone.
"""

import json
import os
import pickle
import shutil
import sys
import tempfile
import zipfile

import numpy as np


def net():
    import torch
    from torch import nn

    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def programs(out):
    """What PyTorch writes that is no checkpoint: programs and whole modules."""
    import torch

    model, example = net().eval(), (torch.ones(1, 3),)
    torch.jit.save(torch.jit.script(model), out("script.pt"))
    torch.jit.script(model)._save_for_lite_interpreter(out("mobile.ptl"))
    torch.export.save(torch.export.export(model, example), out("exported.pt2"))
    torch.save(model, out("module.pt"))
    torch.save(model, out("module_legacy.pt"), _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "model": model}, out("module_inside.pt"))
    torch.save({"model": model.state_dict(), "scheduler": slice(1, 2)}, out("class_inside.pt"))
    torch.save(model.state_dict(), out("bare.pt"))
    torch.save(model.state_dict(), out("bare_legacy.pt"), _use_new_zipfile_serialization=False)
    torch.save(user_class(), out("module_class.pt"))
    with torch.package.PackageExporter(out("package.pt")) as exporter:
        exporter.extern("**")
        exporter.save_pickle("model", "model.pkl", model.state_dict())
    aot_package(out, model, example)


def user_class():
    """A module of a class in the program itself, as most are."""
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 2)

    Net.__module__, Net.__qualname__ = "__main__", "Net"
    sys.modules["__main__"].Net = Net
    return Net()


def tensors(out):
    """Tensors that a file of torch.save can hold and golite does not read."""
    import torch
    import torch.distributed as dist
    from torch.distributed.tensor import init_device_mesh, distribute_tensor

    t = torch.arange(6.0).reshape(2, 3)
    torch.save({"w": torch.quantize_per_tensor(t, 0.1, 0, torch.qint8)}, out("quantized.pt"))
    torch.save({"w": torch.nested.nested_tensor([t[0], t[1, :2]])}, out("nested.pt"))
    torch.save({"w": t.to("meta")}, out("meta.pt"))
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    torch.save({"w": distribute_tensor(t, init_device_mesh("cpu", (1,)))}, out("distributed.pt"))
    dist.destroy_process_group()


def aot_package(out, model, example):
    """An AOTInductor package, whose compiled library is replaced by its first bytes: it is half a megabyte."""
    import torch

    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "aot.pt2")
        torch._inductor.aoti_compile_and_package(torch.export.export(model, example), package_path=path)
        with zipfile.ZipFile(path) as src, zipfile.ZipFile(out("aot.pt2"), "w", zipfile.ZIP_STORED) as dst:
            for info in src.infolist():
                dst.writestr(info.filename, src.read(info)[:64])


def wrapped(out):
    """State dicts of one model in the wrappers that PyTorch puts around modules, and their combinations."""
    import torch
    import torch.distributed as dist
    from torch.optim.swa_utils import AveragedModel

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    ddp = torch.nn.parallel.DistributedDataParallel
    inner = net()
    inner[0] = torch.compile(inner[0])
    for name, model in {
        "bare": net(), "compile": torch.compile(net()), "ddp": ddp(net()), "averaged": AveragedModel(net()),
        "compile_ddp": torch.compile(ddp(net())), "ddp_compile": ddp(torch.compile(net())), "averaged_ddp": AveragedModel(ddp(net())),
        "averaged_compile": AveragedModel(torch.compile(net())), "ddp_averaged": ddp(AveragedModel(net())), "inner": inner, "ddp_inner": ddp(inner),
        "data_parallel": torch.nn.DataParallel(net()),
    }.items():  # fmt: skip
        torch.save(model.state_dict(), out("wrapped_" + name + ".pt"))
    dist.destroy_process_group()


def sharded(out):
    """A model in several files with an index, as transformers' save_pretrained writes it: safetensors, and torch.save."""
    import torch
    from safetensors.torch import save_file

    state = net().state_dict()
    for ext, prefix, write in (("safetensors", "model", lambda part, path: save_file(part, path, metadata={"format": "pt"})),
                               ("bin", "pytorch_model", torch.save)):  # fmt: skip
        names, weights = list(state), {}
        for i, part in enumerate((names[:1], names[1:])):
            file = f"{prefix}-{i + 1:05d}-of-00002.{ext}"
            write({n: state[n] for n in part}, out(file))
            weights.update({n: file for n in part})
        index = {"metadata": {"total_size": sum(t.nbytes for t in state.values())}, "weight_map": dict(sorted(weights.items()))}
        with open(out(f"{prefix}.{ext}.index.json"), "w") as f:
            f.write(json.dumps(index, indent=2, sort_keys=True) + "\n")


def plain(out):
    """Files of numpy and of Python alone."""
    w = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(out("array.npy"), w)
    np.savez(out("arrays.npz"), w=w, b=w[0])
    np.savez_compressed(out("arrays_compressed.npz"), w=w, b=w[0])
    with open(out("values.pkl"), "wb") as f:
        pickle.dump({"w": [1.0, 2.0]}, f)
    with open(out("config.json"), "w") as f:
        f.write('{"architectures": ["LlamaForCausalLM"], "hidden_size": 8}\n')
    with open(out("pointer.safetensors"), "w") as f:
        f.write("version https://git-lfs.github.com/spec/v1\n" + "oid sha256:" + 64 * "0" + "\nsize 4421\n")
    with open(out("page.pt"), "w") as f:
        f.write("<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n")


def onnx(out):
    import onnx as package
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((3, 2), np.float32), "w")
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 3]), ("y", [1, 2]))]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", value[:1], value[1:], [weight])
    package.save(helper.make_model(graph, producer_name="golite"), out("model.onnx"))


def keras(out):
    import keras as package

    model = package.Sequential([package.Input((3,)), package.layers.Dense(2)])
    model.save(out("model.keras"))
    model.save(out("model.h5"))


def gguf(out):
    from gguf import GGUFWriter

    w = GGUFWriter(out("model.gguf"), "llama")
    w.add_block_count(1)
    w.add_tensor("token_embd.weight", np.ones((4, 8), np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def flax(out):
    from flax import serialization

    with open(out("flax_model.msgpack"), "wb") as f:
        f.write(serialization.to_bytes({"params": {"Dense_0": {"kernel": np.ones((3, 2), np.float32)}}}))


def tensorflow(out):
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(tf.ones((3, 2)))

        @tf.function(input_signature=[tf.TensorSpec([None, 3])])
        def __call__(self, x):
            return x @ self.w

    with tempfile.TemporaryDirectory() as scratch:
        module = Module()
        tf.saved_model.save(module, scratch)
        os.makedirs(out("saved_model/variables"), exist_ok=True)
        shutil.copy(os.path.join(scratch, "saved_model.pb"), out("saved_model"))
        shutil.copy(os.path.join(scratch, "variables", "variables.index"), out("saved_model/variables"))
        with open(out("model.tflite"), "wb") as f:
            f.write(tf.lite.TFLiteConverter.from_concrete_functions([module.__call__.get_concrete_function()], module).convert())


ALL = {f.__name__: f for f in (programs, tensors, wrapped, sharded, plain, onnx, keras, gguf, flax, tensorflow)}


def main(folder, *names):
    os.makedirs(folder, exist_ok=True)
    for name in names or ALL:
        try:
            ALL[name](lambda file: os.path.join(folder, file))
        except ImportError as e:
            if names:
                raise
            print(f"{name} is not recorded: {e}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
