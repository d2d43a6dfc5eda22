"""The Python side of the benchmarks: one workload a process, which a driver asks to measure whenever it is its turn.

    work.py WORKLOAD [torch|fused|fabric]
    work.py ranks WORKLOAD torch|fabric COUNT
    work.py checkpoint|load DIR

It answers each line that it reads with the microseconds of one step and those of the processor that it took, over a block of
steps that takes about a tenth of a second. "ranks" measures a step that several processes do together, "checkpoint" a save and a
load. "start", "epoch", "eval", "trains", "scope", "sampler", "loader" and "load" measure a whole process: they print one line and end.
"""

import gzip
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from collectives import collective

DIM, HEADS, DEPTH, VOCAB, SEQ = 128, 4, 4, 256, 64
WORDS, LONG = 2000, 1024


def report(**values):
    print(json.dumps(values), flush=True)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM, bias=False), nn.Linear(DIM, DIM)
        self.up, self.down = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = (p.view(n, t, HEADS, DIM // HEADS).transpose(1, 2) for p in self.qkv(self.norm1(x)).split(DIM, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(n, t, DIM))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, seq=SEQ):
        super().__init__()
        self.tok = nn.Embedding(VOCAB, DIM)
        self.pos = nn.Parameter(torch.randn(seq, DIM) * 0.02)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(DIM)
        self.head = nn.Linear(DIM, VOCAB, bias=False)

    def forward(self, ids):
        x = self.tok(ids) + self.pos[: ids.shape[1]]
        for b in self.blocks:
            x = b(x)
        return self.head(self.norm(x))


def mlp():
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def deep(layers, width):
    return nn.Sequential(*(m for _ in range(layers) for m in (nn.Linear(width, width), nn.ReLU())))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
        nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10), nn.LogSoftmax(1))


class Words(nn.Module):
    """The language model of PyTorch's word_language_model example."""

    def __init__(self):
        super().__init__()
        self.words, self.drop = nn.Embedding(WORDS, 200), nn.Dropout(0.2)
        self.body = nn.LSTM(200, 200, 2, dropout=0.2, batch_first=True)
        self.out = nn.Linear(200, WORDS)

    def forward(self, ids):
        x, _ = self.body(self.drop(self.words(ids)))
        return F.log_softmax(self.out(self.drop(x)), -1).view(-1, WORDS)


def fabric_of(devices):
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto")
    fabric.launch()
    return fabric


def training(mode, net, opt, x, loss, clip=0.0):
    """A whole step: zero_grad, forward, loss, backward, clipping, and the optimizer; through a Fabric where the mode is one."""
    if mode == "fabric":
        mode = fabric_of(1)
    if not isinstance(mode, str):
        fabric = mode
        net, opt = fabric.setup(net, opt)

        def step():
            opt.zero_grad()
            fabric.backward(loss(net(x)))
            if clip:
                fabric.clip_gradients(net, opt, max_norm=clip)
            opt.step()
    else:
        if torch.distributed.is_initialized():
            net = nn.parallel.DistributedDataParallel(net)

        def step():
            opt.zero_grad()
            loss(net(x)).backward()
            if clip:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            opt.step()

    return step


def find(name, mode):
    fused = {"fused": True} if mode == "fused" else {}
    if name == "add":
        a, b = torch.randn(4), torch.randn(4)
        return lambda: a.add(b)
    if name == "addgrad":
        a, b, g = torch.randn(4, requires_grad=True), torch.randn(4), torch.ones(4)
        return lambda: a.add(b).backward(g)
    if name == "mlp":
        net, x, y = mlp(), torch.randn(64, 784), torch.randint(10, (64,))
        return training(mode, net, torch.optim.SGD(net.parameters(), 0.1, **fused), x, lambda out: F.cross_entropy(out, y))
    if name == "cnn":
        net, x, y = cnn(), torch.randn(64, 1, 28, 28), torch.randint(10, (64,))
        return training(mode, net, torch.optim.Adam(net.parameters(), 1e-3, **fused), x, lambda out: F.nll_loss(out, y))
    if name == "transformer":
        net, x, y = GPT(), torch.randint(VOCAB, (8, SEQ)), torch.randint(VOCAB, (8 * SEQ,))
        opt = torch.optim.AdamW(net.parameters(), 3e-4, **fused)
        return training(mode, net, opt, x, lambda out: F.cross_entropy(out.view(-1, VOCAB), y), 1.0)
    if ":" in name:
        return collective(*name.split(":"))
    if name.startswith("wide"):
        width = int(name[4:])
        net, x = deep(24, width), torch.randn(32, width)
        return training(mode, net, torch.optim.SGD(net.parameters(), 0.01, **fused), x, lambda out: out.mean())
    if name.startswith("deep"):
        net, x = deep(int(name[4:]), 16), torch.randn(16, 16)
        return training(mode, net, torch.optim.SGD(net.parameters(), 0.01, **fused), x, lambda out: out.mean())
    sys.exit(f"no workload {name}")


def measure(step, n):
    """The microseconds that n steps took: on the wall, and of the process's processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(n):
        step()
    return (time.perf_counter() - wall) * 1e6, (time.process_time() - cpu) * 1e6


def serve(step):
    n = 1
    while (us := measure(step, n)[1]) < 1e5:
        n *= 2
    n = max(3, int(n * 1e5 / us))
    report(ready=True)
    for line in sys.stdin:
        if line.strip() == "quit":
            break
        wall, cpu = measure(step, n)
        report(value=wall / n, cpu=cpu / n)


def ranks(name, mode, count):
    """A step that several processes do together: rank 0 speaks with the driver and tells the others how many steps to do."""
    if mode == "fabric":
        mode = fabric_of(count)
        rank = mode.global_rank
    else:
        rank = join(count)
    step = find(name, mode)
    dist = torch.distributed

    def told(value):
        box = [value]
        dist.broadcast_object_list(box, 0)
        return box[0]

    def together(n):
        dist.barrier()
        wall, cpu = measure(step, n)
        cpu = torch.tensor(cpu, dtype=torch.float64)
        dist.all_reduce(cpu)
        return wall, cpu.item()

    n, us = 1, 0
    while us < 1e5:
        n *= 2
        us = told(together(n)[0])
    n = max(3, int(n * 1e5 / us))
    if rank == 0:
        report(ready=True)
        for line in sys.stdin:
            if line.strip() == "quit":
                break
            told(True)
            wall, cpu = together(n)
            report(value=wall / n, cpu=cpu / n)
        told(False)
    else:
        while told(False):
            together(n)
    dist.barrier()
    os._exit(0)  # Gloo's threads don't always survive an orderly end


def join(count):
    """Makes this process a rank of PyTorch's own; the first one starts the others."""
    rank = int(os.environ.get("RANK", 0))
    if rank == 0:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = "127.0.0.1", str(s.getsockname()[1])
        for other in range(1, count):
            subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "RANK": str(other)}, stdin=subprocess.DEVNULL)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=count)
    return rank


STATE_MIB = 1024


def save(path, state):
    """torch.save to a temporary file, fsync, rename and fsync of the folder, as golite's is."""
    with open(path + ".tmp", "wb") as f:
        torch.save(state, f)
        f.flush()
        os.fsync(f.fileno())
    os.rename(path + ".tmp", path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def checkpoint(folder):
    """Answers each line with the seconds of a save and of a load of a gigabyte. Freeing what was loaded is part of neither."""
    path, n = os.path.join(folder, "torch.pt"), STATE_MIB * 2**20 // 4 // 64
    state = {f"layer{i}.weight": torch.randn(n // 1024, 1024) for i in range(64)}

    def both():
        begin = time.perf_counter()
        save(path, state)
        middle = time.perf_counter()
        loaded = torch.load(path)
        end = time.perf_counter()
        del loaded
        return {"save": middle - begin, "load": end - middle}

    both()
    report(ready=True)
    for line in sys.stdin:
        if line.strip() == "quit":
            break
        report(**both())


def load(folder):
    """Loads what golite saved, in a process that has loaded nothing before."""
    torch.randn(8, 8)
    before, begin = resident("VmHWM"), time.perf_counter()
    loaded = torch.load(os.path.join(folder, "golite.pt"))
    seconds = time.perf_counter() - begin
    report(seconds=seconds, growth=(resident("VmHWM") - before) / (STATE_MIB * 2**20))
    del loaded


class Numbered(torch.utils.data.Dataset):
    """As many samples as it says, made when they are asked for."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return torch.full((16,), float(i))


def loading(n, shuffled):
    """The first thousand batches of a data set of n samples."""
    loader = torch.utils.data.DataLoader(Numbered(n), 64, shuffle=shuffled)
    before, begin, batches = new_peak(), time.perf_counter(), 1000
    for i, batch in enumerate(loader, 1):
        assert len(batch) == 64
        if i == batches:
            break
    report(value=resident("VmHWM") - before, us=(time.perf_counter() - begin) * 1e6 / batches)


class Digits(torch.utils.data.Dataset):
    """MNIST's training images, made into numbers sample by sample."""

    def __init__(self, folder):
        def read(name, skip):
            with gzip.open(os.path.join(folder, name)) as f:
                return torch.frombuffer(bytearray(f.read()[skip:]), dtype=torch.uint8)

        self.images = read("train-images-idx3-ubyte.gz", 16).view(-1, 1, 28, 28)
        self.labels = read("train-labels-idx1-ubyte.gz", 8).long()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.images[i].float().div_(255).sub_(0.1307).div_(0.3081), self.labels[i]


def epoch(workers, folder):
    """One pass over MNIST with Fabric, loader included."""
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    fabric.seed_everything(1, verbose=False)
    net = mlp()
    net, opt = fabric.setup(net, torch.optim.SGD(net.parameters(), 0.1, momentum=0.9))
    loader = fabric.setup_dataloaders(torch.utils.data.DataLoader(Digits(folder), 64, shuffle=True, num_workers=workers))
    start = time.perf_counter()
    for x, y in loader:
        opt.zero_grad()
        loss = F.cross_entropy(net(x.view(-1, 784)), y)
        fabric.backward(loss)
        opt.step()
        last = loss.item()
    report(value=(time.perf_counter() - start) * 1e3, loss=last)


def start():
    """One step with Fabric, from the start of the process."""
    step = find("mlp", "fabric")
    step()
    report(done=True)


def resident(key):
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith(key + ":"))


def new_peak():
    """What memory the process has, from where VmHWM counts anew."""
    before = resident("VmRSS")
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")
    return before


def evaluate(name):
    """Many batches without gradients: by how many bytes the process's memory peaked above where it stood before."""
    torch.manual_seed(1)
    if name == "mlp20":
        net, x = deep(20, 1024), torch.randn(1024, 1024)
    elif name == "cnn":
        net, x = cnn().eval(), torch.randn(256, 1, 28, 28)
    else:
        net, x = GPT(), torch.randint(VOCAB, (64, SEQ))
    before = new_peak()
    begin, batches = time.perf_counter(), 16
    with torch.no_grad():
        for _ in range(batches):
            net(x).sum()
    report(value=resident("VmHWM") - before, ms=(time.perf_counter() - begin) * 1e3 / batches)


def large(name):
    """A training step of a large model or batch."""
    if name == "transformer":
        net, x, y = GPT(LONG), torch.randint(VOCAB, (4, LONG)), torch.randint(VOCAB, (4 * LONG,))
        return training("torch", net, torch.optim.AdamW(net.parameters(), 3e-4), x, lambda out: F.cross_entropy(out.view(-1, VOCAB), y))
    if name == "cnn":
        net, x, y = cnn(), torch.randn(256, 1, 28, 28), torch.randint(10, (256,))
        return training("torch", net, torch.optim.Adam(net.parameters(), 1e-3), x, lambda out: F.nll_loss(out, y))
    net, x, y = Words(), torch.randint(WORDS, (32, 128)), torch.randint(WORDS, (32 * 128,))
    return training("torch", net, torch.optim.SGD(net.parameters(), 0.1), x, lambda out: F.nll_loss(out, y))


def tensor_peak(run):
    """The most bytes of tensors that were allocated and not freed while run ran, by the profiler's events."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as p:
        kept = run()
    with tempfile.NamedTemporaryFile(suffix=".json") as trace:
        p.export_chrome_trace(trace.name)
        with open(trace.name) as f:
            events = [e for e in json.load(f)["traceEvents"] if e.get("name") == "[memory]"]
    del kept
    live = most = 0
    for e in sorted(events, key=lambda e: e["args"]["Ev Idx"]):
        live += e["args"]["Bytes"]
        most = max(most, live)
    return most


def trains(name):
    """Training steps of a large model or batch: the most bytes that tensors had in use in the first step and in all, by how many bytes
    the process's memory peaked above where it stood before the model was made, and how long a step took."""
    tiny = nn.Linear(2, 2)
    training("torch", tiny, torch.optim.AdamW(tiny.parameters()), torch.zeros(2, 2), lambda out: out.sum())()  # imports the optimizers
    before = new_peak()
    step, times = large(name), []
    for _ in range(TRAINED):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    grown = resident("VmHWM") - before
    del step

    def run(steps):
        step = large(name)
        for _ in range(steps):
            step()
        return step

    report(first=tensor_peak(lambda: run(1)), value=tensor_peak(lambda: run(3)), resident=grown, ms=sorted(times)[TRAINED // 2] * 1e3)


TRAINED = 25


def one_scope(mode):
    """Computes for long without gradients, nanoGPT's generate or a chain of layers: by how many bytes the process's memory peaked above
    where it stood before the model was made."""
    torch.zeros(1).add(1)
    before = new_peak()
    if mode == "generate":
        net, ids = GPT(), torch.zeros(1, 1, dtype=torch.int64)
        begin = time.perf_counter()
        with torch.no_grad():
            for _ in range(400):
                logits = net(ids if ids.shape[1] <= SEQ else ids[:, -SEQ:])
                logits = logits[:, -1] / 0.8
                v, _ = torch.topk(logits, 200)
                logits = logits.masked_fill(logits < v[:, [-1]], -float("inf"))
                ids = torch.cat((ids, torch.multinomial(F.softmax(logits, -1), 1)), 1)
    else:
        net, x = deep(100, 512), torch.randn(256, 512)
        begin = time.perf_counter()
        with torch.no_grad():
            for _ in range(10):
                net(x).sum()
    report(value=resident("VmHWM") - before, ms=(time.perf_counter() - begin) * 1e3)


def samples(n):
    """A whole pass of a random sampler."""
    before, begin, total = new_peak(), time.perf_counter(), 0
    for i in torch.utils.data.RandomSampler(range(n)):
        total += i
    assert total == n * (n - 1) // 2
    report(value=resident("VmHWM") - before, ms=(time.perf_counter() - begin) * 1e3)


def main():
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    torch.manual_seed(1)
    name, mode = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "torch"
    if name == "start":
        start()
    elif name == "epoch":
        epoch(int(mode), sys.argv[3])
    elif name == "eval":
        evaluate(mode)
    elif name == "trains":
        trains(mode)
    elif name == "scope":
        one_scope(mode)
    elif name == "sampler":
        samples(int(mode))
    elif name == "loader":
        loading(int(mode), sys.argv[3] == "shuffled")
    elif name == "ranks":
        ranks(mode, sys.argv[3], int(sys.argv[4]))
    elif name == "checkpoint":
        checkpoint(mode)
    elif name == "load":
        load(mode)
    else:
        serve(find(name, mode))


if __name__ == "__main__":
    main()
