"""Single collectives, which work.py measures."""

import torch


def collective(name, kib):
    """One collective of a number of KiB of a process that has joined others; the bytes are those of the whole tensor."""
    n = int(kib) * 1024 // 4
    whole, part = torch.zeros(n), torch.zeros(n // torch.distributed.get_world_size())
    return {
        "all_reduce": lambda: torch.distributed.all_reduce(whole),
        "all_gather_into_tensor": lambda: torch.distributed.all_gather_into_tensor(whole, part),
        "reduce_scatter_tensor": lambda: torch.distributed.reduce_scatter_tensor(part, whole),
        "broadcast": lambda: torch.distributed.broadcast(whole, 0),
    }[name]
