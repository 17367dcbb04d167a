import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easiness.recipes.recipe import cifar10
from easiness.recipes.schedule import batch_bounds, early_moment, scored_updates, updates_per_epoch


@given(count=st.integers(1, 5000), batch_size=st.integers(2, 600))
def test_batches_are_full_gapless_and_never_of_one(count, batch_size):
    bounds = batch_bounds(count, batch_size)
    sizes = [stop - start for start, stop in bounds]
    assert [start for start, _ in bounds] == [0, *(stop for _, stop in bounds[:-1])]
    assert bounds[-1][1] == count
    assert all(size == batch_size for size in sizes[:-1])
    assert (1 if count == 1 else 2) <= sizes[-1] <= batch_size + 1
    # One more than asked only where the batch would be followed by a lone example.
    assert (sizes[-1] == batch_size + 1) == (count > 1 and count % batch_size == 1)


def test_batch_of_one_is_refused():
    with pytest.raises(ValueError, match="batch_size is 1"):
        batch_bounds(10, 1)


def test_every_epochs_end_is_scored_unless_updates_are_named():
    recipe = cifar10()
    assert updates_per_epoch(1000, recipe.batch_size) == 8
    assert scored_updates(recipe, 1000) == (8, 16, 24, 32, 40)
    assert scored_updates(dataclasses.replace(recipe, score_at=(40, 0, 3)), 1000) == (0, 3, 40)
    assert scored_updates(dataclasses.replace(recipe, score_at=None), 1000) == ()


def test_an_update_after_the_end_cannot_be_scored():
    with pytest.raises(ValueError, match="score_at asks for update 41, and 5 epochs of 8 updates end at 40"):
        scored_updates(dataclasses.replace(cifar10(), score_at=(3, 41)), 1000)


@pytest.mark.parametrize(
    ("epochs", "score_at", "moment"),
    [
        (30, (), 40),  # the end of epoch 5
        (3, (), 24),
        (30, (3, 39, 41), 39),
        (30, (200, 41), 41),
        (30, (0, 41), 41),
        (30, (0,), 0),
    ],
)
def test_easiness_is_early_unless_only_later_moments_are_scored(epochs, score_at, moment):
    assert early_moment(dataclasses.replace(cifar10(epochs=epochs), score_at=score_at), 1000) == moment
