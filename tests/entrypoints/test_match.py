"""The entry point `match` in this process: what it leaves behind, and what it says to wrong words."""

import json
import shutil
import sys
from dataclasses import replace

import mlflow
import numpy as np
import pandas as pd
import pytest

from easiness import load_scores, tracking
from easiness.analysis.sets import chance_given_classes, easiest, hardest, overlap
from easiness.commandline import command
from easiness.runs.match.reading import read_matching
from easiness.runs.match.run import match as match_runs
from entrypoints.match import match
from entrypoints.score import score
from tests.tiny_scores import draw_losses, log_score_run, tiny_planted, tiny_settings

QUICK = ("--draws=20", "--threads=1")


@pytest.fixture(scope="module")
def dataset():
    return tiny_planted()


def call(monkeypatch, *words, function=match):
    monkeypatch.setattr(sys, "argv", [function.__name__, *words])
    command(function)


def call_wrongly(monkeypatch, capsys, *words):
    """The one line on standard error of a call that must fail, and marks its run FAILED."""
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, *QUICK, *words)
    assert ended.value.code == 2
    assert {run.info.status for run in runs("match")} <= {"FAILED"}
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    return line


def runs(kind):
    return mlflow.MlflowClient().search_runs(["0"], f"tags.`easiness.kind` = '{kind}'")


def only_match():
    (run,) = runs("match")
    return run, tracking.fetch(run.info.run_id)


def two_runs(tmp_path, dataset, source="moved", **more):
    """Score runs of two models, the losses of each by name; without pictures, which take time, unless with source."""
    losses = {name: draw_losses(dataset, seed, **more) for seed, name in enumerate(("alpha", "beta"))}
    ids = [
        log_score_run(tmp_path, dataset, losses_TMN, model=name, source=source) for name, losses_TMN in losses.items()
    ]
    return ids, losses


def test_a_match_run_keeps_the_contract(store, monkeypatch, capsys, tmp_path, dataset):
    ids, losses = two_runs(tmp_path, dataset, source=None)
    call(monkeypatch, *QUICK)
    said = capsys.readouterr().out
    run, folder = only_match()
    assert run.info.status == "FINISHED"
    assert run.info.run_id in said
    assert run.data.params.keys() >= {"option.seed", "option.fraction", "option.draws"}
    assert run.data.tags["easiness.fingerprint"] == dataset.fingerprint
    assert run.data.tags["easiness.dataset"] == "planted"
    figures = {path.stem for path in (folder / "figures").iterdir()}
    assert figures == {
        "fig3_global", "fig3_per_class", "disagreement_alpha_beta",
        "sharing_global_alpha_beta", "sharing_per_class_alpha_beta", "sensitivity_global", "sensitivity_per_class",
        *(f"{name}_{model}" for model in losses for name in (
            "fig1_sun",
            "heatmap_global_easy", "heatmap_global_hard", "heatmap_per_class_easy", "heatmap_per_class_hard",
        )),
    }  # fmt: skip
    pairs = pd.read_csv(folder / "matching.csv")
    assert list(pairs)[:8] == ["a", "b", "updates_a", "updates_b", "epoch", "set", "scope", "rate"]
    assert list(pairs)[-2:] == ["corrected_high", "score"]
    assert len(pairs) == 2 * 2 * 2  # moments, scopes, sets
    for row in pairs.itertuples():
        labels = dataset.labels if row.scope == "per_class" else None
        cut = {"easy": easiest, "hard": hardest}[row.set]
        sets = [cut(losses[name][row.epoch - 1].mean(axis=0, dtype=float), labels_N=labels) for name in (row.a, row.b)]
        assert row.rate == overlap(*sets)
        assert row.chance_given_classes == pytest.approx(chance_given_classes(*sets, dataset.labels).mean)
    moments = pd.read_csv(folder / "moments.csv")
    assert list(moments) == list(pairs)
    assert set(moments["a"]) == {"alpha", "beta"}
    table1 = pd.read_csv(folder / "table1.csv")
    assert list(table1) == [
        "model", "set", "scope", "rate", "low", "high", "chance_given_classes", "corrected", "ceiling", "paper"
    ]  # fmt: skip
    assert table1["paper"].isna().all()  # the paper has nothing on these data
    assert read_matching(run.info.run_id).summary().strip() in said
    assert not (folder / "external.csv").exists()
    summary = json.loads((folder / "matching.json").read_text())
    assert (summary["schema"], summary["kind"], summary["fraction"], summary["draws"]) == (1, "match", 0.1, 20)
    assert summary["runs"] == [
        {"run_id": run_id, "model": model, "updates": [4, 8], "trials": 3, "weights": "none", "recorded": False}
        for run_id, model in zip(ids, losses, strict=True)
    ]
    cuts = pd.read_csv(folder / "sensitivity.csv")
    assert len(cuts) == len(pairs) * 4  # three fractions, and none
    needed = pd.read_csv(folder / "trials_needed.csv")
    assert list(needed["model"].unique()) == ["alpha", "beta"]
    assert needed["needed_0.8"].isna().all()  # three trials tell nothing
    assert len(pd.read_csv(folder / "repeats.csv")) == 22 * len(needed)
    for name in ("moment_overlaps", "moment_overlaps_per_class"):
        assert np.shape(summary[name]["beta"]["hard"]) == (2, 2)
    assert [entry["sentence"] in said for entry in summary["verdict"]] == [True] * 4
    page = (folder / "preview" / "index.html").read_text()
    assert all(f'alt="{name.replace("_", " ")}"' in page for name in figures)


def test_what_is_returned_is_what_is_read(store, tmp_path, dataset):
    two_runs(tmp_path, dataset)
    made = match_runs(draws=20, threads=1)
    read = read_matching(made.run_id)
    assert read.manifest == made.manifest
    for name in ("pairs", "sensitivity", "repeats", "moments", "table1", "disagreements", "beyond_noise"):
        pd.testing.assert_frame_equal(getattr(read, name), getattr(made, name), check_exact=True, check_dtype=False)
    assert read.external is made.external is None
    for model in made.updates:
        hard = [results.overlaps["per_class"][model]["hard"] for results in (read, made)]
        np.testing.assert_array_equal(*hard)
    shown = made._repr_html_()
    assert "alpha, beta on planted by easiness</h4>" in shown
    assert made.sentences[0] in shown


@pytest.mark.parametrize(("score_at", "counted"), [([], "epoch"), ([4, 8], "scored moment")])
def test_moments_are_epochs_unless_they_were_chosen(store, tmp_path, dataset, score_at, counted):
    for name, chosen in (("alpha", []), ("beta", score_at)):
        recipe = tiny_settings(score_at=chosen)
        log_score_run(tmp_path, dataset, draw_losses(dataset, 0), model=name, source="moved", recipe=recipe)
    assert match_runs(draws=20, threads=1).manifest.numbered_by == counted


def test_the_paper_stands_beside_cifar10(store, tmp_path, dataset):
    cifar10 = replace(dataset, name="x", kind="cifar10", class_names=("dog", "horse", *dataset.class_names[2:]))
    for name in ("densenet_bc_100_12", "net"):
        log_score_run(tmp_path, cifar10, draw_losses(dataset, 0), model=name, source="moved")
    table1 = match_runs(draws=20, threads=1).table1
    known = table1[table1["paper"].notna()]
    assert known["model"].unique().tolist() == ["densenet_bc_100_12"]
    assert known["paper"].tolist() == [0.24, 0.279]


def test_rates_are_metrics_over_epochs(store, monkeypatch, tmp_path, dataset):
    two_runs(tmp_path, dataset)
    call(monkeypatch, *QUICK)
    run, folder = only_match()
    pairs = pd.read_csv(folder / "matching.csv")
    wanted = pairs[(pairs["set"] == "hard") & (pairs["scope"] == "global")]
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "overlap_hard")
    assert [each.step for each in history] == list(wanted["epoch"])
    assert [each.value for each in history] == pytest.approx(list(wanted["rate"]))
    assert len(run.data.metrics) <= 12
    assert run.info.run_name == "alpha, beta on planted by easiness"


@pytest.mark.parametrize(
    ("name", "message"),
    [("heldout", "is 'heldout', which match cannot judge"), ("loss", "must be one of easiness, el")],
)
def test_scores_that_cannot_be_matched(store, monkeypatch, capsys, name, message):
    assert message in call_wrongly(monkeypatch, capsys, f"--score_by={name}")


def test_sets_are_cut_by_another_score(store, monkeypatch, tmp_path, dataset):
    for seed, name in enumerate(("alpha", "beta")):
        margin_TMN = np.random.default_rng(seed).normal(size=(2, 3, len(dataset)))
        measures = {"margin": margin_TMN + 2 * np.linspace(-1, 1, len(dataset))}
        log_score_run(tmp_path, dataset, draw_losses(dataset, seed), model=name, measures=measures)
    call(monkeypatch, *QUICK, "--score_by=aum")
    run, folder = only_match()
    manifest = json.loads((folder / "matching.json").read_text())
    assert (manifest["score_by"], run.data.tags["easiness.score_by"]) == ("aum", "aum")
    assert run.info.run_name == "alpha, beta on planted by AUM"
    assert set(pd.read_csv(folder / "matching.csv")["score"]) == {"aum"}
    page = (folder / "preview" / "index.html").read_text()
    assert "lowest (highest) AUM, mean margin of the logits, sign turned" in page
    assert "easiness" not in page.split("</style>")[1].lower().replace("lower = easier", "")
    by_aum = read_matching(run.info.run_id)
    assert by_aum.score.name == "aum"
    call(monkeypatch, *QUICK)
    newest = max(runs("match"), key=lambda each: each.info.start_time)
    assert (read_matching(newest.info.run_id).pairs["rate"] != by_aum.pairs["rate"]).any()


def test_disagreement_names_the_examples_with_their_ranks(store, monkeypatch, tmp_path, dataset):
    losses = [draw_losses(dataset, 0, noise=0.05), draw_losses(dataset, 0, noise=0.05)]
    losses[1][-1, :, 17] = 1e3  # the hardest of beta
    losses[0][-1, :, 17] = 1e-6  # the easiest of alpha
    for name, losses_TMN in zip(("alpha", "beta"), losses, strict=True):
        log_score_run(tmp_path, dataset, losses_TMN, model=name, source="moved")
    call(monkeypatch, *QUICK)
    _, folder = only_match()
    table = pd.read_csv(folder / "disagreement.csv")
    assert len(table) == 100
    first = table.iloc[0]
    assert (first["a"], first["b"], first["rank_a"], first["rank_b"]) == ("alpha", "beta", 1, 100)
    assert (first["example_id"], first["label"]) == (dataset.example_ids[17], dataset.labels[17])
    assert (first["class_name"], first["source"]) == (dataset.class_names[dataset.labels[17]], dataset.sources[17])
    assert first["difference"] == -1
    assert first["z"] < 0


def test_scores_of_the_entry_point_score_are_matched(store, monkeypatch):
    words = ("--trials=2", "--epochs=2", "--limit=300", "--limit_val=50", "--engine=inline", "--log_models=none")
    for model in ("tests.tiny_model:build", "tests.tiny_model:build_wide"):
        call(monkeypatch, f"--model={model}", *words, function=score)
    call(monkeypatch, *QUICK, "--class_name=moon")
    _, folder = only_match()
    pairs = pd.read_csv(folder / "matching.csv")
    assert set(pairs["a"]) == {"tests.tiny_model:build"}
    assert (folder / "figures" / "fig1_moon_tests.tiny_model_build.png").exists()
    diversity = pd.read_csv(folder / "diversity.csv")
    assert list(diversity) == ["class_name", "model", "set", "images", "diversity", "error", "low", "high"]
    assert list(diversity["set"]) == ["easy", "random", "hard"] * 20  # ten classes, two models
    assert set(diversity["images"]) == {3}
    random = diversity[diversity["set"] == "random"].groupby("class_name")["diversity"]
    assert (random.nunique() == 2).all()  # each model has its own
    lengths = json.loads((folder / "matching.json").read_text())["lengths"]
    assert lengths["tests.tiny_model:build"] == {"epochs": 2, "schedule_epochs": 300}
    assert (folder / "figures" / "fig2_moon_tests.tiny_model_build_wide.png").exists()


def test_latest_run_of_each_model_on_the_data_scored_last(store, monkeypatch, capsys, tmp_path, dataset):
    other = tiny_planted(50)
    for name in ("alpha", "gamma"):
        log_score_run(tmp_path, other, draw_losses(other, 5), model=name)
    log_score_run(tmp_path, dataset, draw_losses(dataset, 3), model="alpha")
    ids, _ = two_runs(tmp_path, dataset)
    call(monkeypatch, *QUICK)
    _, folder = only_match()
    assert [run["run_id"] for run in json.loads((folder / "matching.json").read_text())["runs"]] == ids
    assert "left out are score runs of other data: planted" in capsys.readouterr().err


def test_named_runs_of_one_model_are_told_apart(store, monkeypatch, tmp_path, dataset):
    ids = [
        log_score_run(
            tmp_path,
            dataset,
            draw_losses(dataset, seed),
            model="alpha",
            source="moved",
            recipe=tiny_settings(seed=seed),
        )
        for seed in range(2)
    ]
    call(monkeypatch, *QUICK, f"--runs={ids[1]},{ids[0]}")
    _, folder = only_match()
    names = {f"alpha ({run_id[:8]})" for run_id in ids}
    assert set(pd.read_csv(folder / "table1.csv")["model"]) == names
    assert len(pd.read_csv(folder / "matching.csv")) == 8


def test_one_trial_gives_no_interval_and_says_so(store, monkeypatch, capsys, tmp_path, dataset):
    two_runs(tmp_path, dataset, trials=1)
    call(monkeypatch, *QUICK)
    _, folder = only_match()
    pairs = pd.read_csv(folder / "matching.csv")
    assert pairs[["low", "high", "ceiling", "corrected_low", "corrected_high"]].isna().all(axis=None)
    assert pairs["rate"].between(0, 1).all()
    assert "no interval, since a side has one trial only" in capsys.readouterr().out
    summary = json.loads((folder / "matching.json").read_text())
    assert summary["verdict"][0]["beyond_chance"] is None
    assert pd.read_csv(folder / "disagreement.csv").empty
    assert not list((folder / "figures").glob("trials*"))
    assert "cannot be told" in (folder / "preview" / "index.html").read_text()


def test_bad_runs_are_refused_in_one_line(store, monkeypatch, capsys, tmp_path, dataset):
    assert "no finished score run in this experiment" in call_wrongly(monkeypatch, capsys)
    alpha = log_score_run(tmp_path, dataset, draw_losses(dataset, 0), model="alpha")
    line = call_wrongly(monkeypatch, capsys)
    assert "at least two models, and there is one: alpha" in line
    assert "is given twice; give different runs" in call_wrongly(monkeypatch, capsys, f"--runs={alpha},{alpha}")
    assert "there is no run 0123" in call_wrongly(monkeypatch, capsys, f"--runs={alpha},{'0123' * 8}")

    small = tiny_planted(50)
    other = log_score_run(tmp_path, small, draw_losses(small, 0), model="other")
    line = call_wrongly(monkeypatch, capsys, f"--runs={alpha},{other}")
    assert f"{alpha} (alpha) and {other} (other) cannot be matched, their data differ: examples 100 and 50" in line
    assert dataset.fingerprint[:12] in line

    ids = dataset.example_ids.copy()
    ids[[3, 4]] = ids[[4, 3]]
    swapped = log_score_run(tmp_path, dataset, draw_losses(dataset, 0), model="b", table={"example_id": ids})
    line = call_wrongly(monkeypatch, capsys, f"--runs={alpha},{swapped}")
    assert f"their orders differ: row 3 has example_id {ids[4]} in the one and {ids[3]}" in line

    old = log_score_run(tmp_path, dataset, draw_losses(dataset, 0), model="b", schema=7)
    assert "schema 7, and this version reads 1" in call_wrongly(monkeypatch, capsys, f"--runs={alpha},{old}")
    turned = log_score_run(tmp_path, dataset, draw_losses(dataset, 0), model="b", polarity="higher_is_easier")
    line = call_wrongly(monkeypatch, capsys, f"--runs={alpha},{turned}")
    assert f"score run {turned} cannot be used: its polarity is 'higher_is_easier'" in line


def test_runs_without_losses_are_refused(store, monkeypatch, capsys, tmp_path, dataset):
    ids, _ = two_runs(tmp_path, dataset)
    trial = load_scores(ids[1]).manifest.trials[2]["run_id"]
    losses = tracking.fetch(trial, "losses")
    (losses / "updates=000008.npy").unlink()
    assert f"losses/updates=000008.npy of run {trial} is missing" in call_wrongly(monkeypatch, capsys)
    shutil.rmtree(losses)
    assert f"run {trial} has no artifact losses" in call_wrongly(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fraction=0"], "fraction must be above 0 and at most 0.5, got 0.0"),
        (["--fraction=0.6"], "got 0.6"),
        (["--draws=1"], "draws is 1, and must be at least 2"),
        (["--class_name=sum"], "there is no class 'sum'; class_name must be one of sun, moon"),
        (["--against=missing.npz"], "missing.npz, and there is no such file"),
        (["--against=README.md"], "README.md, and must be a file of .npz, .csv, .parquet"),
        (["--against_column=x"], "against_column is 'x', and does nothing here: against names no file"),
        (["--data=nowhere"], "nowhere, and there is no such file or folder"),
        (["--data=."], "dataset=planted is drawn"),
        (["--runs=a,b,c"], "there is no run a"),
        (["--threads=0"], "threads is 0, and must be at least 1"),
        (["--threads=100000"], "threads is 100000, and must be at most"),
    ],
)
def test_wrong_words_are_answered_in_one_line(store, monkeypatch, capsys, tmp_path, dataset, words, message):
    two_runs(tmp_path, dataset)
    assert message in call_wrongly(monkeypatch, capsys, *words)


def test_pictures_that_are_not_here_are_done_without(store, monkeypatch, capsys, tmp_path, dataset):
    two_runs(tmp_path, dataset, source="moved")
    call(monkeypatch, *QUICK)
    assert "no pictures; data=PLACE says where the images are, which were scored at moved" in capsys.readouterr().err
    _, folder = only_match()
    names = {path.stem for path in (folder / "figures").iterdir()}
    assert not [name for name in names if name.startswith(("fig1", "fig2", "disagreement"))]
    assert "fig3_global" in names
    assert not (folder / "diversity.csv").exists()


def test_pictures_of_other_data_are_not_shown(store, monkeypatch, capsys, tmp_path, dataset):
    for seed, name in enumerate(("alpha", "beta")):
        log_score_run(tmp_path, dataset, draw_losses(dataset, seed), model=name, data_seed=5)
    call(monkeypatch, *QUICK)
    assert f"and the scores are of {dataset.fingerprint[:12]}" in capsys.readouterr().err


def test_one_run_against_outside_scores(store, monkeypatch, capsys, tmp_path, dataset):
    losses_TMN = draw_losses(dataset, 0)
    log_score_run(tmp_path, dataset, losses_TMN, model="alpha", source="moved")
    hardness_N = losses_TMN[-1].mean(axis=0, dtype=float)
    pd.DataFrame({"example_id": dataset.example_ids, "el2n": hardness_N}).to_csv("outside.csv", index=False)
    call(monkeypatch, *QUICK, "--against=outside.csv")
    run, folder = only_match()
    external = pd.read_csv(folder / "external.csv")
    assert set(external["b"]) == {"el2n"}
    last = external[external["epoch"] == 2]
    assert (last["rate"] == 1).all()
    assert (last["rank_correlation"] > 0.999).all()
    assert pd.read_csv(folder / "matching.csv").empty
    assert {path.stem for path in (folder / "figures").glob("external*")} == {"external_global", "external_per_class"}
    assert run.data.metrics["against_overlap_easy"] == 1
    mirrored = ("--against_polarity=higher_is_easier", "--against_column=el2n")
    call(monkeypatch, *QUICK, "--against=outside.csv", *mirrored)
    newest = max(runs("match"), key=lambda each: each.info.start_time)
    assert newest.data.metrics["against_overlap_easy"] == 0


def test_common_random_numbers_are_a_control_that_must_be_asked_for(store, monkeypatch, capsys, tmp_path, dataset):
    own, losses = two_runs(tmp_path, dataset)
    common = tiny_settings(common_random_numbers=True)
    control = [
        log_score_run(tmp_path, dataset, losses_TMN, model=name, recipe=common, source="moved")
        for name, losses_TMN in losses.items()
    ]
    for run_id in control:
        tracking.set_tags(run_id, {"easiness.common_random_numbers": "true"})
    call(monkeypatch, *QUICK, f"--common={','.join(control)}")  # the latest without the control are the own ones
    run, folder = only_match()
    assert run.data.tags["easiness.score_runs"].split(",") == own
    pairs, luck = (pd.read_csv(folder / f"{name}.csv") for name in ("matching", "common"))
    assert list(pairs) == list(luck)
    np.testing.assert_array_equal(pairs["rate"], luck["rate"])  # these were made of the same losses
    for scope in ("global", "per_class"):
        assert (folder / "figures" / f"sharing_{scope}_alpha_beta.png").exists()
    assert len(read_matching(run.info.run_id).common) == len(luck)


def test_wrong_controls(store, monkeypatch, capsys, tmp_path, dataset):
    own, losses = two_runs(tmp_path, dataset)
    common = tiny_settings(common_random_numbers=True)
    control = [log_score_run(tmp_path, dataset, losses[name], model=name, recipe=common) for name in losses]
    for run_id in control:
        tracking.set_tags(run_id, {"easiness.common_random_numbers": "true"})
    for words, message in (
        ([f"--common={control[0]}"], "a control needs two models"),
        ([f"--common={','.join(own)}"], "was made with seeds of its own; common= takes runs"),
        ([f"--runs={','.join(control)}"], "has the same seeds (common_random_numbers=true)"),
    ):
        assert message in call_wrongly(monkeypatch, capsys, *QUICK, *words)
