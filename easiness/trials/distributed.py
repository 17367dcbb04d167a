"""Data-parallel training over the processes that torchrun started, with the losses of one process.

Each process holds the network and computes its shard of every batch. Gradients are weighted by the size of the shard
and summed, so that they are those of the whole batch. Batch normalization takes mean and variance over the whole batch,
too: with the statistics of a shard it would be another, noisier network, whose easiness could not be compared. What
remains is the order in which floating point numbers are added and, in networks with dropout, which units are dropped:
each process draws for its shard.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_reduce as differentiable_all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from easiness.loaders import Batch


@dataclass(frozen=True)
class Ranks:
    """Number of this process, from 0, and number of processes that train one network."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is process 0, which alone writes files and talks to the tracking server."""
        return self.rank == 0

    def shard(self, batch: Batch) -> Batch:
        """Part of a training batch that this process computes; shards differ by one example at most."""
        if self.size == 1:
            return batch
        start, stop = (len(batch.rows) * rank // self.size for rank in (self.rank, self.rank + 1))
        return Batch(*(array[start:stop] for array in batch))

    def shard_batches(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Scoring batches of this process: every size-th batch, starting at rank."""
        return islice(batches, self.rank, None, self.size)

    def all_reduce(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def all_reduce_gradients(self, model: nn.Module) -> None:
        """Sum the gradients of all processes, in one message."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        flat = self.all_reduce(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, summed in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(summed.view(gradient.shape))

    def broadcast(self, message: object) -> None:
        """Send a message that can be pickled from process 0 to all others."""
        distributed.broadcast_object_list([message], src=0, device=torch.device("cpu"))

    def receive(self) -> object:
        """Wait for the next message of process 0."""
        messages: list[object] = [None]
        distributed.broadcast_object_list(messages, src=0, device=torch.device("cpu"))
        return messages[0]


ALONE = Ranks()


def current_ranks() -> Ranks:
    """Rank of this process, and number of processes; `ALONE` without `torchrun`."""
    if not distributed.is_initialized():
        return ALONE
    return Ranks(distributed.get_rank(), distributed.get_world_size())


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
    # The others wait while process 0 reads data or talks to the server.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=timedelta(days=1))
    try:
        yield current_ranks()
    finally:
        distributed.destroy_process_group()


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
