"""SGD or AdamW on one device, with a pause at every scored update and at the end of every epoch."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from easiness.loaders import Batch, Loader
from easiness.recipes.randomness import TrialSeeds, epoch_seed
from easiness.recipes.recipe import Recipe
from easiness.recipes.schedule import batch_bounds, scored_updates, updates_per_epoch
from easiness.trials.distributed import ALONE, Ranks
from easiness.trials.precision import Steps, make_steps


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


def make_optimizer(model: nn.Module, recipe: Recipe, head: Collection[str] = ()) -> torch.optim.Optimizer:
    """Optimizer of the recipe: plain momentum SGD (no Nesterov) or AdamW; `train` sets the rate at every update.

    `head` are the names of the last layer's parameters, for a recipe that trains these alone at first. They are a group
    of their own, the second: torch's fused SGD wants that all parameters of a group begin together.
    """
    groups = [list(model.parameters())]
    if recipe.head_epochs:
        named = list(model.named_parameters())
        groups = [[values for name, values in named if (name in head) == last] for last in (False, True)]
    options = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay, "fused": True}
    parameters = [{"params": group} for group in groups]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, betas=(recipe.momentum, 0.999), **options)
    return torch.optim.SGD(parameters, momentum=recipe.momentum, **options)


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


def training_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, steps: Steps, batch: Batch, ranks: Ranks = ALONE
) -> torch.Tensor:
    """One update on a batch, of which this process computes its shard; gives the sum of the shard's losses in nats."""
    shard = ranks.shard(batch)
    loss = steps.loss(shard.images, shard.labels)
    optimizer.zero_grad(set_to_none=True)
    # Alone, the weight is 1 and changes no bit.
    (loss * (len(shard.rows) / len(batch.rows))).backward()
    ranks.all_reduce_gradients(model)
    optimizer.step()
    return loss.detach() * len(shard.rows)


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loader: Loader,
    recipe: Recipe,
    seeds: TrialSeeds,
    *,
    first_epoch: int = 0,
    steps: Steps | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[Checkpoint]:
    """Train, and pause at every scored update and at the end of every epoch: to evaluate the model, not to change it.

    The model, on the loader's device, is trained in place; the optimizer from `make_optimizer` has the state of the
    `first_epoch` epochs that are done already. While the last layer is trained alone, the network is in eval mode: the
    statistics of its normalization stay, too. `steps` are eager and in float32 by default; each of `ranks` gets all
    batches and computes its shards. A DivergedError (a loss is NaN or infinite) names epoch, update and learning rate;
    a ValueError, a batch with fewer examples than there are processes.
    """
    least = min(stop - start for start, stop in batch_bounds(loader.count, recipe.batch_size))
    if least < ranks.size:
        raise ValueError(f"a batch of {least} examples is too small for {ranks.size} processes; change batch_size")
    device = next(model.parameters()).device
    steps = steps or make_steps(model, device, "float32")
    per_epoch = updates_per_epoch(loader.count, recipe.batch_size)
    scored = set(scored_updates(recipe, loader.count))
    update = first_epoch * per_epoch
    if update == 0 and 0 in scored:
        yield Checkpoint(0, 0, False, True, float("nan"), recipe.learning_rate, 0, 0.0)
    for epoch in range(first_epoch, recipe.epochs):
        head_only = epoch < recipe.head_epochs
        model.train(not head_only)
        # A step captured for all parameters would be compiled again for these few epochs.
        taken = steps._replace(loss=steps.eager_loss) if head_only else steps
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            # Each process draws for its shard; the same draws would drop the same units in every shard.
            torch.manual_seed(epoch_seed(seeds.noise, epoch) + ranks.rank)
            loss_sum = torch.zeros((), dtype=torch.float64, device=device)
            images, seconds, started = 0, 0.0, time.perf_counter()
            for batch in loader.train_batches(epoch, seeds):
                rate = recipe.learning_rate_at(update, per_epoch)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                with _last_layer_alone(optimizer) if head_only else nullcontext():
                    loss_sum += training_step(model, optimizer, taken, batch, ranks)
                update += 1
                images += len(batch.rows)
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
