"""Parts of a pass are the pass: every batch is shared, and every example is in one part."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from easiness.loaders import WHOLE, Part
from easiness.recipes.schedule import batch_bounds


def assert_parts_are_the_whole(loader, size, seeds):
    """Parts of an epoch and of a scoring pass are to the bit its batches; each is made by one process."""
    passes = (lambda part: list(loader.train_batches(1, seeds, part))), (lambda part: list(loader.score_batches(part)))
    for trains, batches in zip((True, False), passes, strict=True):
        whole, parts = batches(WHOLE), [batches(Part(rank, size)) for rank in range(size)]
        for k, batch in enumerate(whole):
            of = [part[k] for part in parts] if trains else [parts[k % size][k // size]]
            assert torch.equal(torch.cat([part.images for part in of]), batch.images)
            assert torch.equal(torch.cat([part.labels for part in of]), batch.labels)
            np.testing.assert_array_equal(np.concatenate([part.rows for part in of]), batch.rows)
            assert batch.total == len(batch.rows)
            if trains:
                assert {part.total for part in of} == {batch.total}
        assert sum(len(part.rows) for batches in parts for part in batches) == loader.count


COUNTS, SIZES = st.integers(1, 60), st.integers(1, 5)


@given(COUNTS, st.integers(2, 20), SIZES)
def test_every_batch_of_an_epoch_is_shared_evenly(count, batch_size, size):
    order = np.random.default_rng(count).permutation(count)
    parts = [Part(rank, size).of_epoch(order, batch_size) for rank in range(size)]
    for k, (start, stop) in enumerate(batch_bounds(count, batch_size)):
        slices = [slices[k] for _, slices in parts]
        taken = [rows[piece.start : piece.stop] for (rows, _), piece in zip(parts, slices, strict=True)]
        assert np.concatenate(taken).tolist() == order[start:stop].tolist()
        assert max(map(len, taken)) - min(map(len, taken)) <= 1
        assert {piece.total for piece in slices} == {stop - start}
    assert sum(len(rows) for rows, _ in parts) == count


@given(COUNTS, st.integers(1, 20), SIZES)
def test_a_process_scores_every_batch_of_its_turn(count, batch_size, size):
    parts = [Part(rank, size).of_pass(count, batch_size) for rank in range(size)]
    whole = WHOLE.of_pass(count, batch_size)
    for k, (start, stop, total) in enumerate(whole):
        assert total == stop - start
        assert parts[k % size][k // size][:2] == (start, stop)
    assert sum(map(len, parts)) == len(whole)
    assert sum(total for _, _, total in parts[0]) == count, "the first process has a batch in every round"
