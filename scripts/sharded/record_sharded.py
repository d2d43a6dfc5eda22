"""Records PyTorch's FSDP2, FSDP1 and DeepSpeed's stages on two ranks over Gloo: losses, weights, checkpoint folders.

    "$(scripts/sharded/peers.sh)/bin/python" scripts/sharded/record_sharded.py

Writes ddp/shard/testdata/sharded.json.gz and ddp/shard/testdata/checkpoints/*.tar.gz; the README beside them describes
the folders.
"""

import gzip
import io
import os
import sys
import tarfile
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fixtures"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import common
import torch
import torch.distributed as dist
import torch.nn.functional as F
from common import Book, hexes
from torch import nn, optim

WORLD = 2
STEPS = 10
SEED = 7  # of all cases: equal arithmetic shows as equal losses

NOTES = [
    "Every rank is a process with one thread in a Gloo group of `world` ranks. A case: manual_seed(seed) on every rank, build the model "
    "(equal on all ranks), shard it; data generator g = Generator().manual_seed(100 + rank). `steps` times, `accumulate` micro-batches (1 unless given): "
    "x = randn(input shape, generator=g), y = randint(0, classes, (4,), generator=g), loss = cross_entropy(model(x).float(), y), backward of loss "
    "(of loss / accumulate under FSDP and DDP; DeepSpeed divides by itself); then step, and zero_grad.",
    "Models. mlp: blocks = ModuleList of 3 Block(24), each norm = LayerNorm(24), fc1 = Linear(24, 40), fc2 = Linear(40, 24), forward x + fc2(gelu(fc1(norm(x)))); "
    "head = Linear(24, 5); input [4, 24]; forward: the blocks in turn, then head. uneven: fc1 = Linear(7, 5), fc2 = Linear(5, 3), fc3 = Linear(3, 1, bias=False), out = Linear(1, 4) with "
    "tanh after fc1, fc2 and fc3; input [4, 7]. frozen: mlp with blocks.0.fc1 frozen (weight and bias).",
    "optimizer: adamw = AdamW(parameters, lr=1e-2, weight_decay=0.1, foreach=False), sgd = SGD(lr=0.1, momentum=0.9, foreach=False), adam = Adam(lr=1e-2, weight_decay=0.1, "
    "foreach=False), decay = AdamW(lr=1e-2, foreach=False) with two groups: weights (weight_decay 0.1), and biases and norms (0, lr 5e-3).",
    "method fsdp2: fully_shard(each block), then the root, reshard_after_forward as `reshard` says (null: the default), MixedPrecisionPolicy(param_dtype=bfloat16, reduce_dtype=float32) where "
    "`precision` is bf16. clip: clip_grad_norm_(max_norm=clip) before the step, norms recorded. method ddp: DistributedDataParallel. method fsdp1: FullyShardedDataParallel(use_orig_params=True, "
    "ModuleWrapPolicy({Block})). method deepspeed: deepspeed.initialize with `config`; bf16: the engine's bf16 block, and inputs are converted to bfloat16.",
    "losses.<rank> holds each micro-batch's loss on that rank. param.<key>: the whole weights at the end (fp32 masters under DeepSpeed bf16), by clean names; exp_avg.<key> and exp_avg_sq.<key> (momentum_buffer.<key>) the "
    "whole optimizer state. `checkpoint` names a folder under testdata/checkpoints, written after the last step.",
]


class Block(nn.Module):
    def __init__(self, n=24, hidden=40):
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(n), nn.Linear(n, hidden), nn.Linear(hidden, n)

    def forward(self, x):
        return x + self.fc2(F.gelu(self.fc1(self.norm(x))))


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(24, 5)

    def forward(self, x):
        for b in self.blocks:
            x = b(x)
        return self.head(x)


class Uneven(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(7, 5), nn.Linear(5, 3)
        self.fc3, self.out = nn.Linear(3, 1, bias=False), nn.Linear(1, 4)

    def forward(self, x):
        return self.out(torch.tanh(self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(x)))))))


def frozen():
    net = MLP()
    net.blocks[0].fc1.requires_grad_(False)
    return net


MODELS = {"mlp": (MLP, (4, 24), 5), "uneven": (Uneven, (4, 7), 4), "frozen": (frozen, (4, 24), 5)}


def optimizer(name, named):
    named = [(k, p) for k, p in named if p.requires_grad]
    params = [p for _, p in named]
    if name == "adamw":
        return optim.AdamW(params, lr=1e-2, weight_decay=0.1, foreach=False)
    if name == "adam":
        return optim.Adam(params, lr=1e-2, weight_decay=0.1, foreach=False)
    if name == "sgd":
        return optim.SGD(params, lr=0.1, momentum=0.9, foreach=False)
    plain = [p for k, p in named if k.endswith("bias") or "norm" in k]
    decayed = [p for k, p in named if not (k.endswith("bias") or "norm" in k)]
    return optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0, "lr": 5e-3}], lr=1e-2, foreach=False
    )


def case(method, model="mlp", opt="adamw", **how):
    name = "/".join([method, model, opt] + [f"{k}_{v}" for k, v in how.items() if k not in ("checkpoint", "seed")])
    return name, dict(method=method, model=model, optimizer=opt, **how)


CASES = [
    case("ddp", checkpoint=None),
    case("ddp", opt="sgd"),
    case("ddp", model="uneven"),
    case("ddp", clip=0.5),
    case("ddp", accumulate=2),
    case("fsdp2", checkpoint="fsdp2"),
    case("fsdp2", opt="sgd"),
    case("fsdp2", opt="decay"),
    case("fsdp2", reshard=True),
    case("fsdp2", reshard=False),
    case("fsdp2", precision="bf16"),
    case("fsdp2", precision="bf16", reshard=False),
    case("fsdp2", model="uneven", checkpoint="fsdp2_uneven"),
    case("fsdp2", model="frozen"),
    case("fsdp2", clip=0.5),
    case("fsdp2", accumulate=2),
    case("fsdp1", checkpoint="fsdp1"),
]
for _stage in (1, 2, 3):
    CASES += [
        case("deepspeed", stage=_stage, checkpoint=f"deepspeed_stage_{_stage}"),
        case("deepspeed", opt="sgd", stage=_stage),
        case("deepspeed", stage=_stage, precision="bf16", checkpoint=f"deepspeed_stage_{_stage}_bf16"),
        case("deepspeed", model="uneven", stage=_stage, checkpoint=f"deepspeed_stage_{_stage}_uneven"),
        case("deepspeed", stage=_stage, clip=0.5),
        case("deepspeed", stage=_stage, accumulate=2),
        case("deepspeed", opt="decay", stage=_stage, checkpoint=f"deepspeed_stage_{_stage}_groups"),
        case("deepspeed", model="frozen", stage=_stage, checkpoint=f"deepspeed_stage_{_stage}_frozen"),
    ]


def config(how):
    c = {
        "train_micro_batch_size_per_gpu": 4,
        "gradient_accumulation_steps": how.get("accumulate", 1),
        "gradient_clipping": how.get("clip", 0.0),
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {"stage": how["stage"], "overlap_comm": False, "contiguous_gradients": True},
    }
    if how["stage"] == 3:
        c["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    if how.get("precision") == "bf16":
        c["bf16"] = {"enabled": True}
    return c


def whole(t):
    t = t.full_tensor() if hasattr(t, "full_tensor") else t
    return t.detach().clone()


STATES = ("exp_avg", "exp_avg_sq", "momentum_buffer")


def run_torch(rank, how, net, folder):
    method, acc = how["method"], how.get("accumulate", 1)
    if method == "ddp":
        m = nn.parallel.DistributedDataParallel(net)
    elif method == "fsdp1":
        from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
        from torch.distributed.fsdp.wrap import ModuleWrapPolicy

        m = net = FSDP(net, auto_wrap_policy=ModuleWrapPolicy({Block}), use_orig_params=True, device_id=torch.device("cpu"))
    else:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        more = {}
        if how.get("precision") == "bf16":
            more["mp_policy"] = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if "reshard" in how:
            more["reshard_after_forward"] = how["reshard"]
        mesh = init_device_mesh("cpu", (WORLD,))
        for b in getattr(net, "blocks", [net.fc1, net.fc2, net.fc3, net.out] if hasattr(net, "out") else []):
            fully_shard(b, mesh=mesh, **more)
        m = fully_shard(net, mesh=mesh, **more)
    opt = optimizer(how["optimizer"], list(net.named_parameters()))
    losses, norms = [], []
    shape, classes = MODELS[how["model"]][1:]
    g = torch.Generator().manual_seed(100 + rank)
    for _ in range(STEPS):
        for micro in range(acc):
            x, y = torch.randn(shape, generator=g), torch.randint(0, classes, (4,), generator=g)
            last = micro == acc - 1
            if method == "fsdp2":
                m.set_requires_gradient_sync(last)
            elif not last:
                m.require_backward_grad_sync = False
            loss = F.cross_entropy(m(x).float(), y)
            (loss / acc).backward()
            if method == "ddp":
                m.require_backward_grad_sync = True
            losses.append(loss.item())
        if "clip" in how:
            norms.append(whole(nn.utils.clip_grad_norm_(net.parameters(), how["clip"])).item())
        opt.step()
        opt.zero_grad()
    tensors = {}
    if method == "fsdp1":
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

        full, _ = get_state_dict(net, opt, options=StateDictOptions(full_state_dict=True))
        tensors = {f"param.{k}": v for k, v in full.items()}
        model, optimizer_state = get_state_dict(net, opt)
        dcp.save({"model": model, "optimizer": optimizer_state}, checkpoint_id=folder)
        if rank == 0:
            torch.save(full, os.path.join(folder, "full.pt"))
        return losses, norms, tensors
    if method == "fsdp2" and how.get("checkpoint"):
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.state_dict import get_state_dict

        model, optimizer_state = get_state_dict(net, opt)
        dcp.save({"model": model, "optimizer": optimizer_state}, checkpoint_id=folder)
    for k, p in net.named_parameters():
        tensors[f"param.{k}"] = whole(p)
    for k, p in net.named_parameters():
        for s in STATES:
            if s in opt.state.get(p, {}):
                tensors[f"{s}.{k}"] = whole(opt.state[p][s])
    return losses, norms, tensors


def run_deepspeed(rank, how, net, folder):
    from deepspeed_cpu import deepspeed
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    bf16 = how.get("precision") == "bf16"
    named = list(net.named_parameters())
    inner = optimizer(how["optimizer"], named)
    engine, _, _, _ = deepspeed.initialize(model=net, optimizer=inner, config=config(how))
    losses, norms = [], []
    shape, classes = MODELS[how["model"]][1:]
    g = torch.Generator().manual_seed(100 + rank)
    for _ in range(STEPS):
        for _ in range(how.get("accumulate", 1)):
            x, y = torch.randn(shape, generator=g), torch.randint(0, classes, (4,), generator=g)
            loss = F.cross_entropy(engine(x.bfloat16() if bf16 else x).float(), y)
            engine.backward(loss)
            engine.step()
            losses.append(loss.item())
        if "clip" in how:
            norms.append(float(engine.get_global_grad_norm()))
    if how.get("checkpoint"):
        engine.save_checkpoint(folder, tag="checkpoint", client_state={"epoch": 3})
    tensors = {}
    for k, p in named:
        if p.requires_grad:
            tensors[f"param.{k}"] = safe_get_full_fp32_param(p).detach().clone().view(p.ds_shape if how["stage"] == 3 else p.shape)
        elif how["stage"] == 3:
            with deepspeed.zero.GatheredParameters([p]):
                tensors[f"param.{k}"] = p.detach().float().clone()
        else:
            tensors[f"param.{k}"] = p.detach().float().clone()
    for k, p in named:
        if not p.requires_grad or how["optimizer"] == "decay":  # DeepSpeed finds no state of a second group; the folder has it
            continue
        for s in STATES if how["optimizer"] == "sgd" else STATES[:2]:
            if how["optimizer"] == "sgd" and s != "momentum_buffer":
                continue
            t = safe_get_full_optimizer_state(p, s)
            if t is not None:
                tensors[f"{s}.{k}"] = t.detach().clone().view(p.ds_shape if how["stage"] == 3 else p.shape)
    return losses, norms, tensors


def rank_main(rank, store, out, folders, names):
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(WORLD), GLOO_SOCKET_IFNAME="lo")
    if any(how["method"] == "deepspeed" for name, how in CASES if name in names):
        from deepspeed_cpu import deepspeed

        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29731")
        deepspeed.init_distributed("gloo", rank=rank, world_size=WORLD)
    else:
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORLD)
    results = {}
    for name, how in CASES:
        if name not in names:
            continue
        torch.manual_seed(SEED)
        net = MODELS[how["model"]][0]()
        folder = os.path.join(folders, how["checkpoint"]) if how.get("checkpoint") else None
        run = run_deepspeed if how["method"] == "deepspeed" else run_torch
        results[name] = run(rank, how, net, folder)
        if rank == 0:
            print(name, results[name][0][-1], flush=True)
        dist.barrier()
    torch.save(results, f"{out}.{rank}")
    dist.barrier()
    dist.destroy_process_group()


def pack(folder, path):
    """A folder as a .tar.gz that is the same for the same files."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for f in sorted(Path(folder).rglob("*")):
            if f.is_file() and f.suffix != ".py":
                info = tarfile.TarInfo(str(f.relative_to(folder)))
                data = f.read_bytes()
                info.size, info.mode = len(data), 0o644
                tar.addfile(info, io.BytesIO(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    data = gzip.compress(raw.getvalue(), 9, mtime=0)
    path.write_bytes(data)
    print(f"{path.name}: {len(data)} bytes", file=sys.stderr)


def main():
    root = common.parse(__doc__).parse_args().root
    testdata = root / "ddp/shard/testdata"
    book = Book("FSDP2, FSDP1 and DeepSpeed over Gloo", NOTES, deepspeed="0.19.8")
    with tempfile.TemporaryDirectory() as folder:
        ranks = [{} for _ in range(WORLD)]
        folders = os.path.join(folder, "checkpoints")
        os.mkdir(folders)
        for ds in (False, True):
            names = [name for name, how in CASES if (how["method"] == "deepspeed") == ds]
            out = os.path.join(folder, f"out{ds}")
            torch.multiprocessing.spawn(rank_main, (os.path.join(folder, f"store{ds}"), out, folders, names), nprocs=WORLD)
            for r in range(WORLD):
                ranks[r] |= torch.load(f"{out}.{r}", weights_only=False)
        for name, how in CASES:
            parts = [r[name] for r in ranks]
            for k, t in parts[0][2].items():
                if k in parts[1][2] and not common.same(t, parts[1][2][k]):
                    raise RuntimeError(f"{name}: {k} differs between ranks")
            do = [f"{WORLD} ranks, manual_seed({SEED})", f"model {how['model']}", f"{STEPS} steps as in the notes"]
            more = {"config": config(how)} if how["method"] == "deepspeed" else {}
            book.add(name, SEED, do, parts[0][2], world=WORLD, steps=STEPS, **how, **more,
                     losses=[hexes(p[0]) for p in parts], norms=hexes(parts[0][1]))  # fmt: skip
        book.write(testdata / "sharded.json.gz")
        for name in sorted(os.listdir(folders)):
            pack(os.path.join(folders, name), testdata / "checkpoints" / f"{name}.tar.gz")


if __name__ == "__main__":
    main()
