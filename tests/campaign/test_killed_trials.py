"""Commands are killed again and again, by every signal, in every process; their results stay the same."""

import itertools
import random
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest

import easiness
from easiness.runs.ablate.reading import read_ablation
from tests.campaign.killing import SIGNALS, TARGETS, TINY, finish, killed_at_random, latest, left_running, start

SCORE = {"model": TINY, "trials": 3, "epochs": 6, "limit": 400, "limit_val": 50, "engine": "processes"}
SCORE |= {"log_models": "none"}
ABLATE = {"model": TINY, "epochs": 2, "limit": 400, "limit_val": 50, "ratios": "0.1,0.2", "seeds": 2}
ABLATE |= {"strategies": "easy,stepwise", "engine": "processes", "log_models": "none", "allow_empty": "true"}


MAIN = {"models": f"{TINY},{TINY}_wide", "trials": 2, "epochs": 2, "limit": 200, "resolution": 16, "ratios": "0.3"}
MAIN |= {"seeds": 2}


@pytest.fixture(scope="module")
def uri(empty_store, tmp_path_factory):
    """A store with a finished score run in the experiment `whole`, and the seconds that it took."""
    place = tmp_path_factory.mktemp("kills")
    address = f"sqlite:///{place / 'mlflow.db'}"
    (place / "mlflow.db").write_bytes(empty_store.read_bytes())
    started = time.monotonic()
    finish("score", SCORE, place / "whole", address, "whole")
    return address, time.monotonic() - started


def scored(address, experiment):
    scores = easiness.load_scores(latest(address, experiment, "score"), address)
    return scores.table.to_csv(), scores.trajectory_TN.tobytes(), scores.losses_TMN.tobytes()


def ablated(address, experiment):
    tables = read_ablation(latest(address, experiment, "ablate"), address).tables
    accuracy = tables["accuracy"].drop(columns=["seconds", "run_id"])
    return accuracy.to_csv(), tables["removed"].to_csv()


def killed_again_and_again(command, words, folder, address, seconds, *, kills, seed):
    """Kill one command so many times, then let it end; returns how many of the kills met it, and who outlived them."""
    rng = random.Random(seed)
    ways = list(itertools.product(SIGNALS, TARGETS))
    rng.shuffle(ways)
    met, orphans = 0, []
    for number, target in itertools.islice(itertools.cycle(ways), kills):
        process = start(command, words, folder, address, folder.name)
        orphans += killed_at_random(process, rng, seconds, number, target)
        met += process.returncode != 0
    finish(command, words, folder, address, folder.name)
    return met, orphans


@pytest.mark.campaign
def test_score_survives_60_kills(uri, tmp_path, record_property):
    address, seconds = uri
    expected, total = scored(address, "whole"), 0
    for part in range(5):
        folder = tmp_path / f"score {part}"
        met, orphans = killed_again_and_again("score", SCORE, folder, address, seconds, kills=12, seed=part)
        assert orphans == []
        assert scored(address, folder.name) == expected
        assert left_running(address) == []
        assert "Traceback" not in (folder / "log").read_text()
        total += met
    record_property("campaign", f"kills of score | 60, {total} at work; 0 orphans, 0 left RUNNING, the same to the bit")


@pytest.mark.campaign
def test_ablate_survives_20_kills(uri, tmp_path, record_property):
    address, seconds = uri
    words = ABLATE | {"scores": latest(address, "whole", "score")}
    finish("ablate", words, tmp_path / "ablate whole", address, "ablate whole")
    expected, total = ablated(address, "ablate whole"), 0
    for part in range(2):
        folder = tmp_path / f"ablate {part}"
        met, orphans = killed_again_and_again("ablate", words, folder, address, seconds, kills=10, seed=part)
        assert orphans == []
        assert ablated(address, folder.name) == expected
        assert left_running(address) == []
        total += met
    record_property(
        "campaign", f"kills of ablate | 20, {total} at work; 0 orphans, 0 left RUNNING, the same to the bit"
    )


def written(folder):
    """Files of a report by name, but for what names runs and their times."""
    tables = {path.name: pd.read_csv(path) for path in sorted((folder / "tables").glob("*.csv"))}
    own = ["run_id", "seconds", "run", "runs", "run_ids"]
    return {name: table.drop(columns=own, errors="ignore").to_csv() for name, table in tables.items()}


@pytest.mark.campaign
@pytest.mark.parametrize("command", ["match", "report"])
def test_what_reads_runs_survives_10_kills(command, uri, tmp_path, record_property):
    address, _ = uri
    names = {}
    for part, model in enumerate((TINY, f"{TINY}_wide")):
        folder = tmp_path / f"scored {part}"
        finish("score", SCORE | {"model": model, "trials": 2, "epochs": 2}, folder, address, folder.name)
        names[model] = latest(address, folder.name, "score")
    words = {"runs": ",".join(names.values())} | ({"draws": 200} if command == "match" else {"name": "killed"})
    started = time.monotonic()
    finish(command, words, tmp_path / f"{command} whole", address, f"{command} whole")
    seconds, place = time.monotonic() - started, tmp_path / f"{command} killed"
    met, orphans = killed_again_and_again(command, words, place, address, seconds, kills=10, seed=0)
    assert orphans == []
    assert left_running(address) == []
    if command == "match":
        matched = [
            mlflow.artifacts.download_artifacts(
                run_id=latest(address, name, "match"), artifact_path="matching.csv", tracking_uri=address
            )
            for name in (f"{command} whole", place.name)
        ]
        assert Path(matched[0]).read_bytes() == Path(matched[1]).read_bytes()
    else:
        assert written(place / "reports" / "killed") == written(tmp_path / f"{command} whole" / "reports" / "killed")
        assert [path.name for path in (place / "reports").iterdir()] == ["killed"]
    record_property("campaign", f"kills of {command} | 10, {met} at work; 0 orphans, 0 left RUNNING, the same tables")


@pytest.mark.campaign
def test_main_survives_10_kills(uri, tmp_path, record_property):
    address, _ = uri
    started = time.monotonic()
    finish("main", MAIN, tmp_path / "main whole", address, "main whole")
    seconds, place = time.monotonic() - started, tmp_path / "main killed"
    met, orphans = killed_again_and_again("main", MAIN, place, address, seconds, kills=10, seed=0)
    assert orphans == []
    assert left_running(address) == []
    assert ablated(address, place.name) == ablated(address, "main whole")
    assert written(place / "reports" / "main") == written(tmp_path / "main whole" / "reports" / "main")
    assert "Traceback" not in (place / "log").read_text()
    record_property("campaign", f"kills of main | 10, {met} at work; 0 orphans, 0 left RUNNING, the same to the bit")
