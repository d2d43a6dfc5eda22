"""The same program as main.go, in Python on Lightning Fabric: the twin that the README compares with.

    "$(scripts/peers.sh)/bin/python" examples/mnist/mnist.py -epochs 3 -checkpoint mnist.pt

The flags are the Go program's. With one thread and the same seed the losses are the same, to the last bit. Fabric keeps no
place in a data loader, so this one saves after each epoch and at -max-steps, and -resume goes on with the next epoch.
"""

import argparse
import gzip
import json
import sys
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric, seed_everything
from torch import nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

DATA = Path(__file__).resolve().parents[2] / "datasets/mnist"


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-accelerator", default="cpu")
    p.add_argument("-devices", default="1")
    p.add_argument("-num-nodes", type=int, default=1)
    p.add_argument("-strategy", default="auto")
    p.add_argument("-precision", default="32-true")
    p.add_argument("-model", choices=["mlp", "cnn"], default="mlp")
    p.add_argument("-epochs", type=int, default=3)
    p.add_argument("-batch-size", type=int, default=64)
    p.add_argument("-lr", type=float, default=0)
    p.add_argument("-seed", type=int, default=1)
    p.add_argument("-checkpoint", default="")
    p.add_argument("-resume", default="")
    p.add_argument("-metrics", default="")
    p.add_argument("-threads", type=int, default=0)
    p.add_argument("-max-steps", type=int, default=0)
    return p.parse_args()


def images(name):
    """A data set as datasets/mnist has it: pixels from 0 to 1 and digits."""

    def content(kind, skip):
        return np.frombuffer(gzip.decompress((DATA / f"{name}-{kind}-ubyte.gz").read_bytes()), np.uint8, offset=skip).copy()

    x = torch.from_numpy(content("images-idx3", 16)).reshape(-1, 1, 28, 28).float() / 255
    return TensorDataset(x, torch.from_numpy(content("labels-idx1", 8)).long())


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, x):
        return self.body(x)

    loss = staticmethod(F.cross_entropy)


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
            nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10), nn.LogSoftmax(1),
        )  # fmt: skip

    def forward(self, x):
        return self.body(x)

    loss = staticmethod(F.nll_loss)


def build(o):
    if o.model == "cnn":
        net = CNN()
        return net, optim.Adam(net.parameters(), lr=o.lr or 1e-3)
    net = MLP()
    return net, optim.SGD(net.parameters(), lr=o.lr or 0.1, momentum=0.9)


def evaluate(fabric, model):
    loader = fabric.setup_dataloaders(DataLoader(images("t10k"), 1000))
    model.eval()
    correct, seen = torch.zeros((), dtype=torch.int64, device=fabric.device), 0
    with torch.no_grad():
        for x, y in loader:
            correct += (model(x).argmax(-1) == y).sum()
            seen += len(x)
    correct = fabric.all_reduce(correct, reduce_op="sum")
    return correct.item() / fabric.all_reduce(torch.tensor(float(seen)), reduce_op="sum").item()


def train(fabric, o):
    seed_everything(o.seed, verbose=False)
    net, opt = build(o)
    model, opt = fabric.setup(net, opt)
    loader = fabric.setup_dataloaders(DataLoader(images("train"), o.batch_size, shuffle=True))
    metrics = open(o.metrics, "a") if o.metrics else None
    state = {"model": model, "optimizer": opt, "epoch": 0, "step": 0}
    if o.resume:
        fabric.load(o.resume, state)
        state["epoch"] += 1

    model.train()
    while state["epoch"] < o.epochs and not 0 < o.max_steps <= state["step"]:
        for x, y in loader:
            opt.zero_grad()
            loss = net.loss(model(x), y)
            fabric.backward(loss)
            opt.step()
            state["step"] += 1
            if metrics:
                text = str(loss.detach().cpu().numpy()) if loss.dtype in (torch.float32, torch.float64) else repr(loss.item())
                line = {"rank": fabric.global_rank, "epoch": state["epoch"], "step": state["step"]}
                metrics.write(json.dumps(line, separators=(",", ":"))[:-1] + f',"loss":{text}}}\n')
                metrics.flush()
            if state["step"] == o.max_steps:
                break
        if o.checkpoint:
            fabric.save(o.checkpoint, state)
        state["epoch"] += 1

    accuracy = evaluate(fabric, model)
    fabric.print(f"test accuracy {100 * accuracy:.2f} %")
    if metrics and fabric.global_rank == 0:
        metrics.write(f'{{"accuracy":{accuracy}}}\n')


def main():
    o = options()
    if o.threads:
        torch.set_num_threads(o.threads)
    devices = int(o.devices) if o.devices.lstrip("-").isdigit() else o.devices
    fabric = Fabric(accelerator=o.accelerator, strategy=o.strategy, devices=devices, num_nodes=o.num_nodes, precision=o.precision)
    fabric.launch(train, o) if o.strategy == "ddp_spawn" else (fabric.launch(), train(fabric, o))


if __name__ == "__main__":
    sys.exit(main())
