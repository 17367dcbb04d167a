"""What the machine cannot do is refused before any data are read, in one line with the option's name."""

import pytest

from easiness.runs import options
from easiness.runs.options import RunOptions, TrainingOptions, prepare_training
from tests.tiny_data import MODEL


@pytest.mark.parametrize(
    ("chosen", "more", "message"),
    [
        ({"threads": 100_000}, {}, "threads is 100000, and must be at most"),
        ({}, {"trials": 10**12}, "trials is 1000000000000, and must be at most 1000"),
    ],
)
def test_more_than_the_machine_has_is_refused_before_data_are_read(monkeypatch, chosen, more, message):
    monkeypatch.setattr(options, "open_dataset", lambda *_, **__: pytest.fail("data are read"))
    with pytest.raises(ValueError, match=message):
        prepare_training(TrainingOptions(model=MODEL, **chosen), RunOptions(), **more)


def test_duplicates_of_the_training_set_are_marked():
    training = TrainingOptions(model=MODEL, limit=20, limit_val=10, resolution=12)
    assert not prepare_training(training, RunOptions(engine="inline")).train.duplicates.any()
