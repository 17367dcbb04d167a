"""SGD or AdamW on one device, with a pause at every scored update and at the end of every epoch."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from easiness.loaders import Batch, Loader
from easiness.recipes.randomness import TrialSeeds, epoch_seed
from easiness.recipes.recipe import Recipe
from easiness.recipes.schedule import batch_bounds, scored_updates, updates_per_epoch
from easiness.trials.distributed import ALONE, Ranks
from easiness.trials.steps import Steps


@dataclass(frozen=True)
class Checkpoint:
    """Pause of a training, after `update` updates and `epoch` whole epochs."""

    update: int
    epoch: int
    ends_epoch: bool
    scored: bool  # whether the recipe asks for the metrics of every training example here
    train_loss: float  # mean loss in nats of the augmented views of this epoch so far; NaN before the first update
    learning_rate: float  # learning rate of the last update
    images: int  # images trained on in this epoch so far
    seconds: float  # training time of this epoch so far, without pauses


class DivergedError(FloatingPointError):
    """The loss of a trial became NaN or infinite."""


@contextmanager
def _last_layer_alone(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Compute gradients of the optimizer's second group alone, so that it leaves the first as it is."""
    body = [values for values in optimizer.param_groups[0]["params"] if values.requires_grad]
    for values in body:
        values.requires_grad_(False)
    try:
        yield
    finally:
        for values in body:
            values.requires_grad_(True)


def training_step(batch: Batch, update: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]) -> torch.Tensor:
    """One update on a batch, or on this process's part of one; the sum of the losses of these examples in nats."""
    count = len(batch.rows)
    # Alone, the weight is 1 and changes no bit.
    return update(batch.images, batch.labels, count / batch.total) * count


def train(
    steps: Steps,
    loader: Loader,
    recipe: Recipe,
    seeds: TrialSeeds,
    *,
    first_epoch: int = 0,
    ranks: Ranks = ALONE,
) -> Iterator[Checkpoint]:
    """Train, and pause at every scored update and at the end of every epoch: to evaluate the model, not to change it.

    The steps' network, on the loader's device, is trained in place; their optimizer, from `make_optimizer`, has the
    state of the `first_epoch` epochs that are done already. While the last layer is trained alone, the network is in
    eval mode: the statistics of its normalization stay, too. Each of `ranks` computes its part of every batch.
    A DivergedError (a loss is NaN or infinite) names epoch, update and learning rate; a ValueError, a batch with fewer
    examples than there are processes.
    """
    least = min(stop - start for start, stop in batch_bounds(loader.count, recipe.batch_size))
    if least < ranks.size:
        raise ValueError(f"a batch of {least} examples is too small for {ranks.size} processes; change batch_size")
    model, optimizer = steps.model, steps.optimizer
    device = next(model.parameters()).device
    per_epoch = updates_per_epoch(loader.count, recipe.batch_size)
    scored = set(scored_updates(recipe, loader.count))
    update = first_epoch * per_epoch
    if update == 0 and 0 in scored:
        yield Checkpoint(0, 0, False, True, float("nan"), recipe.learning_rate, 0, 0.0)
    for epoch in range(first_epoch, recipe.epochs):
        head_only = epoch < recipe.head_epochs
        model.train(not head_only)
        update_by = steps.update_eagerly if head_only else steps.update
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            # Each process draws for its part; the same draws would drop the same units in every part.
            torch.manual_seed(epoch_seed(seeds.noise, epoch) + ranks.rank)
            loss_sum = torch.zeros((), dtype=torch.float64, device=device)
            images, seconds, started = 0, 0.0, time.perf_counter()
            for batch in loader.train_batches(epoch, seeds, ranks):
                rate = recipe.learning_rate_at(update, per_epoch)
                steps.set_rate(rate)
                with _last_layer_alone(optimizer) if head_only else nullcontext():
                    loss_sum += training_step(batch, update_by)
                update += 1
                images += batch.total
                ends_epoch = images == loader.count
                if update in scored or ends_epoch:
                    mean_loss = float(ranks.all_reduce(loss_sum.clone())) / images
                    if not mean_loss < float("inf"):
                        raise DivergedError(
                            f"the loss is {mean_loss} in epoch {epoch + 1}, by update {update}, at learning rate "
                            f"{rate:g}; lower learning_rate"
                        )
                    seconds += time.perf_counter() - started
                    yield Checkpoint(
                        update,
                        epoch + ends_epoch,
                        ends_epoch,
                        update in scored,
                        mean_loss,
                        rate,
                        images,
                        seconds,
                    )
                    started = time.perf_counter()
