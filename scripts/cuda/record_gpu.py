"""Trains an MLP and a CNN with PyTorch on this machine's GPU, in float32 without TF32 and with deterministic kernels, and prints losses and
parameters as JSON, for TestBitsOfPyTorchOnAGPU in lite: kernels differ by GPU, so that the recording is made where the test runs.

    python scripts/cuda/record_gpu.py >out/gpu.json
"""
import hashlib
import json
import os
import sys

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch
import torch.nn as nn
import torch.nn.functional as F

STEPS = 20


def mlp():
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
        nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))


def train(build, shape, device):
    torch.manual_seed(1)
    net = build().to(device)
    opt = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    losses = []
    for _ in range(STEPS):
        x, y = torch.randn(64, *shape), torch.randint(0, 10, (64,))
        opt.zero_grad()
        loss = F.cross_entropy(net(x.to(device)), y.to(device))
        loss.backward()
        opt.step()
        losses.append(loss.item())
    digest = hashlib.sha256()
    for p in net.parameters():
        digest.update(p.detach().cpu().contiguous().numpy().tobytes())
    return {"losses": losses, "parameters": digest.hexdigest()}


def main():
    device = sys.argv[1] if len(sys.argv) > 1 else "cuda"
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_num_threads(1)
    print(json.dumps({
        "device": device, "name": torch.cuda.get_device_name(0) if device == "cuda" else "", "torch": torch.__version__,
        "mlp": train(mlp, (784,), device), "cnn": train(cnn, (1, 28, 28), device)}))


main()
