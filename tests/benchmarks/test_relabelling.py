"""What a review is worth: an oracle mends what it has seen, and no more."""

import numpy as np
import pandas as pd

from easiness.benchmarks.relabelling import main, seen, wrong_decisions
from easiness.datasets import open_dataset
from easiness.datasets.decisions import decide, read_decisions
from easiness.datasets.flips import flip_labels
from easiness.tracking import to_csv


def test_wrong_labels_go_in_as_decisions(tmp_path):
    train = open_dataset("planted", limit=60)
    flipped = flip_labels(train, 0.2, seed=0)
    rows = np.flatnonzero(flipped.labels != flipped.given_labels)
    (tmp_path / "all.csv").write_text(to_csv(wrong_decisions(flipped, rows)))
    (tmp_path / "some.csv").write_text(to_csv(wrong_decisions(flipped, rows[:5])))
    before, after = (decide(train, read_decisions(tmp_path / name), train) for name in ("all.csv", "some.csv"))
    np.testing.assert_array_equal(before.labels, flipped.labels)
    assert list(np.flatnonzero(after.labels != train.labels)) == list(rows[:5])


def test_the_whole(store, capsys):
    small = ["--dataset=planted", "--limit=100", "--limit_val=50", "--model=tests.tiny_model:build", "--resolution=16"]
    main([*small, "--share=0.2", "--looked=30", "--folds=2", "--trials=2", "--epochs=2", "--seeds=2", "--whole=2"])
    said = capsys.readouterr().out
    assert "of 20 wrong labels" in said
    assert "are among the 30 most suspicious of 100" in said
    assert "after minus before" in said


def test_the_most_suspicious_are_seen_first():

    table = pd.DataFrame({"example_id": [5, 6, 7, 8], "easiness": [1.0, 9, 2, 3], "heldout_loss": [4.0, 1, 3, 2]})
    assert list(seen(table, 2)) == [5, 7]
    assert list(seen(table.drop(columns="heldout_loss"), 2)) == [6, 8]
