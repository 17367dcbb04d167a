"""Two processes train one network as one process does, each a part; their scores are complete and in order."""

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from easiness.architectures import build_model
from easiness.trials.distributed import ALONE, Ranks, synchronize_batch_norm
from easiness.trials.engines import choose_engine, run_trials
from easiness.trials.evaluation import MEASURES
from easiness.trials.steps import Steps, make_optimizer
from easiness.trials.training import train
from easiness.trials.trial import load_model, run_trial
from easiness.trials.trial_folder import HELD_OUT, is_done
from tests.tiny_data import tiny_folded_task, tiny_task
from tests.trials.test_starts import tuned_task

CPU = torch.device("cpu")
STILL = "tests.still_model:build"
ROOT = Path(__file__).resolve().parents[2]

# Three epochs of three batches of 8, 8 and 5, scored in the middle of an epoch, too; parts of 4 + 4, 4 + 4 and 2 + 3.
CHOSEN = {"model": STILL, "score_at": (2, 3, 9), "epochs": 3}

# With folds, of two batches of 8.
FOLDED = CHOSEN | {"score_at": (2, 3, 6), "seed": 1}

# Process 1 behaves as on a machine that does not see the folders of the trials.
PROGRAM = """
import json
import sys
from pathlib import Path
from easiness.loaders import resident
from easiness.trials import trial
from easiness.trials.distributed import joined
from easiness.trials.engines import run_trials
from easiness.trials.engines.torchrun import join_training
from tests.trials.test_distributed import CPU, trials_in

folder, images = Path(sys.argv[1]), []
real = resident.ResidentLoader._batch

def counted(loader, views, *columns):
    images.append(len(views))
    return real(loader, views, *columns)

resident.ResidentLoader._batch = counted
resident.score_batch_size = lambda _: 8
with joined() as ranks:
    if ranks.is_main:
        seen = []
        for tasks in trials_in(folder):
            run_trials(tasks, engine="torchrun", device=CPU, report=seen.append, finished=lambda task: None)
        done = {"all": sum(progress.images for progress in seen if not progress.resumed)}
        done["trial 0"] = sum(progress.images for progress in seen if progress.name == "trial 0")
        ranks.broadcast(None)
    else:
        trial.Ledger, done = None, {}
        join_training(ranks)
    (folder / f"rank {ranks.rank}.json").write_text(json.dumps(done | {"decoded": sum(images)}))
"""


def trials_in(folder):
    """Trials of every kind: plain, cut off after an epoch, with folds, from weights; then those that score jointly."""
    plain = [tiny_task(folder / str(trial), trial=trial, **CHOSEN) for trial in (0, 1)]
    plain.append(tiny_task(folder / "cut", name="cut off", trial=2, **CHOSEN))
    plain.append(tiny_folded_task(folder / "folds", name="with folds", **FOLDED))
    started = tuned_task(folder / "started", folder.parent / "start.pt", model=STILL)
    plain.append(replace(started, name="from weights"))
    joint = [tiny_task(folder / f"joint {trial}", trial=trial, **CHOSEN) for trial in (0, 1)]
    return plain, [replace(task, name=f"joint {task.trial}", joint=True) for task in joint]


def torchrun(*words, **options):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), **options)


def environment():
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}


def cut_off(task):
    """Run a trial until its first epoch is written."""

    def report(progress):
        if progress.metrics and progress.metrics["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trial(task, CPU, report)


def test_two_processes_give_the_losses_of_one_and_share_the_work(tmp_path):
    torch.save(build_model(STILL, 5, image_size=12, seed=99).state_dict(), tmp_path / "start.pt")
    cut_off(trials_in(tmp_path / "one")[0][2])
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = torchrun(str(program), str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    news = []
    for tasks in trials_in(tmp_path / "one"):
        run_trials(tasks, engine="inline", device=CPU, report=news.append, finished=lambda _: None)
    one_way, other_way = ([task for tasks in trials_in(tmp_path / way) for task in tasks] for way in ("one", "two"))
    for alone, both in zip(one_way, other_way, strict=True):
        assert is_done(both.folder)
        files = [path.relative_to(alone.folder) for path in alone.folder.rglob("updates=*.npy")]
        assert len(files) >= 3 * len(MEASURES)
        for file in files:
            one, two = (np.load(task.folder / file).astype(np.float32) for task in (alone, both))
            # Sums over a batch are added in another order, a relative error of 1e-7 each; nine updates at a rate of
            # 0.05 let it grow, and nothing else may. Probabilities are float16.
            error = {"atol": 2e-3} if HELD_OUT in file.parts else {"rtol": 1e-4, "atol": 1e-5}
            np.testing.assert_allclose(two, one, err_msg=f"{both.name}: {file}", **error)
        for (name, one), two in zip(
            load_model(alone).state_dict().items(), load_model(both).state_dict().values(), strict=True
        ):
            torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5, msg=f"{both.name}: {name}")
        epochs, epochs_alone = (
            json.loads((task.folder / "validation" / "epochs.json").read_text()) for task in (both, alone)
        )
        for entry, entry_alone in zip(epochs, epochs_alone, strict=True):
            assert entry["train_loss"] == pytest.approx(entry_alone["train_loss"], rel=1e-4)
    first, second = (json.loads((tmp_path / "two" / f"rank {rank}.json").read_text()) for rank in (0, 1))
    alone = sum(progress.images for progress in news if progress.name == "trial 0")
    assert first["trial 0"] == alone, "the first process counts every image"
    decoded = first["decoded"] + second["decoded"]
    assert decoded == first["all"] - 3 * 21, "each image is decoded in one process, and once for two joint trials"
    assert 0.35 < second["decoded"] / decoded < 0.5


def torchrun_on_two_machines(folders, *words):
    """As `torchrun`, by one agent in each of two folders; only the port by which they meet is common to them."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        meeting = f"--rdzv-endpoint=localhost:{free.getsockname()[1]}"
    words = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", meeting, "--rdzv-id=one", *words]
    command = [sys.executable, "-m", "torch.distributed.run", *words]
    started = []
    for folder in folders:
        folder.mkdir()
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=folder, env=environment(), **pipes))
    outputs = [process.communicate() for process in started]
    codes = [process.returncode for process in started]
    return subprocess.CompletedProcess(command, max(codes), *map("".join, zip(*outputs, strict=True)))


@pytest.mark.parametrize(("rate", "score_pass"), [("0.05", "joint"), ("1e30", "each")])
def test_score_under_torchrun_is_logged_once(store, tmp_path, rate, score_pass):
    import mlflow

    words = [f"--model={STILL}", "--trials=1", "--epochs=1", "--limit=40", "--limit_val=20", f"--learning_rate={rate}"]
    words = ["-m", "entrypoints.score", *words, f"--score_pass={score_pass}", "--log_models=none"]
    if score_pass == "joint":
        done = torchrun_on_two_machines([tmp_path / "first", tmp_path / "second"], *words)
    else:
        done = torchrun(*words, cwd=tmp_path)
    (run,) = mlflow.MlflowClient().search_runs(["0"], "tags.`easiness.kind` = 'score'")
    if rate == "1e30":
        assert done.returncode != 0
        assert done.stderr.count("error: trial 0: the loss") == 1
        assert run.info.status == "FAILED"
    else:
        assert done.returncode == 0, done.stderr
        assert run.info.status == "FINISHED"
        assert len(mlflow.MlflowClient().search_runs(["0"])) == 2
        assert done.stdout.count("run id") == 1


def test_a_process_that_is_alone_changes_nothing():
    model = torch.nn.BatchNorm2d(3)
    assert synchronize_batch_norm(model, ALONE) is model
    assert "forward" not in vars(model)
    values = torch.ones(2)
    assert ALONE.all_reduce(values) is values


def test_batches_smaller_than_the_processes_are_refused(tmp_path):
    task = tiny_task(tmp_path, **CHOSEN)
    model = build_model(STILL, 3, image_size=12, seed=0)
    steps, loader = Steps(model, make_optimizer(model, task.recipe)), task.train.open(CPU)
    checkpoints = train(steps, loader, task.recipe, None, ranks=Ranks(0, 6))
    with pytest.raises(ValueError, match="a batch of 5 examples is too small for 6 processes"):
        next(checkpoints)


def test_under_torchrun_no_other_engine_is_taken(monkeypatch):
    monkeypatch.setattr("easiness.trials.engines.current_ranks", lambda: Ranks(0, 2))
    assert choose_engine("auto", CPU, 4) == "torchrun"
    with pytest.raises(ValueError, match="engine is 'ray', and torchrun has started processes"):
        choose_engine("ray", CPU, 4)
