"""Every step of the benchmark at ImageNet's size runs at a small one, on data that the package takes for real."""

import numpy as np
import pytest

from easiness.benchmarks import imagenet_size
from easiness.benchmarks.imagenet_size import STEPS, ImageNetSize, draw_data, measure
from easiness.datasets import open_dataset
from easiness.runs.match.reading import read_matching
from easiness.runs.score.reading import load_scores


@pytest.fixture
def size(tmp_path):
    drawn = ImageNetSize(tmp_path, examples=240, validated=60, classes=6, trials=2)
    draw_data(drawn)
    return drawn


def test_drawn_data_are_opened_as_packed_ones(size):
    train, val = (open_dataset("imagenet", size.data, split=split, verify="full") for split in ("train", "val"))
    assert (len(train), len(val), train.num_classes) == (240, 60, 6)
    np.testing.assert_array_equal(np.bincount(train.labels), [40] * 6)
    assert len(np.unique(train.digests, axis=0)) == 240
    assert not np.array_equal(train.images[0], train.images[1])


def test_the_table_has_a_row_for_each_step_and_names_what_failed():
    rows = {"open": {"result": {"seconds": 1234.4, "cpu_seconds": 99.6, "peak_gib": 2.04}}, "match": {"error": "ill"}}
    assert imagenet_size.table(rows).splitlines()[2:] == ["| open | 1,234 | 100 | 2.0 |", "| match | ill |  |  |"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of a tiny experiment: shares of six images, two trials
def test_all_steps_leave_runs_that_can_be_read(size, store):
    for name in STEPS:
        measured = measure(name, size)
        assert measured["peak_gib"] > 0
        assert measured["cpu_seconds"] > 0
    with imagenet_size._store(size.place):
        runs = imagenet_size.tracking.find_score_runs(None)
        scores = [load_scores(run.run_id) for run in runs]
        assert sorted(each.model for each in scores) == ["alexnet", "resnet18"]
        assert scores[0].losses_TMN.shape == (2, 2, 240)
        (matched,) = imagenet_size.tracking.runs_of_kind("Default", ["match"])
        assert set(read_matching(matched.run_id).diversity["class_name"]) == {f"n{k:08d}" for k in range(6)}
    assert (size.place / "report" / "Default" / "index.html").exists()
