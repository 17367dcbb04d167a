"""Scores out of fold: `score` with folds, in this process, and what reads its runs."""

import shutil
from dataclasses import replace

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch

import easiness
from easiness import tracking
from easiness.analysis.outliers import outliers
from easiness.datasets import open_dataset
from easiness.runs.ablate import run as ablate_run
from easiness.runs.score.folds import Folds
from easiness.runs.score.held_out import probability_problems, read_greatest, write_probabilities
from easiness.runs.tracked_trials import SharedData, TrialOptions, run_tracked_trials
from easiness.trials.evaluation import MEASURES
from easiness.trials.trial_folder import HELD_OUT
from tests.conftest import fresh_store
from tests.tiny_data import MODEL, tiny_dataset, tiny_recipe, tiny_setup

SMALL = {"model": MODEL, "epochs": 2, "engine": "inline", "log_models": "none"}
IN_TREE = SMALL | {"dataset": "folder", "data": "tree", "resolution": 16, "shift": 2, "batch_size": 8}


def make_tree(shared_data, folder, classes=3, per_class=9):
    """Real pictures of some classes in one tree, one of them twice under two labels."""
    source = shared_data / "imagenette-mini" / "train"
    places = [folder / place.name for place in sorted(source.iterdir())[:classes]]
    for place in places:
        place.mkdir(parents=True)
        for file in sorted((source / place.name).iterdir())[:per_class]:
            shutil.copy(file, place)
    twice = sorted(places[0].iterdir())[0]
    shutil.copy(twice, places[1] / f"again{twice.suffix}")


@pytest.fixture(scope="module")
def home(shared_data, empty_store, tmp_path_factory):
    """Current folder with a store and a tree of pictures without val."""
    folder = tmp_path_factory.mktemp("folds")
    make_tree(shared_data, folder / "tree")
    with fresh_store(empty_store, folder):
        yield folder


@pytest.fixture(scope="module")
def scores(home):
    return easiness.score(**IN_TREE)


def arrays_of(scores, name):
    """Every trial's own arrays, read without the library: (T, M, N), or a list of what each held out at the moment."""
    folders = [tracking.fetch(run_id, name) for run_id in scores.manifest.trial_runs]
    if name == HELD_OUT:
        return [np.load(folder / f"updates={scores.manifest.moment:06d}.npy") for folder in folders]
    files = [f"updates={update:06d}.npy" for update in scores.manifest.updates]
    return np.stack([[np.load(folder / file) for folder in folders] for file in files])


def test_every_image_of_a_tree_without_val_is_scored_out_of_fold(scores):
    table = scores.table
    assert len(table) == 28
    assert table["source"].is_unique
    assert (scores.manifest.folds, scores.trials) == (5, 10)
    assert [trial["fold"] for trial in scores.manifest.trials] == [0, 1, 2, 3, 4] * 2
    assert sorted(table["fold"].unique()) == [0, 1, 2, 3, 4]
    numbers = ["easiness", "heldout_loss", "heldout_share", "memorization", "suggested_share"]
    assert np.isfinite(table[numbers].to_numpy()).all()
    assert set(table["suggested_label"]) <= set(scores.manifest.class_names)
    assert scores.metrics["trials"] == 10


def test_the_numbers_are_those_of_a_slow_loop(scores):
    table, classes = scores.table, list(scores.manifest.class_names)
    losses_TMN, predicted_TMN = arrays_of(scores, "losses"), arrays_of(scores, "predicted")
    probabilities = arrays_of(scores, HELD_OUT)
    moment = scores.manifest.updates.index(scores.manifest.moment)
    place = {fold: np.flatnonzero(table["fold"] == fold).tolist() for fold in range(5)}
    for n, row in table.iterrows():
        seen = [m for m in range(10) if m % 5 != row["fold"]]
        unseen = [m for m in range(10) if m % 5 == row["fold"]]
        losses_M = losses_TMN[moment, :, n].astype(np.float64)
        assert row["easiness"] == pytest.approx(losses_M[seen].mean(), rel=1e-9)
        assert row["easiness_std"] == pytest.approx(losses_M[seen].std(ddof=1), rel=1e-6)
        assert row["heldout_loss"] == pytest.approx(losses_M[unseen].mean(), rel=1e-9)
        assert row["memorization"] == pytest.approx(losses_M[unseen].mean() - losses_M[seen].mean(), abs=1e-9)
        assert row["heldout_share"] == np.mean([predicted_TMN[moment, m, n] == row["label"] for m in unseen])
        votes = np.bincount(predicted_TMN[moment, seen, n].astype(int), minlength=3)
        assert (row["predicted"], row["predicted_share"]) == (votes.argmax(), votes.max() / len(seen))
        shares = np.mean([probabilities[m][place[row["fold"]].index(n)] for m in unseen], axis=0, dtype=np.float64)
        np.testing.assert_allclose(scores.pred_probs[n], shares, atol=1e-3)
        assert row["suggested_label"] == classes[scores.pred_probs[n].argmax()]
        assert row["suggested_share"] == pytest.approx(shares.max(), abs=1e-3)
        # Loss and probability come from two passes over the data.
        alone = -np.log(probabilities[unseen[0]][place[row["fold"]].index(n)][row["label"]].astype(np.float64))
        assert alone == pytest.approx(losses_M[unseen[0]], abs=0.01)
    np.testing.assert_allclose(
        scores.trajectory_TN,
        [
            [
                losses_TMN[t, [m for m in range(10) if m % 5 != fold], n].mean(dtype=np.float64)
                for n, fold in enumerate(table["fold"])
            ]
            for t in range(2)
        ],
        rtol=1e-9,
    )


def test_what_is_read_back_is_what_was_made(scores, tmp_path):
    found = easiness.load_scores(scores.run_id)
    pd.testing.assert_frame_equal(found.table, scores.table)
    assert found.losses_TMN.shape == (2, 8, 28)
    np.testing.assert_array_equal(found.losses_TMN, scores.losses_TMN)
    np.testing.assert_array_equal(found.measure("losses", mapped=tmp_path), scores.losses_TMN)
    assert found.predicted_MN.shape == (8, 28)
    assert found.pred_probs.shape == (28, 3)
    np.testing.assert_allclose(found.pred_probs.sum(axis=1, dtype=np.float32), 1, atol=1e-2)
    assert "scores/pred_probs.npy" in found.hashes


def test_copies_stay_in_one_fold_and_folds_are_stratified(scores):
    table = scores.table
    copies = table[table["duplicates"].str.contains("train")]
    assert len(copies) == 2
    assert copies["fold"].nunique() == 1
    counts = table.drop(copies.index).groupby(["class_name", "fold"]).size().unstack(fill_value=0)
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 2


def test_validation_accuracy_is_the_held_out_one(scores):
    history = [
        mlflow.MlflowClient().get_run(run_id).data.metrics["val_accuracy"] for run_id in scores.manifest.trial_runs
    ]
    last = scores.manifest.updates[-1]
    assert scores.manifest.moment == last
    sizes = scores.table["fold"].value_counts().sort_index().to_numpy()
    mean = np.average(np.reshape(history, (2, 5)).mean(axis=0), weights=sizes)
    assert scores.metrics["heldout_accuracy"] == pytest.approx(mean)


def test_the_same_trials_serve_again_and_a_joint_pass_gives_the_same(scores, caplog):
    caplog.set_level("INFO", "easiness")
    again = easiness.score(**IN_TREE)
    assert again.manifest.trial_runs == scores.manifest.trial_runs
    mlflow.set_experiment("joint")
    joint = easiness.score(**IN_TREE, score_pass="joint")
    mlflow.set_experiment(experiment_id="0")
    assert set(joint.manifest.trial_runs).isdisjoint(scores.manifest.trial_runs)
    pd.testing.assert_frame_equal(joint.table, scores.table)
    np.testing.assert_array_equal(joint.pred_probs, scores.pred_probs)


def test_groups_stay_in_one_fold(scores, home):
    table = scores.table.sort_values("source")
    groups = np.arange(len(table)) // 2
    pd.DataFrame({"file": table["source"], "group": groups}).to_csv(home / "groups.csv", index=False)
    grouped = easiness.score(**IN_TREE, folds=2, trials=2, groups="groups.csv")
    found = grouped.table.set_index("source")["fold"]
    assert all(found[table["source"][groups == group]].nunique() == 1 for group in np.unique(groups))
    assert grouped.manifest.folds == 2


def test_without_folds_a_fifth_is_said_to_be_left_out(home, caplog):
    caplog.set_level("INFO", "easiness")
    plain = easiness.score(**IN_TREE, folds=0, trials=1)
    assert len(plain.table) == 22
    assert "6 images that are not trained on or scored" in caplog.text
    assert "fold" not in plain.table
    with pytest.raises(ValueError, match="held nothing out, so it has no pred_probs; score with folds=5"):
        _ = plain.pred_probs


def test_an_ablation_takes_the_scores_of_its_training_images(scores, home, caplog, monkeypatch):
    caplog.set_level("INFO", "easiness")
    taken, real = [], ablate_run.run_arms
    monkeypatch.setattr(ablate_run, "run_arms", lambda *words: taken.append(words[2]) or real(*words))
    options = {name: value for name, value in IN_TREE.items() if name != "epochs"}
    options |= {"strategies": ("stepwise",), "ratios": (0.2,), "seeds": 1, "epochs": 1}
    easiness.ablate(**options, scores=scores.run_id)
    assert "the validation set was scored, too: 22 of 28 scores are used" in caplog.text
    easiness_of = scores.table.set_index("source")["easiness"]
    np.testing.assert_array_equal(taken[0][0], easiness_of[open_dataset("folder", "tree").sources])


def test_runs_with_folds_are_matched_and_reported(scores, home):
    other = easiness.score(**IN_TREE | {"model": "wide_resnet_10_1"}, folds=2, trials=4)
    matching = easiness.match(runs=[scores.run_id, other.run_id], draws=20)
    assert {run["trials"] for run in matching.manifest.runs} == {4, 10}
    at_last = matching.pairs.query("set == 'easy' and scope == 'global'").iloc[-1]
    easy = [set(run.table.nsmallest(3, "easiness")["example_id"]) for run in (scores, other)]
    assert at_last["rate"] == pytest.approx(len(easy[0] & easy[1]) / 3)
    report = easiness.report(runs=[scores.run_id, other.run_id, matching.run_id], name="folds", folder="reports")
    assert report is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"folds": 1}, "folds is 1, which leaves nothing to train on"),
        ({"folds": 5, "trials": 3}, r"trials is 3, and must be a multiple of folds \(5\), .*; use trials=5, or"),
        ({"limit_val": 9}, "limit_val is 9, and does nothing here: folds hold out training images; .* or say folds=0"),
        ({"folds": 0, "groups": "list.csv"}, "groups is 'list.csv', and does nothing here: folds=0 holds nothing out"),
        ({"groups": "absent.csv"}, "groups is .*absent.csv, and there is no such file or folder"),
        ({"folds": 20}, "folds is 20, and there are 27 examples that may be parted; use fewer folds"),
        ({"folds": 12}, "folds is 12, which the data do not allow"),
    ],
)
def test_wrong_folds_are_refused_before_a_run_begins(home, words, message):
    (home / "list.csv").write_text("file,group\n")
    before = len(mlflow.MlflowClient().search_runs(["0"]))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        easiness.score(**IN_TREE | words)
    assert len(mlflow.MlflowClient().search_runs(["0"])) == before


def test_folds_of_unequal_size_are_scored_after_equal_updates(store):
    data, recipe = tiny_dataset(21), tiny_recipe(folds=2, batch_size=4, epochs=2)
    folds = Folds((np.arange(21) < 6).astype(np.int64), 2)
    assert folds.trained == 6
    setup = tiny_setup(recipe, data, data)
    with tracking.tracked_run("score", "s") as run_id, SharedData(data, data) as shared:
        options = TrialOptions(measures=MEASURES)
        trials = folds.trials(recipe)
        records = run_tracked_trials(trials, shared, run_id, torch.device("cpu"), setup.run, options)
    assert [len(trial.rows) for trial in trials] == [6, 15]
    assert {record.updates for record in records} == {(2, 4)}
    assert {record.measure("losses").shape for record in records} == {(2, 21)}
    assert {record.fingerprint for record in records} == {data.fingerprint}


def test_trials_of_other_folds_are_other_trials():
    data, recipe = tiny_dataset(20), tiny_recipe(folds=2)

    def digests(fold_N, recipe=recipe):
        return {SharedData(data, data).record(trial).digest for trial in Folds(fold_N, 2).trials(recipe)}

    fold_N = np.arange(20) % 2
    swapped = fold_N.copy()
    swapped[:2] = swapped[1::-1]
    other = replace(recipe, trials=4)
    assert len(digests(fold_N)) == 2
    assert digests(fold_N) < digests(fold_N, other)
    assert digests(fold_N).isdisjoint(digests(swapped))


def test_trials_that_memorize_do_not_stand_apart():
    rng = np.random.default_rng(0)
    labels_N, folds = rng.integers(0, 3, 600), Folds(np.arange(600) % 2, 2)
    losses_MN = rng.normal(size=600) + 0.5 * rng.normal(size=(2, 600))
    losses_MN += 9 * (folds.fold_N == np.arange(2)[:, None])
    assert len(outliers(np.exp(losses_MN), labels_N)) == 2
    assert outliers(np.exp(losses_MN), folds.strata(labels_N)) == []


def test_classes_in_one_fold_alone_are_named(store, caplog):
    scores = easiness.score(**SMALL, dataset="planted", limit=14, folds=2, trials=2, allow_outliers=True)
    assert "classes have all their images in one fold (" in caplog.text
    assert "no trial that holds these out has seen their class" in caplog.text
    assert len(scores.table) == 14


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda shares: shares[:-1], "have float16 of shape (9, 3), and must have 10 rows of 3 float16"),
        (lambda shares: shares.astype(np.float32), "have float32 of shape"),
        (lambda shares: shares * np.float16(0.9), "sum to 0.899 to 0.899, not to one"),
        (lambda shares: np.where(np.arange(3) == 1, np.float16("nan"), shares), "nan"),
        (lambda shares: shares - np.float16([0.5, -0.5, 0]), "have values from -"),
    ],
)
def test_wrong_probabilities_are_named(change, message):
    shares = np.full((10, 3), 1 / 3, np.float16)
    assert list(probability_problems(shares, 10, 3)) == []
    (problem,) = probability_problems(change(shares), 10, 3)
    assert message in problem


def test_the_greatest_probabilities_of_large_data(tmp_path):
    few = np.zeros((4, 5), [("label", "<i4"), ("share", "<f2")])
    few["label"], few["share"] = np.arange(5), [0.4, 0.3, 0.1, 0.1, 0]
    write_probabilities(tmp_path, few)
    found = read_greatest(tmp_path / "pred_probs_top5.npz")
    np.testing.assert_array_equal(found, few)
    assert list(probability_problems(found, 4, 1000)) == []
    assert "labels from 0 to 4 of 4 classes" in next(probability_problems(found, 4, 4))
