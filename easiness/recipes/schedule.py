"""Schedule arithmetic: how an epoch is cut into batches, and after which updates examples are scored."""

from collections.abc import Sequence

from easiness.recipes.recipe import Recipe

# Easiness is early: where nothing else is asked for, it is taken at the end of this epoch.
EARLY_EPOCHS = 5


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """Start and stop of every batch of `count` examples; the tail is kept.

    A last batch of a single example joins the one before it: batch normalization has no statistics of one.

    Examples
    --------
    >>> batch_bounds(10, 4), batch_bounds(9, 4)
    ([(0, 4), (4, 8), (8, 10)], [(0, 4), (4, 9)])
    """
    if batch_size < 2:
        raise ValueError(f"batch_size is {batch_size}, and must be at least 2: batch statistics need two examples")
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], count], strict=True))


def updates_per_epoch(count: int, batch_size: int) -> int:
    """Number of updates in one pass over `count` examples."""
    return len(batch_bounds(count, batch_size))


def scored_updates(recipe: Recipe, count: int) -> tuple[int, ...]:
    """Updates after which `count` training examples are scored, ascending; a ValueError if one is beyond the end."""
    if recipe.score_at is None:
        return ()
    per_epoch = updates_per_epoch(count, recipe.batch_size)
    total = recipe.epochs * per_epoch
    beyond = [update for update in recipe.score_at if update > total]
    if beyond:
        raise ValueError(
            f"score_at asks for update {beyond[0]}, and {recipe.epochs} epochs of {per_epoch} updates end at {total}"
        )
    return tuple(sorted(recipe.score_at)) or tuple(range(per_epoch, total + 1, per_epoch))


def early_moment(recipe: Recipe, count: int) -> int:
    """Last of the scored updates up to the end of epoch 5; the first one after it where there is none.

    Scores at initialization say nothing, and are taken where there are no others.
    """
    return early_update(scored_updates(recipe, count), updates_per_epoch(count, recipe.batch_size))


def early_update(updates: Sequence[int], per_epoch: int) -> int:
    """`early_moment` of these scored updates, where an epoch has `per_epoch`."""
    end = EARLY_EPOCHS * per_epoch
    early, later = [update for update in updates if 0 < update <= end], [update for update in updates if update > end]
    return (early[-1:] or later[:1] or [0])[0]


def moment_name(update: int, per_epoch: int | None, schedule_epochs: int | None) -> str:
    """Name of a moment of training, for captions; None is not known.

    Examples
    --------
    >>> moment_name(1955, 391, 300), moment_name(100, 391, None), moment_name(100, None, None)
    ('1,955 updates (epoch 5 of 300)', '100 updates (epoch 0.26)', '100 updates')
    """
    if per_epoch is None:
        return f"{update:,} updates"
    whole = "" if schedule_epochs is None else f" of {schedule_epochs}"
    return f"{update:,} updates (epoch {round(update / per_epoch, 2):g}{whole})"


def validates_after(recipe: Recipe, epoch: int) -> bool:
    """Whether a trial validates at the end of an epoch (from 1)."""
    return epoch % recipe.validate_every == 0 or epoch == recipe.epochs


def validated_epochs(recipe: Recipe, epoch: int) -> int:
    """Number of validations until the end of an epoch (from 1).

    Examples
    --------
    >>> from easiness.recipes.recipe import make_recipe
    >>> recipe = make_recipe("planted", "alexnet", epochs=5, validate_every=2)
    >>> [validated_epochs(recipe, epoch) for epoch in range(6)]
    [0, 0, 1, 1, 2, 3]
    """
    return sum(validates_after(recipe, each) for each in range(1, epoch + 1))
