"""The Python side of the checkpoint benchmark: reads "save PATH" and "load PATH" lines, answers with seconds.

A save is torch.save to a temporary file, fsync, rename and fsync of the folder, as golite's is.
"""

import os
import sys
import time

import torch

mib = int(sys.argv[1])
n = mib * 2**20 // 4 // 64
state = {f"layer{i}.weight": torch.randn(n // 1024, 1024) for i in range(64)}


def save(path):
    temporary = path + ".tmp"
    with open(temporary, "wb") as f:
        torch.save(state, f)
        f.flush()
        os.fsync(f.fileno())
    os.rename(temporary, path)
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


for line in sys.stdin:
    verb, path = line.split(maxsplit=1)
    start = time.perf_counter()
    if verb == "save":
        save(path.strip())
    else:
        loaded = torch.load(path.strip())
    print(time.perf_counter() - start, flush=True)
    loaded = None
