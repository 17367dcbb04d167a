"""Commands of README and of the guides, run from a fresh copy of the project as their pages show them, but small.

`pytest --slow -rP tests/test_page_commands.py` prints the seconds of each; `PAGES=README.md` runs those of one page.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import easiness
from easiness.datasets.planted import draw_planted
from tests.test_docs import ROOT, SHELLS, blocks, prose
from tests.test_run_sh import checkout  # noqa: F401

PAGES = ("README.md", "docs/wrong-labels.md", "docs/compare.md", "docs/prune.md")

# What a command lacks where there is neither a network nor a large dataset.
NOT_RUN = {
    "cifar-10": "needs the archive of CIFAR-10",
    "IMAGENET1K_V1": "downloads weights",
    "MATCH_ID": "shows the runs above it, of CIFAR-10",
    "against=FILE": "needs scores made elsewhere",
    "keep=FILE": "needs a list of examples",
}

# Words that make a command small; all others are those of the page.
TRAINING = {"epochs": "1", "log_models": "none"}
SCORING = TRAINING | {"trials": "5", "moment": "auto", "schedule_epochs": "auto", "score_at": ""}
SCORING |= {"allow_outliers": "true"}  # after one epoch of so few pictures
SMALL = {
    "score": SCORING,
    "ablate": TRAINING | {"ratios": "0.3", "seeds": "2", "strategies": "easy,random", "allow_empty": "true"},
    "match": {"draws": "50"},
    "main": {"trials": "2", "epochs": "1", "limit": "100", "ratios": "0.2", "seeds": "2"},
}


def commands(text):
    """Lines that begin with run.sh, in blocks and in tables, with the variables that the text sets."""
    shell = "\n".join(content for language, content in blocks(text) if language in SHELLS)
    inline = "\n".join(re.findall(r"`(\./run\.sh[^`…]*)`", prose(text).replace("\n", " ")))
    both = re.sub(r"\\\n\s*", " ", f"{shell}\n{inline}")
    for name, value in re.findall(r"(?m)^(\w+)=\"([^\"\n]*)\"", both):
        both = re.sub(rf"\${name}\b", value, both)
    found = re.findall(r"(?m)^(?:\s*for .*; do )?(\./run\.sh[^#\n;]*)", both)
    return list(dict.fromkeys(" ".join(line.split()) for line in found))


COMMANDS = [(page, line) for page in PAGES for line in commands((ROOT / page).read_text())]


def why_not(line):
    return next((reason for word, reason in NOT_RUN.items() if word in line), None)


def small(line):
    """Words of a command, made small."""
    words = re.findall(r"(?:-\S+ )?\S+", line.removeprefix("./run.sh").strip())
    given = dict(word.removeprefix("-P ").split("=", 1) for word in words if word.startswith("-P "))
    others = [part for word in words if not word.startswith("-P ") for part in word.split()]
    entry = others[others.index("-e") + 1] if "-e" in others else "main"
    given |= SMALL.get(entry, {})
    if entry in ("score", "ablate"):
        # The drawn pictures are many; those of the test's folder are few.
        given |= {"resolution": "32"} if "data" in given else {"limit": "40"}
    others += [] if "-e" in others else ["-e", entry]
    return [*others, *(part for key, value in given.items() for part in ("-P", f"{key}={value}"))]


def test_commands_are_found_with_their_variables():
    text = (
        'x\n```sh\nP="-P model=a"\n./run.sh -e score $P  # why\n'
        "./run.sh -e match \\\n    -P runs=ID\n```\n`./run.sh -e train`"
    )
    assert commands(text) == ["./run.sh -e score -P model=a", "./run.sh -e match -P runs=ID", "./run.sh -e train"]
    assert small("./run.sh --experiment-name mine -e match -P runs=ID") == [
        *("--experiment-name", "mine", "-e", "match"),
        *("-P", "runs=ID", "-P", "draws=50"),
    ]
    assert small("./run.sh")[:2] == ["-e", "main"]


def test_most_commands_of_every_page_are_run():
    for page in PAGES:
        lines = [line for name, line in COMMANDS if name == page]
        assert len([line for line in lines if not why_not(line)]) >= 3, page


@pytest.fixture
def home(tmp_path):
    """Home folder with `pictures`, one folder for each class, and ImageNet's layout of the same beside it."""
    drawn = draw_planted("train")
    for row in range(600):
        name = drawn.class_names[drawn.labels[row]]
        for place in (Path("pictures"), Path("imagenet", "train" if row < 300 else "val")):
            folder = tmp_path / "home" / place / name
            folder.mkdir(parents=True, exist_ok=True)
            if len(list(folder.iterdir())) < 8:
                Image.fromarray(drawn.images[row]).save(folder / f"{row:04}.png")
    return tmp_path / "home"


@pytest.mark.slow
def test_the_commands_of_the_pages(checkout, home, monkeypatch):  # noqa: F811
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{checkout / 'mlflow.db'}")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(checkout)
    shutil.copytree(home / "imagenet", checkout / "imagenet")
    options = {"data": home / "pictures", "epochs": 1, "trials": 5, "resolution": 32, "log_models": "none"}
    options |= {"allow_outliers": True, "engine": "inline"}
    runs = [easiness.score(model=model, **options) for model in ("resnet18", "wide_resnet_10_1")]
    whole = easiness.score(model="resnet18", **options | {"folds": 0, "trials": 2})
    decided = runs[0].table.head(3)[["example_id", "class_name"]].set_axis(["example_id", "label"], axis=1)
    pd.DataFrame(decided).assign(decision="keep").to_csv(checkout / "decisions.csv", index=False)
    ids = {"match": ",".join(run.run_id for run in runs), "collect": ",".join(whole.manifest.trial_runs)}
    wanted = os.environ.get("PAGES", ",".join(PAGES)).split(",")
    failed, scored = [], runs[0].run_id
    for page, line in COMMANDS:
        if page not in wanted or why_not(line):
            continue
        words = small(line.replace("~", str(home)).replace("RUN_ID", scored))
        entry = words[words.index("-e") + 1]
        words = [re.sub(r"\bID(,ID)*\b", ids.get(entry, scored), word) for word in words]
        begin = time.perf_counter()
        done = subprocess.run(["./run.sh", *words], cwd=checkout, capture_output=True, text=True)
        print(f"{time.perf_counter() - begin:6.1f} s  {page}: {line}", flush=True)
        if done.returncode:
            failed.append(f"{line}\n{' '.join(words)}\n{done.stdout[-500:]}{done.stderr[-1500:]}")
        elif entry == "score":
            scored = re.search(r"run id +([0-9a-f]{32})", done.stdout)[1]
    assert not failed, "\n\n".join(failed)
