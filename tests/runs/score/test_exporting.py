import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easiness.runs.score.exporting import cartography_lines, cleanlab_table, fiftyone_fields, with_names


def table_of(easiness, **columns):
    count = len(easiness)
    given_columns = {
        "example_id": np.arange(count) + 100, "source": [f"train/cat/{i}.png" for i in range(count)],
        "label": np.arange(count) % 3, "easiness": easiness, "easiness_std": np.full(count, np.nan),
        "rank": np.argsort(np.argsort(easiness)) + 1, "set": ["easy"] + [""] * (count - 1),
    }  # fmt: skip
    return pd.DataFrame(given_columns | columns)


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=30))
def test_label_quality_is_higher_for_easier_examples(easiness):
    quality = cleanlab_table(table_of(easiness))["label_quality"].to_numpy()
    assert ((quality >= 0) & (quality <= 1)).all()
    order = np.argsort(easiness, kind="stable")
    assert (np.diff(quality[order]) <= 0).all()


def test_cleanlab_takes_the_qualities_for_its_own():
    rank = pytest.importorskip("cleanlab.rank", reason="needs cleanlab; pip install cleanlab")
    rng = np.random.default_rng(0)
    probabilities_NK = rng.dirichlet(np.ones(3), size=200)
    labels = np.arange(200) % 3
    losses = -np.log(probabilities_NK[np.arange(200), labels])
    found = cleanlab_table(table_of(losses, label=labels))
    expected = rank.get_label_quality_scores(labels, probabilities_NK, method="self_confidence")
    np.testing.assert_allclose(found["label_quality"], expected, rtol=1e-12)
    worst = rank.find_top_issues(found["label_quality"].to_numpy(), top=20)
    assert set(worst.tolist()) == set(np.argsort(-losses)[:20].tolist())


def test_fields_are_floats_by_path_and_plain_json():
    paths = [f"/data/{i}.png" for i in range(3)]
    found = json.loads(json.dumps(fiftyone_fields(table_of([0.1, 2.0, 1.0]), paths), allow_nan=False))
    assert found["key_field"] == "filepath"
    assert found["fields"]["easiness"] == {"/data/0.png": 0.1, "/data/1.png": 2.0, "/data/2.png": 1.0}
    assert found["fields"]["easiness_rank"]["/data/1.png"] == 3
    assert found["fields"]["easiness_std"] == dict.fromkeys(paths)  # one trial has no spread
    assert "predicted_label" not in found["fields"]


def test_classes_are_named():
    table = table_of([0.1, 2.0, 1.0], predicted=[2, 2, 0], class_name=["cat", "dog", "=1"])
    named = with_names(table, ("cat", "dog", "=1"))
    assert named["label"].tolist() == ["cat", "dog", "=1"]
    assert named["predicted"].tolist() == ["=1", "=1", "cat"]
    assert "class_name" not in named


def slow_forgetfulness(trend):
    """As Dataset Cartography counts it, example by example."""
    if not any(trend):
        return 1000
    learnt, times = False, 0
    for correct in trend:
        if learnt and not correct:
            learnt, times = False, times + 1
        elif not learnt and correct:
            learnt = True
    return times


@given(st.data())
def test_dynamics_of_one_trial_are_those_of_cartography(data):
    moments, count = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    losses = rng.exponential(size=(moments, 1, count)).astype(np.float32)
    correct = rng.integers(0, 2, (moments, 1, count)).astype(np.float32)
    lines = [json.loads(line) for line in cartography_lines(range(50, 50 + count), losses, correct)]
    for index, line in enumerate(lines):
        probability = np.exp(-losses[:, 0, index].astype(np.float64))
        assert list(line) == [
            "guid", "index", "threshold_closeness", "confidence", "variability", "correctness", "forgetfulness",
            "in_sample",
        ]  # fmt: skip
        assert (line["guid"], line["index"], line["in_sample"]) == (50 + index, index, True)
        assert line["confidence"] == pytest.approx(probability.mean())
        assert line["variability"] == pytest.approx(probability.std())
        assert line["threshold_closeness"] == pytest.approx(probability.mean() * (1 - probability.mean()))
        assert line["correctness"] == correct[:, 0, index].sum()
        assert line["forgetfulness"] == slow_forgetfulness(correct[:, 0, index])


def test_dynamics_of_several_trials_are_averaged():
    losses = np.zeros((3, 2, 1), np.float32)
    correct = np.array([[[1], [0]], [[0], [0]], [[1], [0]]], np.float32)
    (line,) = cartography_lines([1], losses, correct)
    assert json.loads(line)["correctness"] == 1.0
    assert json.loads(line)["forgetfulness"] == 0.5
