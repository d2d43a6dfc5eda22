"""The Python side of the benchmarks on a GPU: one workload a process, which a driver asks to measure whenever it is its turn.

    device.py mlp fabric cpu|cuda
    device.py gpt2 torch cpu|cuda

It answers each line that it reads with the microseconds of one step, which the device has done when the clock is read, and those of the
processor, over a block of steps. On cpu the workloads are tiny: it shows that they run, and no more. With BENCH_TRACE=FILE it writes a profile of
five steps there first.
"""

import os
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

from work import mlp, report

BLOCK = 5e5  # microseconds: long beside what filling and emptying the device's queue takes


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        n, t, dim = x.shape
        q, k, v = (p.view(n, t, self.heads, dim // self.heads).transpose(1, 2) for p in self.qkv(self.norm1(x)).split(dim, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(n, t, dim))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, dim, heads, depth, vocab, seq):
        super().__init__()
        self.tok = nn.Embedding(vocab, dim)
        self.pos = nn.Parameter(torch.randn(seq, dim) * 0.02)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, vocab, bias=False)

    def forward(self, ids):
        x = self.tok(ids) + self.pos[: ids.shape[1]]
        for b in self.blocks:
            x = b(x)
        return self.head(self.norm(x))


def small(device):
    """The MLP's step through Fabric, eager: what a user of Lightning has without more ado."""
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="gpu" if device == "cuda" else device, devices=1)
    fabric.launch()
    net = mlp()
    net, opt = fabric.setup(net, torch.optim.SGD(net.parameters(), 0.1))
    x, y = torch.randn(64, 784, device=device), torch.randint(10, (64,), device=device)

    def step():
        opt.zero_grad()
        fabric.backward(F.cross_entropy(net(x), y))
        opt.step()

    return step


def large(device):
    """GPT-2's size in bfloat16 by autocast, eager, with the fused optimizer."""
    dim, heads, depth, vocab, seq, batch = (768, 12, 12, 50257, 1024, 8) if device == "cuda" else (32, 2, 2, 64, 16, 2)
    net = GPT(dim, heads, depth, vocab, seq).to(device)
    opt = torch.optim.AdamW(net.parameters(), 3e-4, fused=True)
    x, y = torch.randint(vocab, (batch, seq), device=device), torch.randint(vocab, (batch * seq,), device=device)

    def step():
        opt.zero_grad()
        with torch.autocast(device, torch.bfloat16):
            out = net(x)
        F.cross_entropy(out.float().view(-1, vocab), y).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()

    return step


def measure(step, n, device):
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(n):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - wall) * 1e6, (time.process_time() - cpu) * 1e6


def warm(step, device):
    """Runs steps for a second: kernels are loaded and chosen."""
    start = time.perf_counter()
    while time.perf_counter() - start < 1:
        measure(step, 1, device)


def trace(path, step, device):
    """Writes a profile of five steps, and prints which operations took most, and how much of the GPU's memory was in use."""
    if not path:
        return
    from torch.profiler import profile

    with profile() as p:
        measure(step, 5, device)
    p.export_chrome_trace(path)
    by = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    print(p.key_averages().table(sort_by=by, row_limit=40), file=sys.stderr)
    if device == "cuda":
        print(torch.cuda.max_memory_allocated() >> 20, "MiB at most", file=sys.stderr)


def main():
    torch.manual_seed(1)
    name, _, device = sys.argv[1:]
    step = {"mlp": small, "gpt2": large}[name](device)
    warm(step, device)
    trace(os.environ.get("BENCH_TRACE"), step, device)
    n = 1
    while (us := measure(step, n, device)[0]) < BLOCK:
        n *= 2
    n = max(3, int(n * BLOCK / us))
    report(ready=True)
    for line in sys.stdin:
        if line.strip() == "quit":
            break
        wall, cpu = measure(step, n, device)
        report(value=wall / n, cpu=cpu / n)


if __name__ == "__main__":
    main()
