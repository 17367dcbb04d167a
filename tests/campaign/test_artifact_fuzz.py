"""Stored files of runs and trials are mutated: they are refused by name, or nothing changes."""

import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from easiness import load_scores, tracking
from easiness.runs.ablate.reading import read_ablation
from easiness.trials.trial import run_trial
from easiness.trials.trial_folder import Ledger, is_done
from tests.conftest import fresh_store
from tests.tiny_data import tiny_task
from tests.tiny_reports import log_ablation, log_scores
from tests.tiny_scores import tiny_planted

CPU = torch.device("cpu")

# Default shares, and files of the whole campaign.
READ, READ_CAMPAIGN = 25, 2_000
RESUMED, RESUMED_CAMPAIGN = 6, 300


def mutate(rng, path, others):
    """Damage one file in one of the ways in which files are damaged; returns the way."""
    content = bytearray(path.read_bytes())
    way = rng.choice(["flip", "flip", "flip", "burst", "cut", "empty", "grow", "double", "foreign", "text", "remove"])
    place = rng.randrange(len(content)) if content else 0
    if way == "remove":
        path.unlink()
        return way
    if way == "flip" and content:
        content[place] ^= 1 << rng.randrange(8)
    elif way == "burst":
        content[place : place + 512] = rng.randbytes(min(512, len(content) - place))
    elif way == "cut":
        content = content[:place]
    elif way == "empty":
        content = bytearray()
    elif way == "grow":
        content += rng.randbytes(rng.randrange(1, 100))
    elif way == "double":
        content[place:place] = content[place : place + 64]
    elif way == "foreign":
        content = bytearray(rng.choice(others).read_bytes())
    elif way == "text":
        content[place : place + 4] = rng.choice([b"NaN,", b"null", b"1e99", b'"../', b"\0\0\0\0", b"\xff\xfe\n\r"])
    path.write_bytes(content)
    return way


def mutations(seed, count, folder):
    """Mutate one file of a folder after the other, and put it back; yields generator, path and way."""
    rng = random.Random(seed)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for _ in range(count):
        path = rng.choice(paths)
        before = path.read_bytes()
        way = mutate(rng, path, paths)
        changed = not path.exists() or path.read_bytes() != before
        yield path, way, changed
        path.write_bytes(before)


@pytest.fixture(scope="module")
def stored(empty_store, tmp_path_factory):
    """A store with a score run, its trials and an ablation: their ids, and the folder of all artifacts."""
    folder = tmp_path_factory.mktemp("stored")
    with fresh_store(empty_store, folder):
        dataset = tiny_planted(40)
        scores = log_scores(folder / "made", dataset, "net", 0)
        ablation = log_ablation(folder / "made", dataset, "net", scores)
        shutil.rmtree(folder / "made")
        yield scores, ablation, Path(tracking.artifact_place(scores)).parents[1]


def read_all(scores, ablation):
    """Everything that readers are given of both runs, as bytes."""
    loaded, removed = load_scores(scores), read_ablation(ablation)
    arrays = (loaded.trajectory_TN, loaded.losses_TMN, loaded.predicted_MN)
    return (
        [array.tobytes() for array in arrays],
        loaded.table.to_csv(),
        loaded.manifest,
        loaded.thumbnails,
        {name: table.to_csv() for name, table in removed.tables.items()},
        removed.manifest,
    )


def fuzz_readers(seed, count, stored):
    scores, ablation, folder = stored
    expected = read_all(scores, ablation)
    outcomes = Counter()
    for path, way, changed in mutations(seed, count, folder):
        run_id = path.relative_to(folder).parts[0]
        try:
            assert read_all(scores, ablation) == expected, f"{path} is read otherwise after {way}, and nobody says so"
            outcomes["the same"] += 1
            assert not changed, f"{path} is not read, or not compared"
        except (ValueError, FileNotFoundError) as error:
            assert run_id in str(error), f"{error} does not name the run of {path}"
            assert "\n" not in str(error)
            outcomes["refused"] += 1
    return outcomes


def test_mutated_artifacts_are_refused_by_name(stored):
    assert fuzz_readers(1, READ, stored)["refused"] > 0.8 * READ


@pytest.mark.campaign
def test_mutated_artifacts_are_refused_by_name_at_length(stored, record_property):
    counts = fuzz_readers(2, READ_CAMPAIGN, stored)
    figures = f"{counts.total():,} files, {counts['refused']:,} refused by name, {counts['the same']} unchanged"
    record_property("campaign", f"mutated artifacts of runs | {figures}, 0 raw errors, 0 silently different")


class CutError(Exception):
    pass


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """A finished trial, and one that was cut off in its third epoch: their folders."""
    folder = tmp_path_factory.mktemp("trials")
    run_trial(tiny_task(folder / "done"), CPU, lambda _: None)

    def cut(progress):
        if progress.metrics and progress.metrics["epoch"] == 3:
            raise CutError

    with pytest.raises(CutError):
        run_trial(tiny_task(folder / "cut"), CPU, cut)
    return folder


def fuzz_folders(seed, count, trials, tmp_path):
    expected = {name: (trials / "done" / name).read_bytes() for name in Ledger(trials / "done").files}
    expected = {name: content for name, content in expected.items() if name.endswith(".npy")}
    outcomes = Counter()
    for kind in ("done", "cut"):
        place = tmp_path / kind
        shutil.copytree(trials / kind, place)
        for number, (_, way, _) in enumerate(mutations(f"{seed} {kind}", count // 2, place)):
            copy = tmp_path / f"{kind} {number}"
            shutil.copytree(place, copy)
            resumed = []
            run_trial(tiny_task(copy), CPU, lambda progress, resumed=resumed: resumed.append(progress.resumed))
            assert is_done(copy)
            found = {name: (copy / name).read_bytes() for name in expected}
            assert found == expected, f"{kind} after {way}: other results, and nobody says so"
            outcomes[f"{kind}: {'went on' if any(resumed) or not resumed else 'made anew'}"] += 1
            shutil.rmtree(copy)
    return outcomes


def test_mutated_folders_of_trials_give_the_same_bits(trials, tmp_path):
    assert fuzz_folders(1, RESUMED, trials, tmp_path).total() == RESUMED


@pytest.mark.campaign
def test_mutated_folders_of_trials_give_the_same_bits_at_length(trials, tmp_path, record_property):
    counts = fuzz_folders(2, RESUMED_CAMPAIGN, trials, tmp_path)
    ways = ", ".join(f"{count} {way}" for way, count in sorted(counts.items()))
    record_property("campaign", f"mutated folders of trials | {counts.total()} files, {ways}; all to the same bits")


def test_a_damaged_checkpoint_costs_its_epoch_and_no_more(trials, tmp_path):
    shutil.copytree(trials / "cut", tmp_path / "cut")
    checkpoints = sorted((tmp_path / "cut" / "checkpoints").iterdir())
    assert len(checkpoints) == 2
    content = bytearray(checkpoints[-1].read_bytes())
    content[len(content) // 2] ^= 1
    checkpoints[-1].write_bytes(content)
    epochs, images = [], []

    def report(progress):
        epochs.extend([progress.metrics["epoch"]] if progress.metrics else [])
        images.extend([progress.images] if progress.resumed else [])

    run_trial(tiny_task(tmp_path / "cut"), CPU, report)
    assert epochs == [2, 3]
    assert len(images) == 1
    for name in ("losses/updates=000009.npy", "validation/correct.npy"):
        np.testing.assert_array_equal(np.load(tmp_path / "cut" / name), np.load(trials / "done" / name))
