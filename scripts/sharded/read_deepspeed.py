"""Compares, bit for bit, what DeepSpeed's zero_to_fp32 makes of two folders, or of a folder and a plain state dict.

    "$(scripts/sharded/peers.sh)/bin/python" scripts/sharded/read_deepspeed.py A B
"""

import contextlib
import io
import os
import sys

from deepspeed_cpu import deepspeed  # noqa: F401 its classes are in the pickles

import torch
from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint


def read(path):
    if os.path.isdir(path):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return get_fp32_state_dict_from_zero_checkpoint(path)
    d = torch.load(path)
    return d.get("model", d)


a, b = (read(p) for p in sys.argv[1:])
assert a.keys() == b.keys(), a.keys() ^ b.keys()
for k in a:
    assert a[k].dtype == b[k].dtype and torch.equal(a[k].contiguous().view(torch.uint8), b[k].contiguous().view(torch.uint8)), k
print(f"equal: {len(a)} tensors")
