"""Imports DeepSpeed for the CPU and plain Gloo. Its CPU backend would compile an operator for shared memory when a group
is joined, which takes minutes and hangs behind the lock of a compilation that was killed: the operator is switched off."""

import logging
import os

os.environ.update(DS_ACCELERATOR="cpu", DS_BUILD_OPS="0")

import deepspeed
import deepspeed.ops

deepspeed.utils.logging.logger.setLevel(logging.ERROR)
for name in list(deepspeed.ops.__compatible_ops__):
    deepspeed.ops.__compatible_ops__[name] = False
