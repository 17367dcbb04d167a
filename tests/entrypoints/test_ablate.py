"""The entry point `ablate`: what it logs, what it says to wrong words, and that being killed changes nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch

import easiness
from easiness.architectures import build_model
from easiness.commandline import command
from easiness.datasets import open_dataset
from easiness.datasets.kept import read_kept, write_kept
from easiness.recipes.recipe import make_recipe
from entrypoints.ablate import ablate
from entrypoints.score import score
from entrypoints.train import train
from tests.tiny_scores import draw_losses, log_score_run

ROOT = Path(__file__).resolve().parents[2]
TINY = "tests.tiny_model:build"
DATA = (f"--model={TINY}", "--limit=60", "--limit_val=60")
TRAIN = (*DATA, "--log_model=false")
SCORE = (*DATA, "--log_models=none", "--trials=2", "--epochs=2")
SMALL = (*DATA, "--log_models=none", "--epochs=2", "--ratios=0.2,0.1", "--seeds=2")


def call(monkeypatch, function, *words):
    monkeypatch.setattr(sys, "argv", [function.__name__, *words])
    command(function)


def call_wrongly(monkeypatch, capsys, function, *words):
    """The one line on standard error of a call that must fail."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, function, *words)
    assert ended.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    return line


def runs(kind, status="FINISHED"):
    """Newest first."""
    query = f"tags.`easiness.kind` = '{kind}' and attributes.status = '{status}'"
    return mlflow.MlflowClient().search_runs(["0"], query, order_by=["attributes.start_time DESC"])


def artifacts(run):
    return Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id))


def test_an_ablate_run_keeps_the_contract(store, monkeypatch, capsys):
    call(monkeypatch, score, *SCORE, "--engine=inline")
    (scored,) = runs("score")
    call(monkeypatch, ablate, *SMALL, "--engine=inline")
    said, told = capsys.readouterr()
    (run,) = runs("ablate")
    assert "stepwise scored anew after equal updates, 2 seeds each; every arm: a whole training of 2 epochs" in told
    assert "easiness after 4 updates (epoch 2 of 300)" in run.data.tags["mlflow.note.content"]
    arms = {arm.info.run_id: arm for arm in runs("arm")}
    folder = artifacts(run)
    accuracy = pd.read_csv(folder / "accuracy.csv")
    assert list(accuracy) == [
        *("strategy", "ratio", "seed", "accuracy", "best_accuracy", "worst_class_accuracy", "worst_class"),
        *("images", "updates", "seconds", "run_id"),
    ]
    keys = list(accuracy[["strategy", "ratio", "seed"]].itertuples(index=False, name=None))
    cases = [(strategy, ratio) for strategy in ("easy", "hard", "random", "stepwise") for ratio in (0.1, 0.2)]
    assert keys == [(*case, seed) for case in [("none", 0.0), *cases] for seed in (0, 1)]
    val = open_dataset("planted", split="val", limit=60)
    for row in accuracy.itertuples():
        arm = arms[row.run_id]
        assert row.strategy in arm.data.tags["easiness.strategy"].split(",")
        assert arm.data.metrics["val_accuracy"] == row.accuracy <= row.best_accuracy
        assert arm.data.metrics["training_seconds"] == row.seconds
        assert row.images == 60 - round(60 * row.ratio)
        correct = np.load(artifacts(arm) / "validation" / "correct.npy")
        assert correct.mean(dtype=float) == pytest.approx(row.accuracy, abs=1e-12)
        by_class = {name: correct[val.labels == k].mean() for k, name in enumerate(val.class_names)}
        assert row.worst_class_accuracy == pytest.approx(min(by_class.values()))
        assert by_class[row.worst_class] == min(by_class.values())
        kept = read_kept(folder / "kept" / f"{row.strategy}-{row.ratio:g}-{row.seed}.csv")
        np.testing.assert_array_equal(kept, read_kept(folder / "kept" / f"{row.strategy}-{row.ratio:g}-{row.seed}.npy"))
        assert len(kept) == row.images
    subsets = {(path.stem[-1], path.read_bytes()) for path in (folder / "kept").glob("*.csv")}
    assert len(arms) == len(subsets) < len(accuracy), "arms that keep the same examples are one training"
    removed = pd.read_csv(folder / "removed.csv")
    deciles = removed[(removed["grouping"] == "decile") & (removed["ratio"] == 0.2)]
    assert set(deciles["group"]) == {str(decile) for decile in range(1, 11)}
    np.testing.assert_allclose(deciles.groupby(["strategy", "seed"])["share"].mean(), 0.2)
    assert set(removed["grouping"]) == {"decile", "class", "group"}
    differences = pd.read_csv(folder / "differences.csv")
    assert list(differences) == ["strategy", "ratio", "difference", "low", "high", "seeds"]
    mean = accuracy.groupby(["strategy", "ratio"])["accuracy"].mean()
    for row in differences.itertuples():
        assert row.difference == pytest.approx(mean[row.strategy, row.ratio] - mean["random", row.ratio])
    costs = pd.read_csv(folder / "costs.csv")
    for row in costs.itertuples():
        assert row.difference == pytest.approx(mean[row.strategy, row.ratio] - mean["none", 0.0])
    manifest = json.loads((folder / "ablation.json").read_text())
    assert (manifest["schema"], manifest["kind"], manifest["scores"]) == (1, "ablate", [scored.info.run_id])
    assert (manifest["ratios"], manifest["seeds"]) == ([0.1, 0.2], 2)
    assert len(manifest["summary"]) == 2
    for line in manifest["summary"]:
        assert line in said
    pictures = {"accuracy", "accuracy_by_updates", "accuracy_by_seconds", "differences", "worst_class", "removed"}
    assert {path.stem for path in (folder / "figures").glob("*.png")} == pictures

    # Again: everything is found, nothing is trained, every digit is the same.
    monkeypatch.setattr("easiness.trials.trial.train", None)
    call(monkeypatch, ablate, *SMALL, "--engine=inline")
    again = artifacts(runs("ablate")[0])
    for path in [*folder.rglob("*.csv"), *folder.rglob("*.npy"), *folder.rglob("*.png")]:
        assert (again / path.relative_to(folder)).read_bytes() == path.read_bytes(), path.name


RANKED = "--strategies=easy,hard,random,stepwise,offset,coverage"


def test_by_another_score_with_all_strategies(store, monkeypatch, capsys):
    call(monkeypatch, score, *SCORE, "--engine=inline")
    words = ("--engine=inline", "--ratios=0.5", "--equal_updates=true", "--allow_empty=true", "--score_by=aum", RANKED)
    call(monkeypatch, ablate, *SMALL, *words)
    assert "AUM after 4 updates (epoch 2 of 300), from score run" in capsys.readouterr().err
    (run,) = runs("ablate")
    folder = artifacts(run)
    manifest = json.loads((folder / "ablation.json").read_text())
    assert (manifest["score_by"], manifest["score_title"], manifest["offset"]) == ("aum", "AUM", 0.05)
    assert manifest["weighting"] == "rank", "a margin may be negative"
    assert run.info.run_name.startswith(f"{TINY} on planted, by AUM, without easy, hard")
    accuracy = pd.read_csv(folder / "accuracy.csv")
    means = accuracy.groupby("strategy")["accuracy"].mean()
    for strategy in RANKED.removeprefix("--strategies=").split(","):
        (logged,) = mlflow.MlflowClient().get_metric_history(run.info.run_id, f"accuracy_{strategy}")
        assert (logged.step, logged.value) == (50, means[strategy])
    (logged,) = mlflow.MlflowClient().get_metric_history(run.info.run_id, "accuracy_full")
    assert (logged.step, logged.value) == (0, means["none"])
    differences = pd.read_csv(folder / "differences.csv")
    assert set(differences["strategy"]) == {"easy", "hard", "stepwise", "offset", "coverage"}
    assert differences[["low", "high"]].notna().all(axis=None)
    # Stepwise scored anew by the same score, of the same moments.
    rescored = [each for each in runs("trial") if "scoring after" in each.info.run_name]
    assert {each.data.params["recipe.score_at"] for each in rescored} == {"2,4"}
    # The hardest share goes first.
    table = easiness.load_scores(runs("score")[0].info.run_id).table
    kept = read_kept(folder / "kept" / "offset-0.5-0.csv")
    gone = table[~table["example_id"].isin(kept)].sort_values("aum")
    assert set(gone["example_id"][-3:]) == set(table.sort_values("aum")["example_id"][-3:])
    assert set(gone["example_id"][:-3]) == set(table.sort_values("aum")["example_id"][:27])


def test_by_held_out_loss(store, monkeypatch, capsys):
    words = ("--engine=inline", "--folds=2", "--allow_outliers=true", "--score_by=heldout", "--limit_val=auto")
    call(monkeypatch, score, *SCORE, *words)
    (scored,) = runs("score")
    words = ("--engine=inline", "--ratios=0.5", "--seeds=1", "--allow_empty=true", "--score_by=heldout")
    call(monkeypatch, ablate, *SMALL, *words, "--strategies=offset")
    (run,) = runs("ablate")
    table = easiness.load_scores(scored.info.run_id).table.sort_values("heldout_loss")
    kept = read_kept(artifacts(run) / "kept" / "offset-0.5-0.csv")
    assert set(kept) == set(table["example_id"][27:57]), "all but the three hardest, and the easiest"
    assert json.loads((artifacts(run) / "ablation.json").read_text())["score_title"] == "held-out loss"


def test_by_scores_that_were_made_elsewhere(store, monkeypatch, capsys, tmp_path):
    data = open_dataset("planted", limit=60)
    scores = np.random.default_rng(0).normal(size=60)
    table = pd.DataFrame({"example_id": data.example_ids, "mine": scores}).sample(frac=1, random_state=0)
    table.to_csv(tmp_path / "scores.csv", index=False)
    np.save(tmp_path / "scores.npy", scores)
    words = ("--engine=inline", "--ratios=0.5", "--seeds=1", f"--scores={tmp_path / 'scores.csv'}")
    call(monkeypatch, ablate, *SMALL, *words, "--strategies=offset,random", "--offset=0.1")
    (run,) = runs("ablate")
    folder = artifacts(run)
    manifest = json.loads((folder / "ablation.json").read_text())
    named = {name: manifest[name] for name in ("score_by", "score_title", "scores_file", "scores", "moment")}
    assert named == {
        "score_by": "file", "score_title": "mine", "scores_file": "scores.csv", "scores": [], "moment": None
    }  # fmt: skip
    assert manifest["scores_recipe"] is None
    assert "easiness.scores" not in run.data.tags
    kept = read_kept(folder / "kept" / "offset-0.5-0.csv")
    assert set(kept) == set(data.example_ids[np.argsort(scores)[24:54]])
    assert "mine of the file scores.csv" in run.data.tags["mlflow.note.content"]
    call(monkeypatch, ablate, *SMALL, *words[:-1], "--strategies=offset,random", f"--scores={tmp_path / 'scores.npy'}")
    for wrong, message in (
        ([], "scores is a file, which does not say how its scores were made; stepwise scores what is left anew"),
        (["--strategies=hard", "--score_by=el2n"], "score_by is 'el2n', and does nothing here: scores is a file"),
        (["--strategies=hard", "--score_moment=2"], "score_moment is 2, and does nothing here: scores is a file"),
        (
            ["--strategies=hard", "--scores_column=other"],
            "no column 'other' of numbers; choose with scores_column= one",
        ),
        (["--strategies=hard", "--weighting=inverse"], "scores are negative, first"),
        (["--strategies=hard", "--offset=0.1"], "offset is 0.1, and does nothing here: only the strategies offset and"),
    ):
        assert message in call_wrongly(monkeypatch, capsys, ablate, *SMALL, *words, *wrong)
    line = call_wrongly(monkeypatch, capsys, ablate, *SMALL, "--score_by=heldout")
    assert "score_by is 'heldout', for which what is left would have to be held out in folds" in line
    line = call_wrongly(monkeypatch, capsys, ablate, *SMALL, "--scores=scores.txt")
    assert "scores.txt, and must be a file of .npz, .csv, .parquet, .npy" in line


def test_a_kept_list_is_a_dataset_of_its_own(store, monkeypatch, capsys, tmp_path):
    data = open_dataset("planted", limit=60)
    kept = data.example_ids[np.flatnonzero(data.groups == "majority")]
    write_kept(tmp_path, "majority", kept)
    call(monkeypatch, score, *SCORE, "--engine=inline", "--trials=1", f"--keep={tmp_path / 'majority.csv'}")
    (run,) = runs("score")
    table = easiness.load_scores(run.info.run_id).table
    np.testing.assert_array_equal(table["example_id"], kept)
    expected = data.subset(np.flatnonzero(data.groups == "majority")).fingerprint
    assert run.data.tags["easiness.fingerprint"] == expected
    call(monkeypatch, train, *TRAIN, "--epochs=2", f"--keep={tmp_path / 'majority.npy'}")
    assert "accuracy by group" in capsys.readouterr().out
    # The trial that score ran is the one that train asks for: the same recipe and the same data.
    line = call_wrongly(monkeypatch, capsys, ablate, *SMALL, f"--scores={run.info.run_id}", "--strategies=hard")
    assert f"score run {run.info.run_id} is of {len(kept)} examples of planted with fingerprint {expected[:12]}" in line
    write_kept(tmp_path, "other", np.array([5, 99_999]))
    line = call_wrongly(monkeypatch, capsys, train, *TRAIN, f"--keep={tmp_path / 'other.csv'}")
    assert "are not in this training set of 60" in line
    assert "nothing.csv" in call_wrongly(monkeypatch, capsys, train, *TRAIN, "--keep=nothing.csv")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ratios=0.1,1"], "ratios has 1.0, which is not a share to remove; take 0 <= ratio < 1"),
        (["--ratios=-0.1"], "ratios has -0.1, which is not a share to remove"),
        (["--ratios=half"], "ratios is 'half', and must be a number"),
        (["--ratios=0.99"], "ratios has 0.99, which leaves 1 of 60 examples"),
        (["--strategies=easy,steps"], "strategies is 'steps', and must be one of easy, hard, random, stepwise"),
        (["--seeds=0"], "seeds is 0, and must be at least 1"),
        (["--trials=3"], "unknown parameter 'trials'"),
        (["--scores=0123456789abcdef"], "there is no run 0123456789abcdef"),
        ([], "has no finished score run of tests.tiny_model:build on planted with fingerprint"),
    ],
)
def test_wrong_words_are_answered_in_one_line(store, monkeypatch, capsys, words, message):
    assert message in call_wrongly(monkeypatch, capsys, ablate, *SMALL, *words)
    assert runs("ablate") == []


def test_a_score_run_for_each_seed(store, monkeypatch, capsys):
    """Seeds that have scores of their own: trained on the same images, with other luck."""
    for words in (
        ["--seed=1"],
        ["--seed=2"],
        ["--seed=1", "--shift=2"],
        ["--seed=1", "--common_random_numbers"],
    ):
        call(monkeypatch, score, *SCORE, "--engine=inline", "--data_seed=0", *words)
    again, other, second, first = (run.info.run_id for run in runs("score"))
    words = (*SMALL, "--engine=inline", "--strategies=easy,hard,stepwise", "--ratios=0.2")
    call(monkeypatch, ablate, *words, f"--scores={first},{second}")
    (run,) = runs("ablate")
    folder = artifacts(run)
    manifest = json.loads((folder / "ablation.json").read_text())
    assert manifest["scores"] == [first, second]
    assert run.data.tags["easiness.scores"] == f"{first},{second}"
    tables = [easiness.load_scores(run_id).table.set_index("example_id")["easiness"] for run_id in (first, second)]
    assert set(tables[0].index) == set(tables[1].index)
    removed = pd.read_csv(folder / "removed.csv").query("strategy == 'hard' and grouping == 'decile'")
    for seed, of_seed in removed.groupby("seed"):
        gone = tables[seed].drop(read_kept(folder / "kept" / f"hard-0.2-{seed}.csv"))
        deciles = np.searchsorted(np.sort(tables[seed])[6::6], gone, side="right")
        np.testing.assert_allclose(of_seed["share"], np.bincount(deciles, minlength=10)[:10] / 6)
    for named, message in (
        (f"{first},{other}", "whose recipes differ in shift"),
        (f"{first},{again}", "whose recipes differ in common_random_numbers"),
        (f"{first},{first}", "and seeds is 2; give one score run, or as many different ones as seeds"),
        (f"{first},{second},{other}", "and seeds is 2; give one score run, or as many different ones as seeds"),
        (f"{first},scores.csv", "scores has scores.csv among 2; give one file, or run ids alone"),
    ):
        assert message in call_wrongly(monkeypatch, capsys, ablate, *words, f"--scores={named}")


def test_scores_that_do_not_fit(store, monkeypatch, capsys):
    words = ("--engine=inline", "--trials=1")
    call(monkeypatch, score, *SCORE, *words)
    (run,) = runs("score")
    line = call_wrongly(monkeypatch, capsys, ablate, *SMALL)
    assert "the score run has 1 trial, and stepwise scores what is left with as many" in line
    line = call_wrongly(
        monkeypatch, capsys, ablate, *SMALL, f"--scores={run.info.run_id}", "--limit=50", "--strategies=hard"
    )
    assert f"score run {run.info.run_id} is of 60 examples of planted" in line
    assert "take the same dataset, limit, keep, decisions and seed" in line
    line = call_wrongly(monkeypatch, capsys, ablate, *SMALL, "--score_moment=3")
    assert f"score_moment is 3, and score run {run.info.run_id} scored after 2, 4 updates" in line
    line = call_wrongly(monkeypatch, capsys, ablate, *SMALL, "--strategies=hard", "--weighting=square")
    assert "weighting is 'square', and must be one of inverse, rank, reflect" in line
    # Six of each class: a hard draw that takes 57 of 60 leaves most of them empty.
    line = call_wrongly(monkeypatch, capsys, ablate, *SMALL, "--strategies=hard", "--ratios=0.95")
    assert "of 10 classes" in line
    assert "use balanced=True or allow empty classes" in line
    assert len(runs("ablate", "FAILED")) == 3
    assert runs("arm") == []
    call(monkeypatch, ablate, *SMALL, "--engine=inline", "--strategies=hard", "--ratios=0.95", "--allow_empty=true")
    assert "has no example left" in capsys.readouterr().err
    assert not (artifacts(runs("ablate")[0]) / "figures" / "differences.png").exists(), "there is no random to compare"


STRANGER = """
from pathlib import Path
Path("was_here").touch()
from tests.tiny_model import build
"""


@pytest.mark.parametrize("named", [True, False])
def test_a_manifest_names_no_code(store, monkeypatch, capsys, tmp_path, named):
    """A downloaded score run, whose manifest says as its model's name what the command said, or owns up to another."""
    (tmp_path / "stranger.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(tmp_path)
    data = open_dataset("planted", limit=60)
    recipe = make_recipe("planted", "stranger:build", trials=3, epochs=2).settings()
    run_id = log_score_run(
        tmp_path, data, draw_losses(data, 0), model=TINY if named else "stranger:build", updates=(2, 4), recipe=recipe
    )
    line = call_wrongly(monkeypatch, capsys, ablate, *SMALL, "--strategies=stepwise", f"--scores={run_id}")
    assert f"scores is {run_id}, a run of model 'stranger:build', and model is '{TINY}'" in line
    assert not (tmp_path / "was_here").exists()
    assert runs("ablate", "FAILED") == []


def test_arms_start_from_the_weights_that_the_command_names(store, monkeypatch, capsys, tmp_path):
    file = tmp_path / "start.pt"
    torch.save(build_model(TINY, 4, image_size=64, seed=0).state_dict(), file)
    start = (f"--weights={file}", "--optimizer=adamw")
    call(monkeypatch, score, *SCORE, "--engine=inline", "--allow_outliers=true", *start)
    call(monkeypatch, ablate, *SMALL, "--engine=inline", "--strategies=stepwise", *start)
    assert "starts from start.pt (sha256 " in capsys.readouterr().err
    (run,) = runs("ablate")
    manifest = json.loads((artifacts(run) / "ablation.json").read_text())
    recipes = manifest["recipe"], manifest["scores_recipe"]
    assert len({(recipe["weights_sha256"], recipe["optimizer"], recipe["new_head"]) for recipe in recipes}) == 1
    (tmp_path / "start.pt").unlink()
    line = call_wrongly(monkeypatch, capsys, ablate, *SMALL, "--engine=inline", "--strategies=stepwise")
    assert "weights is 'none', and the score run's is 'start.pt'; stepwise scores what is left as that run did" in line


@pytest.mark.slow
def test_killed_at_random_moments_the_table_is_the_same(tmp_path):
    """SIGKILL to the parent alone: its workers must leave by themselves, and no run is left RUNNING in the end."""
    words = (*DATA, "--epochs=3", "--ratios=0.1,0.2", "--seeds=2", "--strategies=hard,stepwise,random")
    moments = np.random.default_rng().integers(1, 25, 4)
    print("killed after so many epochs of any arm or trial:", moments)

    def start(folder, module, *options):
        folder.mkdir(exist_ok=True)
        surroundings = os.environ | {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
            "PYTHONPATH": str(ROOT),
        }
        call = [sys.executable, "-m", f"entrypoints.{module}", *options]
        return subprocess.Popen(call, cwd=folder, env=surroundings, stderr=subprocess.PIPE, text=True)

    def result(folder):
        with start(folder, "ablate", *words) as process:
            said = process.stderr.read()
        assert process.returncode == 0, said
        client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
        run = client.search_runs(["0"], "tags.`easiness.kind` = 'ablate' and attributes.status = 'FINISHED'")[0]
        assert client.search_runs(["0"], "attributes.status = 'RUNNING'") == []
        place = Path(run.info.artifact_uri)
        return {path.relative_to(place): path.read_bytes() for path in place.rglob("*.[cn]*") if path.is_file()}, said

    for name in ("whole", "killed"):
        with start(tmp_path / name, "score", *SCORE) as process:
            said = process.stderr.read()
        assert process.returncode == 0, said
    whole, _ = result(tmp_path / "whole")
    for moment in moments:
        with start(tmp_path / "killed", "ablate", *words) as process:
            epochs = (line for line in process.stderr if "  epoch " in line)
            for _, _ in zip(range(moment), epochs, strict=False):
                pass
            process.send_signal(signal.SIGKILL)
    resumed, said = result(tmp_path / "killed")
    assert "found finished in run" in said or "resumes at its checkpoint" in said
    own = ["seconds", "run_id"]
    tables = [pd.read_csv(pd.io.common.BytesIO(each[Path("accuracy.csv")])) for each in (whole, resumed)]
    pd.testing.assert_frame_equal(*(table.drop(columns=own) for table in tables), check_exact=True)
    assert {path: content for path, content in whole.items() if path.name != "accuracy.csv"} == {
        path: content for path, content in resumed.items() if path.name != "accuracy.csv"
    }
    again, _ = result(tmp_path / "killed")
    assert again == resumed, "seconds and run ids, too"
