import numpy as np
import pandas as pd
import pytest

from easiness.reporting.gallery import Examples, class_ends, disputed_section, suspicious, suspicious_section
from easiness.runs.score.reading import Scores
from easiness.runs.score.tables import score_table
from easiness.tracking import ScoreManifest
from tests.tiny_data import tiny_dataset
from tests.tiny_scores import draw_losses, score_manifest


@pytest.fixture
def dataset():
    return tiny_dataset(60)


def scores(dataset, model, seed, *, predicted=None, pictures=None, trials=3, moments=2):
    losses_TMN = draw_losses(dataset, seed, trials=trials, moments=moments)
    told = {"model": model, "class_names": tuple(dataset.class_names), "updates": tuple(range(4, 4 * moments + 4, 4))}
    manifest = ScoreManifest(**score_manifest(**told, trials=({},) * trials))
    run = Scores("r", manifest, score_table(dataset, losses_TMN[-1]), losses_TMN.mean(axis=1, dtype=np.float64))
    # What is fetched only when it is asked for.
    predicted_MN = np.zeros((trials, len(dataset)), np.uint8) if predicted is None else predicted
    vars(run).update(thumbnails=pictures or {}, predicted_MN=predicted_MN)
    return run


def test_both_ends_of_every_class_with_easiness_and_rank(dataset):
    own = scores(dataset, "net", 0, pictures={1000: b"p"})
    section = class_ends(Examples([own], {}), own)
    assert [row.name for row in section.rows] == [
        f"class {label}: {end}" for label in range(3) for end in ("easiest", "hardest")
    ]
    for label in range(3):
        members = own.table[own.table["label"] == label].sort_values("easiness")
        easy, hard = section.rows[2 * label : 2 * label + 2]
        assert [item.example_id for item in easy.items] == members["example_id"].head(8).tolist()
        assert [item.example_id for item in hard.items] == members["example_id"].tail(8).tolist()[::-1]
        first = members.iloc[0]
        assert easy.items[0].lines == (f"{first['easiness']:.3g} nats", f"rank {first['rank']}")
    everything = [item for row in section.rows for item in row.items]
    assert {item.picture for item in everything if item.example_id != 1000} <= {None}


def test_models_prefer_what_most_of_their_trials_predict(dataset):
    votes = {"a": [0, 0, 1], "b": [2, 2, 2, 2]}  # label 0 has 2 votes, label 2 has 4 of 7
    runs = [
        scores(dataset, name, seed, trials=len(each), predicted=np.tile(np.array(each)[:, None], (1, len(dataset))))
        for seed, (name, each) in enumerate(votes.items())
    ]
    found = suspicious(runs, count=5)
    assert list(found["preferred"]) == ["class 2"] * 5
    np.testing.assert_allclose(found["preferred_share"], 4 / 7)
    section = suspicious_section(Examples(runs, {}), found)
    assert "models say class 2 (57%)" in section.rows[0].items[0].lines
    assert [course.model for course in section.rows[0].items[0].curves] == ["a", "b"]


def test_votes_for_a_label_that_is_no_models_favourite_count(dataset):
    # Of a 0 is the favourite, of b 2; 1 has the most votes.
    votes = {"a": [0, 0, 0, 1, 1], "b": [2, 2, 2, 1, 1], "c": [0, 2, 1]}
    runs = [
        scores(dataset, name, seed, trials=len(each), predicted=np.tile(np.array(each)[:, None], (1, len(dataset))))
        for seed, (name, each) in enumerate(votes.items())
    ]
    found = suspicious(runs, count=5)
    assert list(found["preferred"]) == ["class 1"] * 5
    np.testing.assert_allclose(found["preferred_share"], 5 / 13)


def test_an_example_that_one_model_finds_easy_is_not_suspicious(dataset):
    a, b = scores(dataset, "a", 0), scores(dataset, "b", 1)
    hardest = int(a.trajectory_TN[-1].argmax())
    b.trajectory_TN[-1, hardest] = 0
    found = suspicious([a, b], count=len(dataset))
    assert found["example_id"].iloc[0] != dataset.example_ids[hardest]
    # The other one at the end is the one that `a` finds easiest.
    assert dataset.example_ids[hardest] in found["example_id"].tail(2).tolist()
    assert found["rank"].is_monotonic_decreasing


def test_disputed_examples_stand_with_the_side_that_finds_them_harder(dataset):
    runs = [scores(dataset, name, seed) for seed, name in enumerate("ab")]
    ids = dataset.example_ids[:3].tolist()
    table = pd.DataFrame(
        {"a": "a", "b": "b", "example_id": ids, "z": [3.0, -2.5, 1.0], "rank_a": [50, 1, 20], "rank_b": [2, 60, 9]}
    )
    section = disputed_section(Examples(runs, {ids[1]: b"picture"}), table)
    assert [row.name for row in section.rows] == ["harder for a than for b", "harder for b than for a"]
    assert [item.example_id for item in section.rows[0].items] == [ids[0], ids[2]]
    (other,) = section.rows[1].items
    assert other.lines == ("z -2.5", "rank 1 in a", "rank 60 in b")
    assert other.picture == b"picture"


def test_a_long_training_is_drawn_with_few_points_from_first_to_last(dataset):
    own = scores(dataset, "net", 0, moments=100)
    (course,) = Examples([own], {}).describe(int(dataset.example_ids[5])).curves
    assert len(course.updates_T) == 16
    assert course.updates_T[[0, -1]].tolist() == [4, 400]
    np.testing.assert_array_equal(course.values_T[[0, -1]], own.trajectory_TN[[0, -1], 5])
