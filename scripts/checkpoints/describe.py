"""Describes Python values as JSON, tensors by the hash of their elements, so that two programs can compare what they read."""

import argparse
import collections
import hashlib
import json
import sys

import numpy as np
import torch


def raw(t):
    """The bytes of a dense tensor's elements in row-major order, with lazy conjugation and negation applied."""
    t = t.detach().cpu().resolve_conj().resolve_neg().contiguous()
    return t.flatten().view(torch.uint8).numpy().tobytes() if t.numel() else b""


def sha(b):
    return hashlib.sha256(b).hexdigest()


class Describer:
    def __init__(self):
        self.storages = {}

    def tensor(self, t):
        out = {"py": "tensor", "dtype": str(t.dtype), "shape": list(t.shape), "layout": str(t.layout).removeprefix("torch."),
               "requires_grad": t.requires_grad, "parameter": isinstance(t, torch.nn.Parameter)}
        if t.layout == torch.sparse_coo:
            out["coalesced"] = t.is_coalesced()
            out["parts"] = [self.tensor(t.detach()._indices()), self.tensor(t.detach()._values())]
        elif t.layout in (torch.sparse_csr, torch.sparse_bsr):
            out["parts"] = [self.tensor(p.detach()) for p in (t.crow_indices(), t.col_indices(), t.values())]
        elif t.layout in (torch.sparse_csc, torch.sparse_bsc):
            out["parts"] = [self.tensor(p.detach()) for p in (t.ccol_indices(), t.row_indices(), t.values())]
        else:
            s = t.untyped_storage()
            out.update(strides=list(t.stride()), offset=t.storage_offset(), sha=sha(raw(t)), conj=t.is_conj(), neg=t.is_neg(),
                       storage=self.storages.setdefault(s._cdata, len(self.storages)), nbytes=s.nbytes())
        attributes = {k: v for k, v in vars(t).items() if not k.startswith("_")} if hasattr(t, "__dict__") else {}
        if attributes:
            out["attrs"] = self.value(attributes)
        return out

    def value(self, v):
        if isinstance(v, torch.Tensor):
            return self.tensor(v)
        if v is None or isinstance(v, (bool, str)):
            return {"py": type(v).__name__, "v": v}
        if isinstance(v, np.ndarray) or isinstance(v, np.generic):
            a = np.asarray(v)
            fortran = a.flags.f_contiguous and not a.flags.c_contiguous
            return {"py": "numpy", "dtype": a.dtype.str, "shape": list(a.shape), "scalar": isinstance(v, np.generic), "fortran": fortran,
                    "sha": sha(a.tobytes("F" if fortran else "C"))}
        if isinstance(v, int):
            return {"py": "int", "v": str(v)}
        if isinstance(v, float):
            return {"py": "float", "v": v.hex()}
        if isinstance(v, complex):
            return {"py": "complex", "v": [v.real.hex(), v.imag.hex()]}
        if isinstance(v, (bytes, bytearray)):
            return {"py": type(v).__name__, "v": bytes(v).hex()}
        if isinstance(v, torch.Size):
            return {"py": "size", "v": list(v)}
        if isinstance(v, (torch.dtype, torch.device, torch.layout, np.dtype)):
            return {"py": "named", "v": v.str if isinstance(v, np.dtype) else str(v)}
        if isinstance(v, argparse.Namespace):
            return {"py": "argparse.Namespace", "items": self.pairs(vars(v))}
        if isinstance(v, dict):
            kinds = {collections.OrderedDict: "collections.OrderedDict", collections.defaultdict: "collections.defaultdict", collections.Counter: "collections.Counter"}
            out = {"py": kinds.get(type(v), "dict"), "items": self.pairs(v)}
            if isinstance(v, collections.defaultdict):
                out["factory"] = v.default_factory.__name__ if v.default_factory else ""
            return out
        if isinstance(v, (list, tuple)):
            return {"py": "tuple" if isinstance(v, tuple) else "list", "v": [self.value(x) for x in v]}
        if isinstance(v, (set, frozenset)):
            return {"py": type(v).__name__, "v": sorted((self.value(x) for x in v), key=json.dumps)}
        raise TypeError(f"no description for {type(v)}")

    def pairs(self, d):
        return [[self.value(k), self.value(v)] for k, v in d.items()]


def describe(v):
    return Describer().value(v)


def load(path):
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file

        return load_file(path)
    try:
        return torch.load(path, weights_only=True)
    except Exception:
        if "full" not in path:
            raise
        return torch.load(path, weights_only=False)


if __name__ == "__main__":
    # python describe.py FILE...: one JSON object, the description of each file.
    print(json.dumps({p: describe(load(p)) for p in sys.argv[1:]}))
