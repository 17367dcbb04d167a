from types import SimpleNamespace
from zipfile import BadZipFile

import pytest

from easiness import load_scores, tracking
from easiness.reporting.run import _read
from easiness.reporting.selection import select_runs
from easiness.tracking import RunRecord, TrackingError
from tests.tiny_reports import log_scores
from tests.tiny_scores import tiny_planted

A, B = "a" * 64, "b" * 64


def run(name, kind="score", *, model="net", fingerprint=A, dataset="planted", status="FINISHED", started=0, **tags):
    known = {"easiness.model": model, "easiness.fingerprint": fingerprint, "easiness.dataset": dataset} | tags
    known = {key: value for key, value in known.items() if value is not None}
    return RunRecord(name, f"{kind} {name}", kind, status, "1", started, known, {})


def read(record):
    return SimpleNamespace()


def outcome(runs, *, named=False, reader=read):
    selection = select_runs(runs, reader, named=named)
    passed_over = {each.run.run_id: each.reason for each in selection.passed_over}
    return [each.run.run_id for each in selection.selected], passed_over


def test_nothing_comes_of_nothing():
    assert outcome([]) == ([], {})


def test_the_latest_of_every_model_and_kind_is_selected():
    runs = [
        run("new"),
        run("old"),
        run("other", model="net2"),
        run("m", "match"),
        run("m0", "match"),
        run("x", "ablate"),
    ]
    selected, passed = outcome(runs)
    assert selected == ["new", "other", "m", "x"]
    assert passed == {"old": "older than run new of the same model", "m0": "older than run m of the same data"}


def test_ablations_of_different_variants_are_different():
    def reader(record):
        return SimpleNamespace(variant=f"{record.run_id[0]} {record.run_id.endswith('b')}")

    selected, passed = outcome([run(name, "ablate") for name in ("r1", "i1", "i2", "rb")], reader=reader)
    assert selected == ["i1", "r1", "rb"]
    assert passed == {"i2": "older than run i1 of the same model"}


def test_a_run_of_flipped_labels_is_a_test_and_no_result():
    selected, passed = outcome([run("test", **{tracking.FLIPS: "{'share': 0.05}"}), run("real")])
    assert selected == ["real"]
    assert passed["test"].startswith("labels were flipped on purpose ({'share': 0.05}): a test")


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED", "SCHEDULED"])
def test_unfinished_runs_are_passed_over_with_their_status(status):
    assert outcome([run("r", status=status)]) == ([], {"r": f"unfinished: its status is {status}"})


def test_a_run_whose_artifact_is_missing_gives_way_to_an_older_one():
    def reader(record):
        if record.run_id == "broken":
            raise FileNotFoundError("run broken has no artifact scores")
        if record.run_id == "damaged":
            raise ValueError("schema 7")
        return read(record)

    selected, passed = outcome([run("broken"), run("damaged"), run("good"), run("old")], reader=reader)
    assert selected == ["good"]
    assert passed == {
        "broken": "an artifact is missing: run broken has no artifact scores",
        "damaged": "an artifact cannot be read: schema 7",
        "old": "older than run good of the same model",
    }


@pytest.mark.parametrize(
    "error", [BadZipFile("no zip"), EOFError(), OSError("no parquet"), IndexError("row 7"), TypeError("a list")]
)
def test_whatever_is_damaged_leaves_the_rest_of_the_report(error):
    def reader(record):
        if record.run_id == "damaged":
            raise error
        return read(record)

    selected, passed = outcome([run("damaged"), run("good", model="net2")], reader=reader)
    assert selected == ["good"]
    assert passed == {"damaged": f"an artifact cannot be read: {str(error) or 'EOFError'}"}


def test_a_server_that_does_not_answer_is_no_reason_to_pass_over_a_run():
    def reader(record):
        raise TrackingError("the tracking server does not answer")

    with pytest.raises(TrackingError):
        select_runs([run("r")], reader, named=True)


def test_a_run_that_was_named_twice_is_there_once():
    assert outcome([run("a"), run("a")], named=True) == (["a"], {})


def test_of_a_dataset_the_fingerprint_with_most_runs_is_shown_and_the_latest_of_a_tie():
    runs = [
        run("odd", fingerprint=B),
        run("one"),
        run("two", model="net2"),
        run("folder", dataset="folder", fingerprint=B),
    ]
    selected, passed = outcome(runs)
    assert selected == ["folder", "one", "two"]
    assert list(passed) == ["odd"]
    assert "other data: fingerprint bbbbbbbbbbbb, and most runs of planted have aaaaaaaaaaaa" in passed["odd"]
    assert outcome([run("late", fingerprint=B), run("early")])[0] == ["late"]


def test_unfinished_runs_do_not_decide_which_data_are_shown():
    runs = [run(name, fingerprint=B, status="FAILED", model=name) for name in "xyz"]
    assert outcome([*runs, run("good")])[0] == ["good"]


def test_runs_that_were_named_are_all_shown_whatever_their_data():
    selected, passed = outcome([run("b", fingerprint=B), run("a")], named=True)
    assert (selected, passed) == (["a", "b"], {})


def test_what_is_no_run_of_ours_is_said_to_be_none():
    _, passed = outcome([run("t", "trial"), run("?", ""), run("bare", fingerprint=None)], named=True)
    assert passed["t"].startswith("it is of kind 'trial', and a report shows score, match, ablate")
    assert passed["?"].startswith("it is of kind 'unknown'")
    assert passed["bare"] == "it does not say of which data it is"


def test_one_damaged_score_run_is_passed_over_by_run_and_file(store, tmp_path):
    dataset = tiny_planted(30)
    runs = {model: log_scores(tmp_path, dataset, model, seed) for seed, model in enumerate(("ant", "bee", "cat"))}
    trial = load_scores(runs["bee"]).manifest.trial_runs[0]
    damaged = {"ant": (runs["ant"], "scores/easiness.parquet"), "bee": (trial, "predicted/updates=000008.npy")}
    for run_id, name in damaged.values():
        path = tracking.fetch(run_id, name)
        path.write_bytes(path.read_bytes()[:-1])
    selection = select_runs(tracking.runs_of_kind("Default", ["score"]), _read, named=False)
    assert [entry.run.run_id for entry in selection.selected] == [runs["cat"]]
    reasons = {entry.run.run_id: entry.reason for entry in selection.passed_over}
    for model, (run_id, name) in damaged.items():
        assert f"an artifact cannot be read: {name} of run {run_id} is damaged: it has " in reasons[runs[model]]
