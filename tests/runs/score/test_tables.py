from dataclasses import replace

import numpy as np
import pytest

from easiness.analysis.matching.trials_needed import COUNTS, Repeat
from easiness.datasets import open_dataset
from easiness.runs.score.tables import (
    class_counts,
    needed_in_words,
    repeat_table,
    score_metrics,
    score_table,
    trials_needed_table,
)
from tests.tiny_data import tiny_dataset


@pytest.fixture(scope="module")
def dataset():
    return open_dataset("planted", split="val", limit=50)


@pytest.fixture
def losses(dataset):
    return np.random.default_rng(0).gamma(2, size=(3, len(dataset))).astype(np.float32)


def test_rows_are_in_the_order_of_the_dataset(dataset, losses):
    table = score_table(dataset, losses)
    np.testing.assert_array_equal(table["example_id"], dataset.example_ids)
    np.testing.assert_array_equal(table["label"], dataset.labels)
    np.testing.assert_allclose(table["easiness"], losses.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(table["easiness_std"], losses.astype(np.float64).std(axis=0, ddof=1), rtol=1e-9)
    assert list(table["class_name"]) == [dataset.class_names[label] for label in dataset.labels]
    assert list(table["group"]) == list(dataset.groups)


def test_rank_one_is_the_easiest_and_sets_are_its_ends(dataset, losses):
    table = score_table(dataset, losses, fraction=0.1).sort_values("rank")
    assert list(table["rank"]) == list(range(1, 51))
    assert (np.diff(table["easiness"]) >= 0).all()
    assert list(table["set"]) == ["easy"] * 5 + [""] * 40 + ["hard"] * 5


def test_sets_per_class_take_the_same_share_of_each(dataset, losses):
    counts = class_counts(score_table(dataset, losses, fraction=0.2, per_class=True), dataset.class_names)
    assert list(counts["examples"]) == [5] * 10
    assert list(counts["easy"]) == list(counts["hard"]) == [1] * 10


def test_ties_are_broken_by_the_seed_alone(dataset):
    losses = np.ones((2, len(dataset)), np.float32)
    first, second, other = (score_table(dataset, losses, seed=seed) for seed in (0, 0, 1))
    assert first.equals(second)
    assert not first["rank"].equals(other["rank"])
    for table in (first, other):
        assert (table["set"] == "easy").sum() == (table["set"] == "hard").sum() == 5


def test_one_trial_has_no_spread(dataset, losses):
    assert score_table(dataset, losses[:1])["easiness_std"].isna().all()


def test_a_diverged_trial_is_refused(dataset, losses):
    losses[1, 3] = np.nan
    with pytest.raises(ValueError, match="trial"):
        score_table(dataset, losses)


def test_the_favourite_label_is_that_of_most_trials(dataset, losses):
    predicted = np.random.default_rng(1).integers(0, dataset.num_classes, (7, len(dataset)))
    table = score_table(dataset, losses, predicted_MN=predicted.astype(np.float32))
    for row in range(len(dataset)):
        votes = [int((predicted[:, row] == label).sum()) for label in range(dataset.num_classes)]
        assert table["predicted"][row] == votes.index(max(votes))
        assert table["predicted_share"][row] == max(votes) / 7
    assert "predicted" not in score_table(dataset, losses)


def repeat(name, overlap_G, reach=0.0):
    return Repeat("net", 8, 2, name, "global", 4, overlap_G, overlap_G - reach, overlap_G + reach)


def test_trials_needed_are_told_in_words_and_as_metrics(dataset, losses):
    counts_G = np.array(COUNTS)
    repeats = repeat_table(
        [repeat("easy", np.sqrt(counts_G / 100), 0.05), repeat("hard", np.linspace(0.5, 0.85, len(counts_G)))]
    )
    assert len(repeats) == 2 * len(COUNTS)
    needed = trials_needed_table(repeats)
    easy, hard = needed.to_dict("records")
    assert (easy["needed_0.8"], easy["overlap"]) == (64, 0.2)
    assert easy["needed_0.8_low"] < 64 < easy["needed_0.8_high"]
    assert (hard["needed_0.9"], hard["needed_0.9_low"]) == (np.inf, np.inf)
    words = needed_in_words(needed)
    assert words["trials for 0.8"][0] == f"64 ({easy['needed_0.8_low']:.0f} to {easy['needed_0.8_high']:.0f})"
    assert words["trials for 0.9"][1] == "more than 100"
    metrics = score_metrics(score_table(dataset, losses), losses, needed)
    assert metrics["trials_needed_easy_0.8"] == 64
    assert metrics["overlap_with_fresh_trials_easy"] == 0.2
    assert "trials_needed_hard_0.9" not in metrics


def test_what_cannot_be_told_is_not_a_metric(dataset, losses):
    needed = trials_needed_table(repeat_table([repeat("easy", np.full(len(COUNTS), np.nan))]))
    assert needed_in_words(needed)["trials for 0.8"].tolist() == ["cannot be told"]
    metrics = score_metrics(score_table(dataset, losses), losses, needed)
    assert not [name for name in metrics if "trials_" in name]


def test_duplicates_are_in_the_table_where_there_are_any():
    data, losses_MN = tiny_dataset(9), np.ones((2, 9))
    assert "duplicates" not in score_table(data, losses_MN, fraction=0.2)
    assert "duplicates" not in score_table(replace(data, duplicates=np.array([""] * 9)), losses_MN, fraction=0.2)
    words = ["train", "", "", "train", *[""] * 5]
    table = score_table(replace(data, duplicates=np.array(words)), losses_MN, fraction=0.2)
    assert table["duplicates"].tolist() == words
