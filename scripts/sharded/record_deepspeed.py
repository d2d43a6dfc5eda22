"""Records DeepSpeed's learning rate schedules, its loss scaler and its judgement of configurations.

    "$(scripts/sharded/peers.sh)/bin/python" scripts/sharded/record_deepspeed.py
"""

import random
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fixtures"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import common
import torch
from common import Book, hexes
from deepspeed_cpu import deepspeed
from deepspeed.runtime import lr_schedules
from deepspeed.runtime.config import DeepSpeedConfig
from deepspeed.runtime.fp16 import loss_scaler

STEPS = 60

NOTES = [
    "schedule/*: an optimizer (adamw: AdamW, sgd: SGD) with two groups of lr 0.1 and 0.02, then the scheduler `type` with `params`. rates[0] are the groups' rates after the constructor, rates[n] after n steps; "
    "betas alike, first group only, where the optimizer has them. Floats are hex.",
    "scaler/*: DynamicLossScaler of the fp16 block `fp16`; overflows[n] is what update_scale is called with in step n, scales[n] the scale after it. `raises`: the step at which it raised.",
    "config/*: DeepSpeedConfig(config) in a world of `world` ranks: `batch` is train_batch_size, train_micro_batch_size_per_gpu, gradient_accumulation_steps; `error` the class and text of what it raised instead.",
]

SCHEDULES = [
    ("WarmupLR", {}),
    ("WarmupLR", {"warmup_max_lr": 0.05, "warmup_num_steps": 20}),
    ("WarmupLR", {"warmup_min_lr": 0.001, "warmup_max_lr": 0.05, "warmup_num_steps": 20, "warmup_type": "linear"}),
    ("WarmupLR", {"warmup_min_lr": [0.001, 0.002], "warmup_max_lr": [0.05, 0.04], "warmup_num_steps": 7}),
    ("WarmupLR", {"warmup_num_steps": 1}),
    ("WarmupDecayLR", {"total_num_steps": 50, "warmup_num_steps": 10}),
    ("WarmupDecayLR", {"total_num_steps": 40, "warmup_min_lr": 1e-5, "warmup_max_lr": 3e-4, "warmup_num_steps": 13, "warmup_type": "linear"}),
    ("WarmupDecayLR", {"total_num_steps": 5, "warmup_num_steps": 10}),
    ("WarmupCosineLR", {"total_num_steps": 50, "warmup_num_steps": 10}),
    ("WarmupCosineLR", {"total_num_steps": 55, "warmup_min_ratio": 0.1, "warmup_num_steps": 9, "cos_min_ratio": 0.05, "warmup_type": "linear"}),
    ("WarmupCosineLR", {"total_num_steps": 4, "warmup_num_steps": 10}),
    ("OneCycle", {"cycle_min_lr": 0.01, "cycle_max_lr": 0.1, "cycle_first_step_size": 10}),
    ("OneCycle", {"cycle_min_lr": 0.01, "cycle_max_lr": 0.1, "cycle_first_step_size": 9, "cycle_second_step_size": 17, "decay_step_size": 3, "decay_lr_rate": 0.1, "decay_mom_rate": 0.05}),
    ("OneCycle", {"cycle_min_lr": [0.01, 0.02], "cycle_max_lr": [0.1, 0.3], "cycle_first_step_size": 12, "cycle_first_stair_count": 4, "cycle_second_step_size": 20, "cycle_second_stair_count": 3, "cycle_min_mom": 0.7, "cycle_max_mom": 0.95}),
    ("OneCycle", {"cycle_min_lr": 0.01, "cycle_max_lr": 0.1, "cycle_first_step_size": 8, "cycle_momentum": False, "decay_step_size": 5, "decay_lr_rate": 0.5}),
    ("LRRangeTest", {}),
    ("LRRangeTest", {"lr_range_test_min_lr": 0.002, "lr_range_test_step_size": 7, "lr_range_test_step_rate": 1.5, "lr_range_test_staircase": True}),
]

SCALERS = [
    {},
    {"hysteresis": 1},
    {"loss_scale_window": 5},
    {"loss_scale_window": 5, "hysteresis": 3, "initial_scale_power": 8},
    {"loss_scale_window": 4, "consecutive_hysteresis": True, "initial_scale_power": 10},
    {"initial_scale_power": 3, "hysteresis": 1, "min_loss_scale": 2, "loss_scale_window": 50},
    {"initial_scale_power": 2, "hysteresis": 2, "min_loss_scale": 4},
]

CONFIGS = [
    (2, {"train_batch_size": 8}),
    (2, {"train_batch_size": 8, "train_micro_batch_size_per_gpu": 2}),
    (2, {"train_batch_size": 8, "gradient_accumulation_steps": 4}),
    (4, {"train_micro_batch_size_per_gpu": 3, "gradient_accumulation_steps": 2}),
    (4, {"train_micro_batch_size_per_gpu": 3}),
    (2, {"train_batch_size": 8, "train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 2}),
    (2, {"train_batch_size": 9, "train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 2}),
    (2, {"train_batch_size": 7}),
    (4, {"train_batch_size": 2}),
    (2, {"train_batch_size": 7, "train_micro_batch_size_per_gpu": 2}),
    (2, {"gradient_accumulation_steps": 2}),
    (2, {}),
    (2, {"train_batch_size": 0}),
    (2, {"train_batch_size": -8}),
    (2, {"train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 0}),
    (1, {"train_batch_size": 2, "fp16": {"enabled": True}, "bf16": {"enabled": True}}),
    (1, {"train_batch_size": 2, "fp16": {"enabled": True, "loss_scale": -1}}),
    (1, {"train_batch_size": 2, "fp16": {"enabled": True, "loss_scale": True}}),
    (1, {"train_batch_size": 2, "fp16": {"enabled": True, "loss_scale": "x"}}),
    (1, {"train_batch_size": 2, "fp16": {"enabled": True, "loss_scale_window": 0}}),
    (1, {"train_batch_size": 2, "fp16": {"enabled": True, "min_loss_scale": 0}}),
    (1, {"train_batch_size": 2, "fp16": {"enabled": True, "loss_scale": 8, "loss_scale_window": 0}}),
    (1, {"train_batch_size": 2, "fp16": {"enabled": True, "window": 3}}),
    (1, {"train_batch_size": 2, "bf16": {"enable": True}}),
    (1, {"train_batch_size": 2, "zero_optimization": {"stage": 4}}),
    (1, {"train_batch_size": 2, "zero_optimization": {"stage": -1}}),
    (1, {"train_batch_size": 2, "zero_optimization": {"stage": "two"}}),
    (1, {"train_batch_size": 2, "zero_optimization": {"stge": 2}}),
    (1, {"train_batch_size": 2, "zero_optimization": {"stage": 2, "reduce_bucket_size": "auto"}}),
    (1, {"train_batch_size": 2, "zero_optimization": {"stage": 2, "offload_optimizer": {"device": "disk"}}}),
    (1, {"train_batch_size": 2, "zero_optimization": {"stage": 2, "offload_optimizer": {"devise": "cpu"}}}),
    (1, {"train_batch_size": 2, "zero_optimization": {"stage": 3, "offload_param": {"device": "cpu"}, "offload_optimizer": {"device": "cpu", "pin_memory": True}}}),
    (1, {"train_batch_size": 2, "amp": {"enabled": True}}),
    (1, {"train_batch_size": 2, "elasticity": {"enabled": True}}),
    (1, {"train_batch_size": 2, "sparse_gradients": True}),
    (1, {"train_batch_size": 2, "zero_optimization": {"stage": 3, "mics_shard_size": 2}}),
    (1, {"train_batch_size": 2, "zero_optimization": {"stage": 3}, "gradient_allreduce_op": "sum"}),
]


def schedule(book, kind, params, opt):
    groups = [{"params": [torch.zeros(2, requires_grad=True)], "lr": 0.1}, {"params": [torch.zeros(2, requires_grad=True)], "lr": 0.02}]
    o = torch.optim.AdamW(groups) if opt == "adamw" else torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    s = getattr(lr_schedules, kind)(o, **params)

    def look():
        return [hexes([g["lr"] for g in o.param_groups])], [hexes(o.param_groups[0]["betas"])] if opt == "adamw" else []

    rates, betas = look()
    for _ in range(STEPS):
        s.step()
        r, b = look()
        rates, betas = rates + r, betas + b
    name = "/".join(["schedule", kind, opt] + [f"{k}_{v}" for k, v in params.items()])
    book.add(name, 0, [f"{kind}({params})", f"{STEPS} steps"], kind="schedule", type=kind, params=params, optimizer=opt, rates=rates, betas=betas)


def scaler(book, n, fp16):
    c = DeepSpeedConfig({"train_batch_size": 2, "fp16": {"enabled": True, **fp16}}).float16_config
    s = loss_scaler.DynamicLossScaler(init_scale=2**c.initial_scale_power, scale_window=c.loss_scale_window, min_scale=c.min_loss_scale,
                                      delayed_shift=c.hysteresis, consecutive_hysteresis=c.consecutive_hysteresis)  # fmt: skip
    draw, overflows, scales, raises = random.Random(n), [], [], None
    for step in range(120):
        overflow = draw.random() < (0.5 if 30 <= step < 50 else 0.06)
        overflows.append(overflow)
        try:
            s.update_scale(overflow)
        except Exception:
            raises = step
            break
        scales.append(s.cur_scale)
    book.add(f"scaler/{n}", n, ["update_scale of each overflow"], kind="scaler", fp16=fp16, overflows=overflows, scales=hexes(scales), raises=raises)


def config(book, n, world, c):
    import deepspeed.runtime.config as module

    class Dist:
        get_rank = staticmethod(lambda: 0)
        get_world_size = staticmethod(lambda *_: world)

    module.dist = Dist
    fields = {}
    try:
        d = DeepSpeedConfig(c)
        fields["batch"] = [d.train_batch_size, d.train_micro_batch_size_per_gpu, d.gradient_accumulation_steps]
    except Exception as e:
        fields["error"] = type(e).__name__ + ": " + str(e).split("For further information")[0][:300]
    book.add(f"config/{n}", 0, ["DeepSpeedConfig(config)"], kind="config", world=world, config=c, **fields)


def main():
    warnings.filterwarnings("ignore")
    root = common.parse(__doc__).parse_args().root
    loss_scaler.dist.get_rank = lambda: 0
    book = Book("DeepSpeed's schedules, loss scaler and configurations", NOTES, deepspeed=deepspeed.__version__)
    for kind, params in SCHEDULES:
        for opt in ("adamw", "sgd") if kind == "OneCycle" else ("adamw",):
            schedule(book, kind, params, opt)
    for n, fp16 in enumerate(SCALERS):
        scaler(book, n, fp16)
    for n, (world, c) in enumerate(CONFIGS):
        config(book, n, world, c)
    book.write(root / "lite/strategy/deepspeed/testdata/deepspeed.json.gz")


if __name__ == "__main__":
    main()
