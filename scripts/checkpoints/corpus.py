"""Records the corpus of checkpoints that torch/serial is tested with.

    python scripts/checkpoints/corpus.py torch/serial/testdata/corpus

It needs torch 2.11.0, numpy and safetensors; lightning is used where it is installed. Each file is described in
manifest.json: for every tensor its place in the value, dtype, shape, strides, offset, which storage it shares, and the SHA-256
of its elements; for every other value its Python repr. The Go tests read the files and compare.
"""

import argparse
import collections
import json
import os
import sys
import tempfile

import numpy as np
import torch
import torch.nn as nn

from describe import describe


SCRATCH = tempfile.mkdtemp()


def scratch(name):
    return os.path.join(SCRATCH, name)


def mlp():
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))


def cnn():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
        self.register_buffer("scale", torch.ones(()))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.head = nn.Embedding(20, 8), nn.Linear(8, 20, bias=False)
        self.head.weight = self.tok.weight


ARCHITECTURES = {
    "mlp": mlp,
    "cnn": cnn,
    "residual": Residual,
    "lstm": lambda: nn.LSTM(6, 5, num_layers=2, bidirectional=True),
    "gru": lambda: nn.GRU(6, 5),
    "transformer": lambda: nn.TransformerEncoderLayer(16, 4, 32),
    "decoder": lambda: nn.TransformerDecoderLayer(16, 4, 32, batch_first=True),
    "tied": Tied,
    "norms": lambda: nn.Sequential(nn.LayerNorm(6), nn.GroupNorm(2, 6), nn.InstanceNorm1d(6, affine=True, track_running_stats=True)),
    "weightnorm": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)), nn.Bilinear(3, 3, 2), nn.PReLU()),
}


def trained(optimizer, scheduler=None, **options):
    """The state of an optimizer (and scheduler) after three steps."""
    torch.manual_seed(3)
    model = mlp()
    opt = optimizer(model.parameters(), **options)
    sched = scheduler(opt) if scheduler else None
    for _ in range(3):
        def closure():
            opt.zero_grad()
            loss = model(torch.randn(4, 12)).square().mean()
            loss.backward()
            return loss

        opt.step(closure)
        if sched:
            sched.step()
    return {"model": model.state_dict(), "optimizer": opt.state_dict(), "scheduler": sched.state_dict() if sched else None}


def views():
    base = torch.arange(24, dtype=torch.float32)
    m = base.view(4, 6)
    return {
        "base": base, "matrix": m, "transposed": m.t(), "slice": m[1:3, 2:5], "step": base[1::3], "expanded": base[:1].expand(3, 4),
        "scalar": torch.tensor(3.25), "empty": torch.empty(0), "empty2": torch.empty(3, 0, 2), "view_empty": base[5:5],
        "channels_last": torch.arange(48.0).view(1, 3, 4, 4).to(memory_format=torch.channels_last), "same": base,
        "grad": torch.ones(2, requires_grad=True), "conj": torch.tensor([1 + 2j, 3 - 4j]).conj(),
        "neg": torch.tensor([1 + 2j, 3 - 4j]).conj().imag, "overlap": torch.arange(5.0).as_strided((3, 3), (1, 1)),
    }


def dtypes():
    out = {}
    for name in ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex128", "complex64",
                 "complex32", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
                 "float8_e8m0fnu", "float4_e2m1fn_x2"]:
        d = getattr(torch, name)
        raw = (torch.arange(64, dtype=torch.int16) * 37 % 251).to(torch.uint8)
        if name == "bool":
            raw = raw % 2
        out[name] = raw.view(d)
    out["nan"] = torch.tensor([float("nan"), float("inf"), -0.0, 5e-324], dtype=torch.float64)
    return out


def sparse():
    m = torch.tensor([[0.0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 4, 5], [0, 6, 0, 0]])
    return [m.to_sparse(), m.to_sparse_csr(), m.to_sparse_csc(), m.to_sparse_bsr((2, 2)), m.to_sparse_bsc((2, 2)),
            torch.sparse_coo_tensor(torch.tensor([[0, 0, 1]]), torch.tensor([1.0, 2.0, 3.0]), (4,))]


def containers():
    shared = [1, 2]
    deep = 7
    for _ in range(100):
        deep = [deep]
    return {
        "ints": [0, 1, -1, 255, 256, 65535, 65536, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63), 2**63, 2**100, -(2**100)],
        "floats": [0.0, -0.0, 1.5, float("inf"), 1e-310], "text": ["", "aé漢\U0001f600", "line\nline"], "bytes": [b"", b"ab\xff\x00", bytearray(b"\x80q")],
        "complex": 1 - 2.5j, "none": None, "bools": (True, False), "tuple": (1, (2, ()), [3]), "set": {1}, "size": torch.Size([2, 0, 3]),
        "dtype": [torch.float32, torch.bfloat16, torch.int64, torch.float8_e5m2], "device": [torch.device("cpu"), torch.device("cuda:1"), torch.device("cuda")],
        "ordered": collections.OrderedDict([("b", 1), ("a", 2)]), "counter": collections.Counter({"x": 3}),
        "keys": {1: "a", (1, "b"): "c", None: 0, 2.5: [], b"k": 1}, "shared": [shared, shared], "deep": deep, "long": "x" * 5000,
        "many": list(range(2500)), "big_dict": {str(i): i for i in range(1200)}, "layout": torch.sparse_csr,
    }


def only_full():
    """Values that only weights_only=False reads."""
    return {
        "arrays": [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)), np.array(["ab", "c"]), np.array([b"x", b"yz"]),
                   np.array([True, False]), np.zeros((0, 2), np.float32), np.array(5, np.uint8), np.array([1 + 2j])],
        "scalars": [np.float64(2.5), np.float32(0.1), np.int64(-4), np.bool_(True)], "dtype": np.dtype("float32"),
        "namespace": argparse.Namespace(lr=0.1, layers=[1, 2], name="x"), "default": collections.defaultdict(list, {1: [2]}),
        "default_none": collections.defaultdict(None, {"a": 1}), "frozen": frozenset([3]), "empty": argparse.Namespace(),
    }


def parameters():
    p = nn.Parameter(torch.arange(4.0))
    q = nn.Parameter(torch.arange(3.0), requires_grad=False)
    t = torch.arange(2.0)
    t.note = "kept"
    r = nn.Parameter(torch.ones(2))
    r.tag = {"a": 1}
    return {"p": p, "again": p, "q": q, "attributes": t, "parameter_attributes": r}


def lightning_files(save):
    try:
        import lightning as L
    except ImportError:
        print("lightning is not installed: its files are not recorded", file=sys.stderr)
        return

    class Net(L.LightningModule):
        def __init__(self, width=5, name="net"):
            super().__init__()
            self.save_hyperparameters()
            self.layer = nn.Linear(4, width)

        def training_step(self, batch, _):
            loss = self.layer(batch[0]).square().mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            opt = torch.optim.Adam(self.parameters())
            return {"optimizer": opt, "lr_scheduler": torch.optim.lr_scheduler.StepLR(opt, 1)}

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(8, 4)), 4)
    trainer = L.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
                        callbacks=[L.pytorch.callbacks.ModelCheckpoint(dirpath=scratch("lightning"), monitor="loss")], enable_checkpointing=True)
    trainer.fit(Net(), data)
    trainer.save_checkpoint(scratch("lightning.ckpt"))
    save("lightning.ckpt", torch.load(scratch("lightning.ckpt"), weights_only=False), copy_of=scratch("lightning.ckpt"))
    fabric = L.Fabric(accelerator="cpu", devices=1)
    model = nn.Linear(3, 2)
    model, opt = fabric.setup(model, torch.optim.SGD(model.parameters(), 0.1, momentum=0.9))
    fabric.backward(model(torch.ones(1, 3)).sum())
    opt.step()
    fabric.save(scratch("fabric.ckpt"), {"model": model, "optimizer": opt, "step": 1})
    save("fabric.ckpt", torch.load(scratch("fabric.ckpt"), weights_only=False), copy_of=scratch("fabric.ckpt"))


def swapped(value, path):
    """Writes value as a big-endian machine would: every element's bytes reversed, and the mark "big"."""
    import zipfile

    torch.save(value, scratch("corpus-little.pt"))
    widths = {}
    for t in value.values():
        key = t.untyped_storage()._cdata
        widths[key] = t.element_size() // (2 if t.is_complex() else 1)
    with zipfile.ZipFile(scratch("corpus-little.pt")) as src, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as dst:
        order = list(widths.values())
        for info in src.infolist():
            raw, name = src.read(info), info.filename.replace("corpus-little", "archive")
            if name.endswith("/byteorder"):
                raw = b"big"
            if "/data/" in name:
                w = order[int(name.rsplit("/", 1)[1])]
                raw = np.frombuffer(raw, np.uint8).reshape(-1, w)[:, ::-1].tobytes()
            dst.writestr(name, raw)


def main(out):
    os.makedirs(out, exist_ok=True)
    manifest = {"torch": torch.__version__, "numpy": np.__version__, "files": {}}

    def save(name, value, copy_of=None, full=False, **options):
        path = os.path.join(out, name)
        if copy_of:
            with open(copy_of, "rb") as src, open(path, "wb") as dst:
                dst.write(src.read())
        elif not options.get("written"):
            torch.save(value, path, **options)
        manifest["files"][name] = {"full": full, "value": describe(value)}

    torch.manual_seed(1)
    for name, make in ARCHITECTURES.items():
        save(f"{name}.pt", make().state_dict())
    O, S = torch.optim, torch.optim.lr_scheduler
    save("sgd.pt", trained(O.SGD, lr=0.1, momentum=0.9, nesterov=True))
    save("adam.pt", trained(O.Adam, lambda o: S.CosineAnnealingLR(o, 10), lr=1e-3, amsgrad=True))
    save("adamw.pt", trained(O.AdamW, lambda o: S.OneCycleLR(o, 0.1, total_steps=9), lr=1e-3))
    save("rmsprop.pt", trained(O.RMSprop, lambda o: S.MultiStepLR(o, [1, 2]), lr=1e-2, centered=True))
    save("lbfgs.pt", trained(O.LBFGS, lr=0.1, max_iter=2))
    save("views.pt", views())
    save("dtypes.pt", dtypes())
    save("sparse.pt", sparse())
    save("containers.pt", containers())
    save("parameters.pt", parameters())
    save("full.pt", only_full(), full=True)
    save("protocol5.pt", {"a": torch.ones(3), "b": [b"bytes", bytearray(b"x"), {1, 2}, "text", 2**80]}, pickle_protocol=5)
    save("protocol4.pt", {"a": torch.ones(3), "f": (1, 2, 3, 4), "s": {"k"}}, pickle_protocol=4)
    plain = {k: v for k, v in views().items() if k not in ("conj", "neg")}
    save("legacy_views.pt", plain, _use_new_zipfile_serialization=False)
    save("legacy_adam.pt", trained(O.Adam, lr=1e-3), _use_new_zipfile_serialization=False)
    save("legacy_types.pt", {k: v for k, v in dtypes().items() if "float8" not in k and "float4" not in k and "uint" not in k and k != "complex32"},
         _use_new_zipfile_serialization=False)
    save("tensor.pt", torch.arange(5))
    save("number.pt", 42)
    little = {k: v for k, v in dtypes().items() if k in ("float64", "float32", "int16", "complex64", "bfloat16", "uint8", "uint32")}
    swapped(little, os.path.join(out, "big_endian.pt"))
    save("big_endian.pt", little, written=True)
    lightning_files(save)
    from safetensors.torch import save_file

    tensors = {k: v.clone() for k, v in dtypes().items() if k not in ("complex128", "complex32", "float8_e4m3fnuz", "float8_e5m2fnuz", "float4_e2m1fn_x2")}
    tensors["empty"] = torch.empty(0, 3)
    tensors["scalar"] = torch.tensor(2.5)
    save_file(tensors, os.path.join(out, "plain.safetensors"), metadata={"format": "pt", "note": "é\n\"x\""})
    manifest["files"]["plain.safetensors"] = {"full": False, "value": describe(tensors)}
    with open(os.path.join(out, "manifest.json"), "w") as f:
        json.dump(manifest, f, indent=0, sort_keys=True)
        f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
