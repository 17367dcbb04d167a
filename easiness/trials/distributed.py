"""Data-parallel training over the processes that torchrun started, with the losses of one process.

Each process holds the network, and decodes and computes its part of every batch. Gradients are weighted by the size of
the part and summed, so that they are those of the whole batch. Batch normalization takes mean and variance over the
whole batch, too: with the statistics of a part it would be another, noisier network, whose easiness could not be
compared. What remains is the order in which floating point numbers are added and, in networks with dropout, which units
are dropped: each process draws for its part.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_reduce as differentiable_all_reduce
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from easiness.loaders import Part
from easiness.trials.turns import Turns

Value = TypeVar("Value")

# Of a message, which all processes come to at about the same time; for what process 0 does alone there are `Turns`.
# Logging an epoch on a server that is gone takes four minutes until it is given up.
_TIMEOUT = timedelta(minutes=10)

_TURNS: ContextVar[Turns | None] = ContextVar("turns", default=None)


@dataclass(frozen=True)
class Ranks(Part):
    """Number of this process, from 0, among those that train one network."""

    turns: Turns | None = field(default=None, repr=False, compare=False)

    @property
    def is_main(self) -> bool:
        """Whether this is process 0, which alone writes files and talks to the tracking server."""
        return self.rank == 0

    def all_reduce(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def broadcast(self, message: object) -> None:
        """Send a message that can be pickled from process 0 to all others."""
        if self.turns is not None:
            self.turns.call()
        distributed.broadcast_object_list([message], src=0, device=torch.device("cpu"))

    def receive(self) -> object:
        """Wait for the next message of process 0, however long it works alone before."""
        if self.turns is not None:
            self.turns.wait()
        messages: list[object] = [None]
        distributed.broadcast_object_list(messages, src=0, device=torch.device("cpu"))
        return messages[0]

    def on_main(self, function: Callable[[], Value]) -> Value:
        """What a function gives that process 0 calls alone, in all processes; it can be pickled."""
        if not self.is_main:
            return self.receive()
        value = function()
        if self.size > 1:
            self.broadcast(value)
        return value


ALONE = Ranks()


def current_ranks() -> Ranks:
    """Rank of this process, and number of processes; `ALONE` without `torchrun`."""
    if not distributed.is_initialized():
        return ALONE
    return Ranks(distributed.get_rank(), distributed.get_world_size(), _TURNS.get())


def local_device(device: torch.device) -> torch.device:
    """Device of this process; with several GPUs, the one with the process's number on this machine."""
    if device.type == "cuda" and distributed.is_initialized():
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the process group of `torchrun`, and leave it at the end; `ALONE` without `torchrun`."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        yield ALONE
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=_TIMEOUT)
    # By a connection of its own: whoever waits on one holds it.
    store, rank, _ = next(distributed.rendezvous("env://"))
    turns = Turns(distributed.PrefixStore("easiness", store))
    token = _TURNS.set(turns)
    try:
        with turns.beating() if rank == 0 else nullcontext():
            yield current_ranks()
    finally:
        _TURNS.reset(token)
        distributed.destroy_process_group()


def on_one_machine() -> bool:
    """Whether all processes of `torchrun` are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) == int(os.environ.get("WORLD_SIZE", "1"))


def share_gradients(network: nn.Module, ranks: Ranks) -> nn.Module:
    """Network whose backward pass averages gradients over all processes, each layer's while the next is computed.

    To be used for updates alone. A parameter without a gradient (frozen, or not in use) stays without.
    """
    if ranks.size == 1:
        return network
    # Said once in the first step of a network that has no such parameter.
    warnings.filterwarnings("ignore", "find_unused_parameters=True was specified")
    with warnings.catch_warnings():
        # The option has another name from torch 2.13 on. Statistics of batches are the same in all processes.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(network, broadcast_buffers=False, find_unused_parameters=True)


def synchronize_batch_norm(model: nn.Module, ranks: Ranks) -> nn.Module:
    """Take batch statistics over all processes; use the returned network in place of `model` (same names and weights).

    torch's SyncBatchNorm works on GPUs only, and is another module; on the CPU the network's modules are patched.
    """
    if ranks.size == 1:
        return model
    if next(model.parameters()).is_cuda:
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.forward = partial(_normalize_batch, module)
    return model


def _normalize_batch(norm: _BatchNorm, values: torch.Tensor) -> torch.Tensor:
    """Forward pass of a batch normalization whose batch is spread over processes, for the CPU."""
    if not norm.training:
        return type(norm).forward(norm, values)
    axes = [axis for axis in range(values.dim()) if axis != 1]
    shape = [1, -1, *[1] * (values.dim() - 2)]
    count = differentiable_all_reduce(values.new_tensor(values.numel() / values.shape[1]))
    mean = differentiable_all_reduce(values.sum(axes)) / count
    centred = values - mean.view(shape)
    variance = differentiable_all_reduce(centred.square().sum(axes)) / count
    if norm.track_running_stats:
        with torch.no_grad():
            norm.num_batches_tracked.add_(1)
            weight = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            norm.running_mean.lerp_(mean, weight)
            norm.running_var.lerp_(variance * count / (count - 1), weight)
    normalized = centred * (variance + norm.eps).rsqrt().view(shape)
    return normalized * norm.weight.view(shape) + norm.bias.view(shape) if norm.affine else normalized
