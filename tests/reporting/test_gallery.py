import numpy as np
import pandas as pd
import pytest

from easiness.reporting.gallery import Examples, class_ends, disputed_section, suspicious, suspicious_section
from easiness.reporting.sources import ScoreSource
from easiness.runs.score.tables import score_table
from easiness.tracking import RunRecord
from tests.tiny_data import tiny_dataset
from tests.tiny_scores import draw_losses

RUN = RunRecord("r", "score", "score", "FINISHED", "0", 0, {}, {})


@pytest.fixture
def dataset():
    return tiny_dataset(60)


def source(dataset, model, seed, *, predicted=None, pictures=None, trials=3, moments=2):
    losses_TMN = draw_losses(dataset, seed, trials=trials, moments=moments)
    table = score_table(dataset, losses_TMN[-1])
    settings = {
        "model": model, "trials": [{}] * trials, "moment": 8, "updates": list(range(4, 4 * moments + 4, 4)),
        "class_names": list(dataset.class_names),
    }  # fmt: skip
    trajectory_TN = losses_TMN.mean(axis=1, dtype=np.float64)
    return ScoreSource(RUN, "planted", "f", settings, {}, table, trajectory_TN, pictures or {}, predicted)


def test_both_ends_of_every_class_with_easiness_and_rank(dataset):
    own = source(dataset, "net", 0, pictures={1000: b"p"})
    shelf = class_ends(Examples([own], {}), own)
    assert [row.name for row in shelf.rows] == [
        f"class {label}: {end}" for label in range(3) for end in ("easiest", "hardest")
    ]
    for label in range(3):
        members = own.table[own.table["label"] == label].sort_values("easiness")
        easy, hard = shelf.rows[2 * label : 2 * label + 2]
        assert [item.example_id for item in easy.items] == members["example_id"].head(8).tolist()
        assert [item.example_id for item in hard.items] == members["example_id"].tail(8).tolist()[::-1]
        first = members.iloc[0]
        assert easy.items[0].lines == (f"{first['easiness']:.3g} nats", f"rank {first['rank']}")
    everything = [item for row in shelf.rows for item in row.items]
    assert {item.picture for item in everything if item.example_id != 1000} <= {None}


def test_models_prefer_what_most_of_their_trials_predict(dataset):
    votes = {"a": [0, 0, 1], "b": [2, 2, 2, 2]}  # label 0 has 2 votes, label 2 has 4 of 7
    sources = [
        source(dataset, name, seed, trials=len(each), predicted=np.tile(np.array(each)[:, None], (1, len(dataset))))
        for seed, (name, each) in enumerate(votes.items())
    ]
    found = suspicious(sources, count=5)
    assert list(found["preferred"]) == ["class 2"] * 5
    np.testing.assert_allclose(found["preferred_share"], 4 / 7)
    shelf = suspicious_section(Examples(sources, {}), found)
    assert "models say class 2 (57%)" in shelf.rows[0].items[0].lines
    assert [course.model for course in shelf.rows[0].items[0].metric_curves] == ["a", "b"]


def test_votes_for_a_label_that_is_no_models_favourite_count(dataset):
    # Of a 0 is the favourite, of b 2; 1 has the most votes.
    votes = {"a": [0, 0, 0, 1, 1], "b": [2, 2, 2, 1, 1], "c": [0, 2, 1]}
    sources = [
        source(dataset, name, seed, trials=len(each), predicted=np.tile(np.array(each)[:, None], (1, len(dataset))))
        for seed, (name, each) in enumerate(votes.items())
    ]
    found = suspicious(sources, count=5)
    assert list(found["preferred"]) == ["class 1"] * 5
    np.testing.assert_allclose(found["preferred_share"], 5 / 13)


def test_models_without_predictions_or_pictures_are_named(dataset):
    shown = {int(each): b"picture" for each in dataset.example_ids}
    predicted = np.ones((3, len(dataset)), np.uint8)
    full, bare = source(dataset, "full", 0, predicted=predicted, pictures=shown), source(dataset, "bare", 1)
    examples = Examples([full, bare], {})
    shelf = suspicious_section(examples, suspicious([full, bare], count=5))
    assert "models say class 1 (100%)" in shelf.rows[0].items[0].lines
    assert "Not counted are those of bare, which kept no predictions." in shelf.note
    ends = class_ends(examples, bare)
    for each in (shelf, ends):
        assert "No pictures were kept for bare: an example has one where another run kept it." in each.note
        assert {item.picture for row in each.rows for item in row.items} == {b"picture"}

    for sources in ([full], [bare]):
        notes = suspicious_section(Examples(sources, {}), suspicious(sources, count=5)).note
        assert "No pictures" not in notes
        assert "Not counted" not in notes


def test_an_example_that_one_model_finds_easy_is_not_suspicious(dataset):
    a, b = source(dataset, "a", 0), source(dataset, "b", 1)
    hardest = int(a.trajectory_TN[-1].argmax())
    b.trajectory_TN[-1, hardest] = 0
    found = suspicious([a, b], count=len(dataset))
    assert found["example_id"].iloc[0] != dataset.example_ids[hardest]
    # The other one at the end is the one that `a` finds easiest.
    assert dataset.example_ids[hardest] in found["example_id"].tail(2).tolist()
    assert found["rank"].is_monotonic_decreasing


def test_disputed_examples_stand_with_the_side_that_finds_them_harder(dataset):
    sources = [source(dataset, name, seed) for seed, name in enumerate("ab")]
    ids = dataset.example_ids[:3].tolist()
    table = pd.DataFrame(
        {"a": "a", "b": "b", "example_id": ids, "z": [3.0, -2.5, 1.0], "rank_a": [50, 1, 20], "rank_b": [2, 60, 9]}
    )
    shelf = disputed_section(Examples(sources, {ids[1]: b"picture"}), table)
    assert [row.name for row in shelf.rows] == ["harder for a than for b", "harder for b than for a"]
    assert [item.example_id for item in shelf.rows[0].items] == [ids[0], ids[2]]
    (other,) = shelf.rows[1].items
    assert other.lines == ("z -2.5", "rank 1 in a", "rank 60 in b")
    assert other.picture == b"picture"


def test_a_long_training_is_drawn_with_few_points_from_first_to_last(dataset):
    own = source(dataset, "net", 0, moments=100)
    (course,) = Examples([own], {}).item(int(dataset.example_ids[5])).metric_curves
    assert len(course.updates_T) == 16
    assert course.updates_T[[0, -1]].tolist() == [4, 400]
    np.testing.assert_array_equal(course.easiness_T[[0, -1]], own.trajectory_TN[[0, -1], 5])
