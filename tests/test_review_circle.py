"""The circle of a review: scores, a person's keys on their page, a file, and scores of the decided labels."""

import mlflow
import pandas as pd
import pytest

import easiness
from easiness import tracking
from tests.browser import Browser, find_chromium

OPTIONS = {"model": "tests.tiny_model:build", "limit": 100, "resolution": 16, "epochs": 2, "folds": 2, "trials": 2}
OPTIONS |= {"allow_outliers": True}  # so few images
KEYS = ("k", "r", "s", "s", "r", "k", "s", "r", "k", "s")


def test_what_is_decided_by_keys_is_what_is_scored_next(store, tmp_path):
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("needs a Chromium; on Debian: apt-get install chromium")
    before = easiness.score(**OPTIONS)
    page = mlflow.artifacts.download_artifacts(run_id=before.run_id, artifact_path="preview/index.html")
    with Browser(chromium) as browser:
        browser.open(f"file://{page}")
        browser.press(*KEYS)
        file = browser.download(tmp_path, "document.getElementById('download').click()")
        assert browser.complaints == []
    decisions = tracking.read_table(file).set_index("example_id")
    assert len(decisions) == len(KEYS)
    suspicious = before.table.sort_values("heldout_loss", ascending=False, kind="stable").head(len(KEYS))
    assert set(decisions.index) == set(suspicious["example_id"])
    for key, row in zip(KEYS, suspicious.itertuples(), strict=True):
        decided, agrees = decisions.loc[row.example_id], row.suggested_label == row.class_name
        wanted = {"k": "keep", "r": "remove", "s": "keep" if agrees else "relabel"}[key]
        assert decided["decision"] == wanted
        assert decided["given_label"] == row.class_name
        assert wanted != "relabel" or decided["label"] == row.suggested_label

    after = easiness.score(**OPTIONS, decisions=file)
    expected = before.table.set_index("example_id")["class_name"].copy()
    relabelled = decisions[decisions["decision"] == "relabel"]
    assert len(relabelled) > 0
    expected[relabelled.index] = relabelled["label"]
    expected = expected.drop(decisions.index[decisions["decision"] == "remove"])
    pd.testing.assert_series_equal(after.table.set_index("example_id")["class_name"], expected)

    flipped = easiness.score(**OPTIONS, flip_labels=0.2)
    runs = (before, after, flipped)
    assert len({run.manifest.fingerprint for run in runs}) == 3
    trials = [run_id for run in runs for run_id in run.manifest.trial_runs]
    assert len(set(trials)) == len(trials), "no trial of one is taken over by another"
    again = easiness.score(**OPTIONS, decisions=file)
    assert again.manifest.trial_runs == after.manifest.trial_runs
