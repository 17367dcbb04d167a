"""`prepare` is killed at random moments: readers find the pair from before or the new one, never one of each."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from easiness.datasets import open_dataset

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)

# Of the packing alone, and of the entry point, which takes most of its time to start.
KILLS = {False: 15, True: 5}

# Slow enough to be hit while it packs: each image takes a hundredth of a second.
PROGRAM = """
import pathlib, sys, time
from easiness.datasets import packing
from easiness.datasets.imagenet import list_imagenet
from easiness.datasets.packed import claimed
real, source, output, whole = packing.decode, *map(pathlib.Path, sys.argv[1:3]), sys.argv[3]
def slow(path):
    time.sleep(0.01)
    return real(path)
packing.decode, packing.PAGE_SIZE = slow, 2**21
print("begun", flush=True)
if whole == "whole":
    from easiness.commandline import command
    from easiness.runs.prepare import prepare
    sys.argv[1:] = [f"--source={source}", f"--output={output}", "--max_side=40", "--workers=1"]
    command(prepare)
else:
    files = {split: list_imagenet(source, split, seed=0, val_fraction=0.2) for split in ("train", "val")}
    with claimed(output):
        packing.pack(source, files, output, packing.PackOptions(max_side=40), workers=1)
"""


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "images"
    for split, count in (("train", 20), ("val", 10)):
        for k, name in enumerate(("n01", "n02")):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = np.random.default_rng((k, i, count)).integers(0, 256, (20, 24, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{split}{i}.JPEG")
    return root


def start(source, output, whole):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", PROGRAM, str(source), str(output), "whole" if whole else ""]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, env=environment, cwd=output.parent, **pipes)
    assert process.stdout.readline() == "begun\n"
    return process


def finish(source, output, whole):
    """Pack to the end; fingerprints of train and val, and the seconds from the beginning."""
    process, begun = start(source, output, whole), time.monotonic()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return pair(output), time.monotonic() - begun


def pair(output):
    return tuple(open_dataset("imagenet", output, split=split, verify="full").fingerprint for split in ("train", "val"))


def exchange(source):
    """Move one image of each class from val to train, and another one back: a mixed pair would share images."""
    for folder in sorted((source / "val").iterdir()):
        mine, theirs = (sorted((source / split / folder.name).iterdir())[0] for split in ("val", "train"))
        mine.rename(source / "train" / folder.name / f"z{mine.name}")
        theirs.rename(folder / f"z{theirs.name}")


def kill_prepare(source, output, kills, seed, whole):
    rng, outcomes = random.Random(seed), Counter()
    before, seconds = finish(source, output, whole)
    exchange(source)
    clean, _ = finish(source, output.with_name("clean"), whole)
    for number in range(kills):
        process = start(source, output, whole)
        try:
            process.wait(rng.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.send_signal(SIGNALS[number % len(SIGNALS)])
        process.communicate(timeout=30)
        found = pair(output)
        assert found in (before, clean), "a pair of neither"
        outcomes["old pair" if found == before else "new pair"] += 1
        assert finish(source, output, whole)[0] == clean
        names = sorted(path.name for path in output.iterdir())
        assert len(names) == 3, names
        assert all((output / name).read_bytes() == (output.with_name("clean") / name).read_bytes() for name in names)
        before = clean
        exchange(source)
        shutil.rmtree(output.with_name("clean"))
        clean, seconds = finish(source, output.with_name("clean"), whole)
    return outcomes


def test_a_killed_prepare_leaves_a_whole_pair(source, tmp_path):
    assert kill_prepare(source, tmp_path / "packed", 1, 3, whole=False).total() == 1


@pytest.mark.campaign
@pytest.mark.parametrize("whole", [False, True], ids=["packing", "entry point"])
def test_a_killed_prepare_leaves_a_whole_pair_at_length(source, tmp_path, store, monkeypatch, record_property, whole):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    outcomes = kill_prepare(source, tmp_path / "packed", KILLS[whole], 4, whole=whole)
    shown = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    what = "prepare, the entry point" if whole else "prepare, its packing"
    record_property(
        "campaign", f"kills of {what} | {KILLS[whole]} kills: {shown} | 0 mixed pairs, all the same when run again"
    )
