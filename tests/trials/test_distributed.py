"""Two processes train one network as one process does; their scores are complete and in order."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from easiness.loaders import Batch
from easiness.trials.distributed import ALONE, Ranks, synchronize_batch_norm
from easiness.trials.engines import choose_engine
from easiness.trials.evaluation import MEASURES
from easiness.trials.steps import Steps, make_optimizer
from easiness.trials.training import train
from easiness.trials.trial import load_model, run_trial
from easiness.trials.trial_folder import HELD_OUT, is_done, measure_file
from tests.tiny_data import tiny_folded_task, tiny_task

CPU = torch.device("cpu")
STILL = "tests.still_model:build"
ROOT = Path(__file__).resolve().parents[2]

# Three epochs of three batches of 8, 8 and 5, scored in the middle of an epoch, too; shards of 4 + 4, 4 + 4 and 2 + 3.
CHOSEN = {"model": STILL, "score_at": (2, 3, 9), "epochs": 3}

# With folds, of two batches of 8.
FOLDED = CHOSEN | {"score_at": (2, 3, 6), "seed": 1}

PROGRAM = """
import sys
from pathlib import Path
import torch
from easiness.trials.distributed import joined
from easiness.trials.engines import run_trials
from easiness.trials.engines.torchrun import join_training
from tests.trials.test_distributed import CHOSEN, CPU, FOLDED
from tests.tiny_data import tiny_folded_task, tiny_task

folder = Path(sys.argv[1])
with joined() as ranks:
    if ranks.is_main:
        tasks = [tiny_task(folder / str(trial), trial=trial, **CHOSEN) for trial in (0, 1)]
        tasks.append(tiny_folded_task(folder / "folds", name="with folds", **FOLDED))
        seen = []
        run_trials(tasks, engine="torchrun", device=CPU, report=seen.append, finished=lambda task: None)
        print(sum(progress.images for progress in seen if progress.name == "trial 0"))
        ranks.broadcast(None)
    else:
        join_training(ranks)
"""


def torchrun(*words, **options):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, **options)


def test_two_processes_give_the_losses_of_one(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = torchrun(str(program), str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    for trial in (0, 1):
        alone, both = (tiny_task(tmp_path / way / str(trial), trial=trial, **CHOSEN) for way in ("one", "two"))
        news = []
        run_trial(alone, CPU, news.append)
        assert is_done(both.folder)
        for update in CHOSEN["score_at"]:
            for measure in MEASURES:
                one, two = (np.load(task.folder / measure_file(measure, update)) for task in (alone, both))
                # Sums over a batch are added in another order, a relative error of 1e-7 each; nine updates at a rate
                # of 0.05 let it grow, and nothing else may.
                np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5, err_msg=f"{measure} {update}")
        for (name, one), two in zip(
            load_model(alone).state_dict().items(), load_model(both).state_dict().values(), strict=True
        ):
            torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5, msg=name)
        epochs, epochs_alone = (
            json.loads((task.folder / "validation" / "epochs.json").read_text()) for task in (both, alone)
        )
        for entry, entry_alone in zip(epochs, epochs_alone, strict=True):
            assert entry["train_loss"] == pytest.approx(entry_alone["train_loss"], rel=1e-4)
    alone, both = (tiny_folded_task(tmp_path / way / "folds", **FOLDED) for way in ("one", "two"))
    run_trial(alone, CPU, lambda _: None)
    for update in FOLDED["score_at"]:
        one, two = (np.load(task.folder / measure_file(HELD_OUT, update)) for task in (alone, both))
        np.testing.assert_allclose(two.astype(np.float32), one.astype(np.float32), atol=2e-3)
    assert int(done.stdout) == sum(progress.images for progress in news), "the first process counts every image"


@pytest.mark.parametrize(("rate", "score_pass"), [("0.05", "joint"), ("1e30", "each")])
def test_score_under_torchrun_is_logged_once(store, tmp_path, rate, score_pass):
    import mlflow

    words = [f"--model={STILL}", "--trials=1", "--epochs=1", "--limit=40", "--limit_val=20", f"--learning_rate={rate}"]
    words += [f"--score_pass={score_pass}", "--log_models=none"]
    done = torchrun("-m", "entrypoints.score", *words, cwd=tmp_path)
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


def batch_of(count):
    return Batch(torch.arange(count * 3.0).view(count, 3, 1, 1), torch.arange(count), np.arange(count))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("count", [3, 7, 8])
def test_shards_are_the_batch(count, size):
    shards = [Ranks(rank, size).shard(batch_of(count)) for rank in range(size)]
    assert np.concatenate([shard.rows for shard in shards]).tolist() == list(range(count))
    assert torch.equal(torch.cat([shard.images for shard in shards]), batch_of(count).images)
    assert torch.equal(torch.cat([shard.labels for shard in shards]), batch_of(count).labels)
    assert max(len(shard.rows) for shard in shards) - min(len(shard.rows) for shard in shards) <= 1


def test_a_process_scores_every_third_batch_starting_at_its_rank():
    assert [list(Ranks(rank, 3).shard_batches(range(7))) for rank in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]


def test_a_process_that_is_alone_changes_nothing():
    model = torch.nn.BatchNorm2d(3)
    assert synchronize_batch_norm(model, ALONE) is model
    assert "forward" not in vars(model)
    values = torch.ones(2)
    assert ALONE.all_reduce(values) is values


def test_batches_smaller_than_the_processes_are_refused(tmp_path):
    task = tiny_task(tmp_path, **CHOSEN)
    model = load_untrained(task)
    steps, loader = Steps(model, make_optimizer(model, task.recipe)), task.train.open(CPU)
    checkpoints = train(steps, loader, task.recipe, None, ranks=Ranks(0, 6))
    with pytest.raises(ValueError, match="a batch of 5 examples is too small for 6 processes"):
        next(checkpoints)


def load_untrained(task):
    from easiness.architectures import build_model

    return build_model(task.recipe.model, 3, image_size=task.recipe.resolution, seed=0)


def test_under_torchrun_no_other_engine_is_taken(monkeypatch):
    monkeypatch.setattr("easiness.trials.engines.current_ranks", lambda: Ranks(0, 2))
    assert choose_engine("auto", CPU, 4) == "torchrun"
    with pytest.raises(ValueError, match="engine is 'ray', and torchrun has started processes"):
        choose_engine("ray", CPU, 4)
