"""Work of a trial that is there already, and the state of its training after it."""

from collections.abc import Sequence

import torch

from easiness.recipes.recipe import Recipe
from easiness.recipes.schedule import scored_updates, updates_per_epoch, validated_epochs
from easiness.trials.trial_folder import Ledger, checkpoint_file, weights_file


def resume(
    ledger: Ledger, recipe: Recipe, count: int, val_count: int, score_count: int, *, holds_out: bool
) -> tuple[int, int, dict[str, object]]:
    """Epochs after which training goes on, images that were worked on in them, and its state, empty at the start.

    Later checkpoints are removed. The counts are those of the examples that a trial trains on, validates on and
    measures.
    """
    epoch, past = _finished_epochs(ledger, recipe, count, holds_out)
    ledger.update({}, without=[checkpoint_file(later) for later in ledger.checkpoints() if later > epoch])
    if not epoch:
        return 0, 0, {}
    evaluated = sum(weights_file(update) not in ledger.files for update in past)
    validations = validated_epochs(recipe, epoch) + held_out_alone(recipe, count, past, holds_out)
    images = epoch * count + evaluated * score_count + validations * val_count
    return epoch, images, torch.load(ledger.folder / checkpoint_file(epoch), weights_only=True, map_location="cpu")


def held_out_alone(recipe: Recipe, count: int, updates: Sequence[int], holds_out: bool) -> int:
    """Number of the scored moments at which a trial evaluates what it held out, and no epoch ends."""
    per_epoch = updates_per_epoch(count, recipe.batch_size)
    return sum(update == 0 or update % per_epoch > 0 for update in updates) if holds_out else 0


def _finished_epochs(ledger: Ledger, recipe: Recipe, count: int, holds_out: bool) -> tuple[int, list[int]]:
    """Epochs whose checkpoint is there, with all that was measured until then; the updates of these measures."""
    for epoch in reversed(ledger.checkpoints()):
        last = epoch * updates_per_epoch(count, recipe.batch_size)
        past = [update for update in scored_updates(recipe, count) if update <= last]
        if all(ledger.has(update, held_out=holds_out) for update in past):
            return epoch, past
    return 0, []
