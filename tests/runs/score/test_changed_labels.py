"""Labels that a review decided, and labels that were flipped on purpose: from one score run to the next."""

import csv
import hashlib
import re
from pathlib import Path

import mlflow
import numpy as np
import pytest

import easiness
from easiness import tracking
from easiness.runs.match.comparable import open_matched_runs
from easiness.runs.score.flips import FlipOptions, confusion_counts, describe_flips, flip_metrics
from easiness.runs.score.tables import suspicion
from tests.tiny_data import MODEL

SMALL = {
    "model": MODEL, "trials": 1, "epochs": 1, "limit": 300, "limit_val": 20, "resolution": 16, "shift": 2,
    "engine": "inline", "log_models": "none",
}  # fmt: skip


def review(path, scores, class_names):
    """Decide on the ten most suspicious: four are relabelled, three removed, three kept; what was decided, by id."""
    worst = scores.table.sort_values("easiness", ascending=False).head(10)
    decided = {}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["example_id", "file", "decision", "label", "given_label", "fingerprint"])
        for place, row in enumerate(worst.itertuples()):
            decision = ["relabel", "remove", "keep", "relabel"][place % 4]
            label = class_names[(row.label + 1) % len(class_names)] if decision == "relabel" else ""
            writer.writerow([row.example_id, row.source, decision, label, row.class_name, scores.manifest.fingerprint])
            decided[row.example_id] = (decision, label or row.class_name)
    return decided


def trial_runs(scores):
    return {trial["run_id"] for trial in scores.manifest.trials}


def test_decided_flipped_and_original_labels_are_three_data_sets(store, tmp_path, caplog):
    original = easiness.score(**SMALL)
    names = original.manifest.class_names
    decided = review(tmp_path / "decisions.csv", original, names)
    new = easiness.score(**SMALL, decisions=tmp_path / "decisions.csv")
    flipped = easiness.score(**SMALL, flip_labels=0.1, flip_by="confusion", flip_from=original.run_id)
    runs = (original, new, flipped)

    # The labels of the new run are the decided ones, and all others stay.
    labels = dict(zip(original.table["example_id"], original.table["class_name"], strict=True))
    labels |= {example_id: label for example_id, (_, label) in decided.items()}
    kept = {example_id for example_id in labels if decided.get(example_id, ("keep",))[0] != "remove"}
    found = dict(zip(new.table["example_id"], new.table["class_name"], strict=True))
    assert found == {example_id: labels[example_id] for example_id in kept}
    assert len(new.table) == 300 - sum(decision == "remove" for decision, _ in decided.values())
    assert set(
        new.table["group"][new.table["example_id"].isin([i for i, d in decided.items() if d[0] == "relabel"])]
    ) == {"relabelled"}

    # No run takes a trial of another.
    assert len({run.manifest.fingerprint for run in runs}) == 3
    assert len({run.manifest.fingerprint_val for run in runs}) == 1
    assert len(set.union(*map(trial_runs, runs))) == 3
    assert "found finished" not in caplog.text

    # What was decided can be traced.
    logged = mlflow.artifacts.download_artifacts(run_id=new.run_id, artifact_path="decisions.csv")
    content = (tmp_path / "decisions.csv").read_bytes()
    assert Path(logged).read_bytes() == content
    assert new.manifest.label_changes == {"decisions": hashlib.sha256(content).hexdigest()}
    assert original.manifest.label_changes == {}

    # Flips are known, stand beside the labels that were given, and are counted.
    table = flipped.table
    assert table["flipped"].sum() == 30
    given = table["given_label"].tolist()
    assert given == original.table["class_name"].tolist()
    np.testing.assert_array_equal(table["flipped"], table["class_name"] != table["given_label"])
    assert flipped.manifest.label_changes["flips"] == {
        "share": 0.1, "by": "confusion", "from": original.run_id, "count": 30,
    }  # fmt: skip
    run = mlflow.get_run(flipped.run_id)
    assert "30 labels flipped on purpose" in run.info.run_name
    assert {"flips_auc", "flips_precision", "flips_recall_of_5", "wrong_labels_high"} <= run.data.metrics.keys()
    for kind in (original, new):
        assert "flips_auc" not in mlflow.get_run(kind.run_id).data.metrics

    # A run of flipped labels is a test, which match and ablate leave alone.
    with tracking.tracked_run("match", "m") as run_id:
        assert original.run_id in {
            run.run_id for run in open_matched_runs(run_id, [original.run_id], one_is_enough=True).values()
        }
        said = (
            f"score run {flipped.run_id} .* has 30 labels that were flipped on purpose, .*; match needs a run without"
        )
        with pytest.raises(ValueError, match=said):
            open_matched_runs(run_id, [original.run_id, flipped.run_id])
        (latest,) = open_matched_runs(run_id, one_is_enough=True).values()
        assert latest.run_id == new.run_id
    ablation = {name: value for name, value in SMALL.items() if name != "trials"}
    with pytest.raises(ValueError, match="flipped on purpose.*; ablate needs a run without flip_labels"):
        easiness.ablate(**ablation, scores=flipped.run_id, strategies=("hard",))
    with pytest.raises(ValueError, match="take the same dataset, limit, keep, decisions and seed"):
        easiness.ablate(**ablation, scores=new.run_id, strategies=("hard",))


def test_train_and_ablate_follow_decisions_and_a_score_takes_the_trial_over(store, tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text("file,decision,label\nplanted/train#5,remove,\n")
    few = SMALL | {"limit": None}
    few |= {"keep": tmp_path / "keep.csv", "decisions": path}
    (tmp_path / "keep.csv").write_text("example_id\n" + "\n".join(map(str, range(60))) + "\n")
    train_words = {name: value for name, value in few.items() if name not in ("trials", "engine", "log_models")}
    trained = easiness.train(**train_words, log_model=False)
    scores = easiness.score(**few)
    assert [trial["run_id"] for trial in scores.manifest.trials] == [trained.run_id]
    assert scores.table["example_id"].tolist() == [number for number in range(60) if number != 5]
    words = {name: value for name, value in few.items() if name != "trials"}
    ablation = easiness.ablate(
        **words, scores=scores.run_id, strategies=("hard",), ratios=(0.2,), seeds=1, balanced=True
    )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert ablation.manifest.label_changes == {"decisions": sha256}
    for run_id in (trained.run_id, scores.run_id, ablation.run_id):
        assert mlflow.get_run(run_id).data.tags["easiness.decisions"] == sha256
        logged = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="decisions.csv")
        assert Path(logged).read_bytes() == path.read_bytes()


def table_of(easiness_N, flipped_N, **more):
    import pandas as pd

    return pd.DataFrame({"easiness": easiness_N, "flipped": flipped_N, **more})


def test_flips_are_ranked_by_held_out_loss_where_there_is_one():
    flipped_N = np.arange(200) < 40
    table = table_of(np.arange(200.0), flipped_N)
    worst = flip_metrics(table, seed=0)
    assert (worst["flips"], worst["flips_auc"], worst["flips_recall"], worst["flips_precision_of_5"]) == (40, 0, 0, 0)
    table["heldout_loss"] = -table["easiness"]
    best = flip_metrics(table, seed=0)
    assert (best["flips_auc"], best["flips_recall"], best["flips_precision"]) == (1, 1, 1)
    assert (best["flips_recall_of_5"], best["flips_recall_of_10"]) == (10 / 40, 20 / 40)
    np.testing.assert_array_equal(suspicion(table), table["heldout_loss"])
    assert flip_metrics(table.drop(columns="flipped"), seed=0) == {}


def test_what_cannot_be_told_is_said():
    table = table_of(-np.arange(200.0), np.arange(200) < 10)
    metrics = flip_metrics(table, seed=0)
    assert "wrong_labels_share" not in metrics
    assert "of the other 190 labels are wrong cannot be told: flip 20 or more" in describe_flips(metrics, 200)
    table = table_of(-np.arange(200.0), np.arange(200) < 50)
    said = describe_flips(flip_metrics(table, seed=0), 200)
    assert re.search(r"50 labels were flipped .* area under the curve 1\.000; .* so that there may be none", said)


def test_confusion_is_counted_of_held_out_predictions_where_there_are_any():
    import pandas as pd

    class Run:
        run_id = "r"
        table = pd.DataFrame({"label": [0, 0, 1, 2], "predicted": [0, 1, 1, 0]})
        manifest = type("Manifest", (), {"class_names": ("a", "b", "c")})

    np.testing.assert_array_equal(confusion_counts(Run), [[1, 1, 0], [0, 1, 0], [1, 0, 0]])
    Run.table = Run.table.assign(suggested_label=["a", "c", "b", "c"])
    np.testing.assert_array_equal(confusion_counts(Run), [[1, 0, 1], [0, 1, 0], [0, 0, 1]])
    for column, values in (("suggested_label", ["a", "c", "b", "d"]), ("predicted", [0, 1, 3, 0])):
        Run.table = pd.DataFrame({"label": [0, 0, 1, 2], column: values})
        with pytest.raises(ValueError, match="score run r predicts a class that it does not have"):
            confusion_counts(Run)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip_labels": 1.0}, "flip_labels is 1.0, and must be a share of the labels, from 0 to below 1"),
        ({"flip_labels": -0.1}, "flip_labels is -0.1, and must be a share"),
        ({"flip_labels": 0.1, "flip_by": "confusion"}, "flip_from is not given; name a score run with flip_from=ID"),
        ({"flip_labels": 0.1, "flip_from": "abc"}, "flip_from is 'abc', and does nothing here: flip_by is uniform"),
        ({"flip_by": "confusion", "flip_from": "abc"}, "flip_by is 'confusion', and flip_labels is 0"),
        ({"flip_by": "luck"}, "flip_by is 'luck', and must be one of uniform, confusion"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FlipOptions(**options)
