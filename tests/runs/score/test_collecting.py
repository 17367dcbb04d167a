"""Score runs made of trials that were recorded, or belong to score runs."""

import json
import re

import mlflow
import numpy as np
import pandas as pd
import pytest

import easiness
from easiness import tracking
from easiness.runs.score.exporting import export
from easiness.runs.score.tables import score_table
from tests.tiny_data import tiny_dataset
from tests.tiny_recordings import draw_logits, record, recorder_of

TINY = {"limit": 60, "limit_val": 30, "epochs": 1, "resolution": 32, "log_models": "none", "engine": "inline"}
TINY |= {"allow_outliers": True}
MODEL = "tests.tiny_model:build"


@pytest.fixture
def data():
    return tiny_dataset(60)


def losses_of(run_ids, fingerprint, updates=(4, 8)):
    return tracking.read_trials(run_ids, "losses", updates, fingerprint)


def page_of(run_id):
    return tracking.fetch(run_id, "preview/index.html").read_text()


def review_of(run_id):
    return json.loads(re.search(r'id="data">(.*?)</script>', page_of(run_id), re.DOTALL)[1])


def test_the_scores_are_those_of_the_trials(store, data):
    trials = [record(data, seed, updates_per_epoch=4, schedule_epochs=10) for seed in range(3)]
    made = easiness.collect(runs=trials, fraction=0.2)
    losses_TMN = losses_of(trials, data.fingerprint)
    np.testing.assert_array_equal(made.losses_TMN, losses_TMN)
    np.testing.assert_allclose(made.trajectory_TN, losses_TMN.mean(axis=1, dtype=np.float64))
    predicted_MN = tracking.read_trials(trials, "predicted", (8,), data.fingerprint)[0]
    expected = score_table(data, losses_TMN[1], fraction=0.2, predicted_MN=predicted_MN)
    pd.testing.assert_frame_equal(made.table[expected.columns], expected)
    el2n_MN, right_TMN = (tracking.read_trials(trials, name, (4, 8), data.fingerprint) for name in ("el2n", "correct"))
    np.testing.assert_allclose(made.table["el2n"], el2n_MN[1].mean(axis=0), rtol=1e-6)
    lost_MN = np.where(right_TMN.any(axis=0), right_TMN[0] > right_TMN[1], 2)
    np.testing.assert_allclose(made.table["forgetting"], lost_MN.mean(axis=0))
    assert made.moment_name == "8 updates (epoch 2 of 10)"
    manifest = made.manifest
    assert (manifest.recorded, manifest.numbered_by, manifest.fingerprint) == (True, "epoch", data.fingerprint)
    assert (manifest.fingerprint_val, manifest.trial_runs) == (None, trials)
    read = easiness.load_scores(made.run_id)
    assert read.manifest == manifest
    assert read.table.equals(made.table)
    np.testing.assert_array_equal(read.losses_TMN, losses_TMN)
    assert made.metrics == pytest.approx(read.metrics)


def test_what_is_not_known_is_asked_for_or_left_out(store, data):
    trials = [record(data, seed) for seed in range(2)]
    with pytest.raises(ValueError, match="moment is not given, and the end of epoch 5 is not known.* one of 4, 8"):
        easiness.collect(runs=trials)
    made = easiness.collect(runs=trials, moment=4, per_class=True)
    assert (made.per_epoch, made.moment_name, made.manifest.numbered_by) == (None, "4 updates", "scored moment")
    np.testing.assert_allclose(made.table["easiness"], losses_of(trials, data.fingerprint)[0].mean(axis=0), rtol=1e-6)
    with pytest.raises(ValueError, match="moment is 5, and must be one of 4, 8"):
        easiness.collect(runs=trials, moment=5)


def test_match_report_and_export_take_it_as_any_other(store, data, tmp_path):
    for model, first in (("a", 0), ("b", 5)):
        trials = [record(data, first + m, model=model, digests=None, name="my/data") for m in range(2)]
        easiness.collect(runs=trials, moment=8)
    matched = easiness.match(draws=10)
    assert set(matched.pairs["a"]) == {"a"}
    assert any("Trials of a, b were recorded" in sentence for sentence in matched.sentences)
    assert matched.diversity is None
    page = easiness.report(name="mine").page.read_text()
    assert "my/data" in page
    assert "no picture" in page
    assert "the part of training that was recorded" in page
    run_id = matched.manifest.runs[0]["run_id"]
    for to in ("csv", "cleanlab", "cartography"):
        export(run=run_id, to=to)
    with pytest.raises(ValueError, match="whose recipe is not known; stepwise .* leave it out of strategies"):
        easiness.ablate(scores=run_id, model="a", limit=60, strategies=("stepwise",), ratios=(0.5,))


def test_ablate_removes_by_recorded_scores_of_the_same_data(store):
    data = easiness.open_dataset("planted", limit=60)
    made = easiness.collect(runs=[record(data, images=data.images, digests=None)], moment=8)
    options = {"limit": 60, "limit_val": 30, "epochs": 1, "resolution": 32, "log_models": "none", "engine": "inline"}
    plan = {"strategies": ("easy",), "ratios": (0.5,), "seeds": 1}
    found = easiness.ablate(scores=made.run_id, score_moment=4, model=MODEL, **options, **plan)
    assert (found.manifest.scores, found.manifest.moment) == ((made.run_id,), 4)
    assert found.manifest.scores_recipe["recorded"]
    assert set(found.tables["accuracy"]["strategy"]) == {"none", "easy"}
    report = easiness.report(runs=[made.run_id, found.run_id], name="both")
    assert [entry.run.kind for entry in report.selected] == ["score", "ablate"]


def test_pages_show_the_pictures_that_trials_kept(store):
    data = easiness.open_dataset("planted", limit=60)
    kept = record(data, 0, images=data.images, digests=None)
    told, untold = (easiness.collect(runs=[run_id], moment=8) for run_id in (kept, record(data, 1)))
    review = review_of(told.run_id)
    assert set(review["pictures"]) == {str(row) for row in range(60)}
    assert "easiest and hardest" in page_of(told.run_id)
    assert set(told.thumbnails) == set(data.example_ids.tolist())
    assert review_of(untold.run_id)["pictures"] == {}
    assert "easiest and hardest<" not in page_of(untold.run_id)
    assert untold.thumbnails == {}
    runs = [told.run_id, untold.run_id]
    assert easiness.match(runs=runs, draws=10).diversity is None, (
        "where a recording's pictures are, only its maker knows"
    )
    assert easiness.match(runs=runs, draws=10, dataset="planted").diversity is not None
    assert easiness.match(runs=runs, draws=10, data=data).diversity is not None


def test_recordings_with_and_without_content_are_not_matched(store, data):
    runs = [
        easiness.collect(runs=[record(data, m, digests=told)], moment=8) for m, told in enumerate((None, data.digests))
    ]
    with pytest.raises(ValueError, match="their data differ: fingerprint .*, content covered False and True"):
        easiness.match(runs=[run.run_id for run in runs])


def test_trials_of_score_runs_are_collected_with_recorded_ones(store):
    scored = easiness.score(model=MODEL, trials=3, **TINY)
    trials = scored.manifest.trial_runs[:2]
    made = easiness.collect(runs=trials, allow_outliers=True)
    np.testing.assert_array_equal(made.losses_TMN, scored.losses_TMN[:, :2])
    assert (made.model, made.per_epoch, made.manifest.dataset) == (MODEL, 2, "planted")
    assert made.manifest.fingerprint_val == scored.manifest.fingerprint_val
    assert made.table["group"].equals(scored.table["group"])
    assert "duplicates" not in made.table
    with pytest.raises(ValueError, match="both were made of trial run"):
        easiness.match(runs=[made.run_id, scored.run_id])
    other = easiness.score(model=MODEL, trials=1, learning_rate=0.02, **TINY)
    with pytest.raises(ValueError, match="trial 0 .* and trial 0 .* have the same seeds"):
        easiness.collect(runs=[trials[0], *other.manifest.trial_runs])
    data = easiness.open_dataset("planted", limit=60)
    own = record(data, 3, updates=(2,))
    with pytest.raises(ValueError, match=f"the trials have several model: {MODEL}, mine; say which with model="):
        easiness.collect(runs=[trials[0], own])
    both = easiness.collect(runs=[trials[0], own], model="both", allow_outliers=True)
    assert (both.trials, both.model, both.per_epoch) == (2, "both", None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 2}, "was made with folds=2, and collect takes trials that were trained on all"),
        ({"common_random_numbers": True}, "was made with common_random_numbers=True"),
        ({"flip_labels": 0.1}, "labels that were flipped on purpose"),
    ],
)
def test_trials_that_say_something_else_are_refused(store, options, message):
    limits = {"limit_val": None} if "folds" in options else {}
    scored = easiness.score(model=MODEL, trials=2, **TINY | limits | options)
    with pytest.raises(ValueError, match=message):
        easiness.collect(runs=scored.manifest.trial_runs)


def test_unlike_trials_are_refused_by_name(store, data):
    first = record(data, 0)
    again = record(data, 0)
    with pytest.raises(ValueError, match=f"run {first}.*run {again}.* have the same losses: they are one training"):
        easiness.collect(runs=[first, again], moment=8)
    for other, what in (
        (record(data, 1, updates=(4, 9)), r"updates differ, \(4, 8\) and \(4, 9\)"),
        (record(tiny_dataset(60, seed=1), 1), f"fingerprint differ, {data.fingerprint} and "),
        (record(data, 1, weights="IMAGENET1K_V1"), "several weights: none, IMAGENET1K_V1; collect trials that start"),
        (record(data, 1, name="other"), "several name: planted, other; say which with name="),
    ):
        with pytest.raises(ValueError, match=what):
            easiness.collect(runs=[first, other], moment=8)


def test_runs_that_are_no_finished_trials_are_refused(store, data):
    with pytest.raises(ValueError, match="runs is not given; say which trial runs to collect"):
        easiness.collect()
    made = easiness.collect(runs=[record(data)], moment=8)
    with pytest.raises(ValueError, match="of kind 'score' and FINISHED; collect takes finished runs of kind 'trial'"):
        easiness.collect(runs=[made.run_id])
    recorder = recorder_of(data)
    with pytest.raises(ValueError, match="of kind 'trial' and RUNNING"):
        easiness.collect(runs=[recorder.run_id])
    recorder.fail()
    alone = easiness.train(model=MODEL, epochs=1, limit=60, limit_val=30)
    with pytest.raises(ValueError, match="is not of a finished score run, which would have the labels"):
        easiness.collect(runs=[alone.run_id])


def test_a_trial_that_stands_apart_is_named(store, data):
    trials = [record(data, seed) for seed in range(4)]
    with recorder_of(data) as recorder:
        for update in (4, 8):
            recorder.update(data.example_ids, -100 * draw_logits(data, 9))
            recorder.checkpoint(update)
    with pytest.raises(ValueError, match=f"trial 0 .run {recorder.run_id}. stands apart"):
        easiness.collect(runs=[*trials, recorder.run_id], moment=8)
    assert easiness.collect(runs=[*trials, recorder.run_id], moment=8, allow_outliers=True).trials == 5


def test_weights_of_recorded_trainings_are_told_by_match(store, data):
    for model, weights in (("a", "none"), ("b", "IMAGENET1K_V1")):
        easiness.collect(runs=[record(data, m, model=model, weights=weights) for m in range(2)], moment=8)
    matched = easiness.match(draws=10)
    assert any(line.startswith("All trials of b start from IMAGENET1K_V1") for line in matched.sentences)


def test_the_run_says_of_which_model_and_data_it_is(store, data):
    made = easiness.collect(runs=[record(data, updates=(8,))], model="tiny", name="birds")
    run = mlflow.get_run(made.run_id)
    assert run.info.run_name == "tiny on birds, 8 updates"
    assert (run.data.tags["easiness.model"], run.data.tags["easiness.dataset"]) == ("tiny", "birds")
    assert run.data.tags["easiness.fingerprint"] == data.fingerprint
    assert run.inputs.dataset_inputs[0].dataset.name == "birds"
