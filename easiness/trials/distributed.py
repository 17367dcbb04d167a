"""One training over several processes of a machine, started by torchrun, with the losses of one process.

Every process holds the network and computes its part of each batch. Gradients are weighted by the size of the part and
summed, so that they are those of the whole batch. Batch normalization takes mean and variance over the whole batch,
too: statistics of a part are another, noisier network, whose easiness could not be compared. What remains is the order
in which floating point numbers are added and, in networks that drop units at random, which ones: each process draws for
its own part.
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
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors
from torch.distributed.nn.functional import all_reduce as differentiable_all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from easiness.loaders import Batch


@dataclass(frozen=True)
class Ranks:
    """One process among those that train one network together.

    Attributes
    ----------
    rank : int
        Its number, from 0; number 0 leads: it alone keeps files and talks to the tracking server.
    size : int
        How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the first process."""
        return self.rank == 0

    def shard(self, batch: Batch) -> Batch:
        """What this process computes of a training batch; the parts differ by one example at most."""
        if self.size == 1:
            return batch
        start, stop = (len(batch.rows) * rank // self.size for rank in (self.rank, self.rank + 1))
        return Batch(*(each[start:stop] for each in batch))

    def shard_batches(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The scoring batches that are this process's turn: whole ones, each the turn of one process."""
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
        flat = self.all_reduce(_flatten_dense_tensors(gradients))
        for gradient, summed in zip(gradients, _unflatten_dense_tensors(flat, gradients), strict=True):
            gradient.copy_(summed)

    def broadcast(self, message: object) -> None:
        """Send something that can be pickled to all others."""
        distributed.broadcast_object_list([message], src=0, device=torch.device("cpu"))

    def receive(self) -> object:
        """Wait for what the first process tells."""
        messages: list[object] = [None]
        distributed.broadcast_object_list(messages, src=0, device=torch.device("cpu"))
        return messages[0]


ALONE = Ranks()


def current_ranks() -> Ranks:
    """Where this process stands among the others; alone where `torchrun` has not been used."""
    if not distributed.is_initialized():
        return ALONE
    return Ranks(distributed.get_rank(), distributed.get_world_size())


def own_device(device: torch.device) -> torch.device:
    """Device of this process: of several GPUs, the one with its number on this machine."""
    if device.type == "cuda" and distributed.is_initialized():
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that `torchrun` started, and leave them at the end; alone without `torchrun`."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        yield ALONE
        return
    # The others wait while the first one reads data or talks to the server.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=timedelta(days=1))
    try:
        yield current_ranks()
    finally:
        distributed.destroy_process_group()


def normalize_together(model: nn.Module, ranks: Ranks) -> nn.Module:
    """Let batch normalization take its statistics over the parts of all processes.

    Parameters
    ----------
    model : torch.nn.Module
        Its names and weights stay as they are.
    ranks : Ranks
        Nothing is done for a process that is alone.

    Returns
    -------
    torch.nn.Module
        To be used in place of `model`: torch's own SyncBatchNorm, which is for GPUs alone, is another module.
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
