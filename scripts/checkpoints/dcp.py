"""Reads a sharded checkpoint of golite's with torch.distributed.checkpoint, checks it, and writes it again.

    python scripts/checkpoints/dcp.py READ WRITE
"""

import sys
import warnings

import torch
import torch.distributed.checkpoint as dcp

warnings.filterwarnings("ignore")
read, write = sys.argv[1:]
state = {
    "w": torch.zeros(10, 6), "nested": {"v": torch.zeros(4, 6), "b": torch.zeros(3, dtype=torch.int64), "half": torch.zeros(2)},
    "state": {"0": {"step": torch.zeros(1)}}, "list": [0, torch.zeros(1, dtype=torch.float64)], "step": 0, "text": "", "betas": (),
}
dcp.load(state, checkpoint_id=read)
assert torch.equal(state["w"], torch.arange(60.0).view(10, 6)), state["w"]
assert torch.equal(state["nested"]["v"], torch.arange(24.0).view(4, 6)), state["nested"]["v"]
assert state["nested"]["b"].tolist() == [1, 2, 3]
assert state["state"]["0"]["step"].item() == 3
assert state["list"][1].item() == 2.5
assert (state["step"], state["text"], state["betas"]) == (7, "x", (0.9, 0.99)), state
state["extra"] = {"bf": torch.ones(2, dtype=torch.bfloat16), "t": torch.arange(6.0).view(2, 3).t()}
dcp.save(state, checkpoint_id=write)
