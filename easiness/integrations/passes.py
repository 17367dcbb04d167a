"""A pass of its own over the training set, which leaves the training as it was."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import distributed, nn
from torch.utils.data import DataLoader

from easiness.runs.recorder import Recorder
from easiness.trials.distributed import Ranks, current_ranks

# A batch of the dataloader to (B, K) logits.
Logits = Callable[[object], torch.Tensor]


def wanted(epoch: int, epochs: Collection[int] | None) -> bool:
    """Whether examples are measured at the end of this epoch, counted from 1; None is at the end of every epoch."""
    return epochs is None or epoch in epochs


@torch.no_grad()
def record_pass(recorder: Recorder, network: nn.Module, dataloader: DataLoader, logits: Logits) -> None:
    """Update a Recorder with every example of a dataloader's dataset, in eval mode.

    The dataset is in the order of the Recorder's labels. Of the dataloader, its batch size, collation and workers are
    used, and not its sampler: each process of a distributed training measures its own part. Neither the random numbers
    of the training, nor the mode or a buffer of any module is changed.
    """
    ranks, count = current_ranks(), len(recorder.dataset)
    if len(dataloader.dataset) != count:
        raise ValueError(f"the dataloader has {len(dataloader.dataset)} examples, and labels are {count}")
    # As many batches in every process, for networks whose forward pass is one of all processes.
    rows = (np.arange(-(-count // ranks.size)) * ranks.size + ranks.rank) % count
    batches = DataLoader(
        dataloader.dataset,
        batch_size=dataloader.batch_size,
        sampler=rows.tolist(),
        collate_fn=dataloader.collate_fn,
        num_workers=dataloader.num_workers,
        generator=torch.Generator(),
    )
    start = 0
    with _evaluated(network, ranks):
        for batch in batches:
            found = logits(batch)
            recorder.update(recorder.ids[rows[start : start + len(found)]], found)
            start += len(found)


@contextmanager
def _evaluated(network: nn.Module, ranks: Ranks) -> Iterator[None]:
    """Network in eval mode, with the buffers of the first process, while this is open.

    Each process has running statistics of its own in its batch normalizations, and so would be another network.
    """
    training = {module: module.training for module in network.modules()}
    buffers = {buffer: buffer.clone() for buffer in network.buffers()} if ranks.size > 1 else {}
    network.eval()
    try:
        for buffer in buffers:
            distributed.broadcast(buffer, src=0)
        yield
    finally:
        for module, mode in training.items():
            module.training = mode
        for buffer, kept in buffers.items():
            buffer.copy_(kept)
