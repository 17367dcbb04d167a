"""What the machine cannot do is refused before any data are read, in one line with the option's name."""

import numpy as np
import pytest
from PIL import Image

from easiness.runs import setup
from easiness.runs.options import RunOptions, TrainingOptions
from easiness.runs.setup import prepare_training
from tests.tiny_data import MODEL


@pytest.mark.parametrize(
    ("chosen", "more", "message"),
    [
        ({"threads": 100_000}, {}, "threads is 100000, and must be at most"),
        ({}, {"trials": 10**12}, "trials is 1000000000000, and must be at most 1000"),
    ],
)
def test_more_than_the_machine_has_is_refused_before_data_are_read(monkeypatch, chosen, more, message):
    monkeypatch.setattr(setup, "open_dataset", lambda *_, **__: pytest.fail("data are read"))
    with pytest.raises(ValueError, match=message):
        prepare_training(TrainingOptions(model=MODEL, **chosen), RunOptions(), **more)


def test_duplicates_of_the_training_set_are_marked():
    training = TrainingOptions(model=MODEL, limit=20, limit_val=10, resolution=12)
    assert not prepare_training(training, RunOptions(engine="inline")).train.duplicates.any()


@pytest.fixture
def tree(tmp_path):
    """One tree of two classes without val, eight pictures each."""
    for k, name in enumerate(("cat", "dog")):
        (tmp_path / "tree" / name).mkdir(parents=True)
        for i in range(8):
            pixels = np.random.default_rng((k, i)).integers(0, 256, (9, 9, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "tree" / name / f"{i}.png")
    return tmp_path / "tree"


def test_decisions_do_not_move_the_split_of_one_tree(tree, tmp_path):
    """They follow it, so that no removed image lets another change sides, and no validation label changes."""

    def opened(**more):
        training = TrainingOptions(model=MODEL, dataset="folder", data=tree, resolution=8, shift=2, **more)
        return prepare_training(training, RunOptions(engine="inline"))

    before = opened()
    rows = [f"{name}/{i}.png,remove,,{name}" for name in ("cat", "dog") for i in range(3)]
    rows += ["cat/7.png,relabel,dog,cat", "dog/7.png,relabel,cat,dog"]
    # As of a review of the whole tree, which numbers its images otherwise.
    numbered = [f"{number},{row},{'ab' * 32}" for number, row in enumerate(rows)]
    head = "example_id,file,decision,label,given_label,fingerprint"
    (tmp_path / "d.csv").write_text("\n".join([head, *numbered]) + "\n")
    after = opened(decisions=tmp_path / "d.csv")
    assert after.val.fingerprint == before.val.fingerprint
    assert after.val.sources.tolist() == before.val.sources.tolist()
    decided = {row.split(",")[0] for row in rows}
    removed = {name for name in decided if "7" not in name}
    assert decided & set(before.val.sources)
    assert decided & set(before.train.sources)
    assert set(after.train.sources) == set(before.train.sources) - removed
    new = dict(zip(after.train.sources.tolist(), after.train.labels.tolist(), strict=True))
    assert all(new[name] == (name[:3] == "dog") for name in new.keys() - decided)
    assert all(new[name] == (name[:3] == "cat") for name in new.keys() & decided)
