"""Trials with folds: they measure every example, and say what they make of those that they held out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from easiness.loaders import part_of, restage, stage
from easiness.trials.engines import run_trials
from easiness.trials.evaluation import MEASURES, HeldOutMetrics, evaluate_examples
from easiness.trials.trial import load_model, run_trial, work_in_trial
from easiness.trials.trial_folder import HELD_OUT, Ledger, measure_file, probabilities_file
from tests.tiny_data import HELD_OUT_ROWS, REST, tiny_dataset, tiny_folded_task, tiny_recipe

CPU = torch.device("cpu")


def results(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.npy"))}


def run(task):
    news = []
    run_trials([task], engine="inline", device=CPU, report=news.append, finished=lambda _: None)
    return news


def test_all_examples_are_measured_and_the_held_out_ones_validate(tmp_path):
    task = tiny_folded_task(tmp_path / "a")
    news = run(task)
    losses_N, correct_N = (np.load(task.folder / measure_file(name, 6)) for name in ("losses", "correct"))
    assert losses_N.shape == (21,)
    probabilities = np.load(task.folder / measure_file(HELD_OUT, 6))
    assert (probabilities.shape, probabilities.dtype) == ((5, 3), np.float16)
    labels = tiny_dataset(21).labels[HELD_OUT_ROWS]
    np.testing.assert_allclose(-np.log(probabilities[range(5), labels]), losses_N[HELD_OUT_ROWS], atol=0.01)
    np.testing.assert_array_equal(np.load(task.folder / "validation" / "correct.npy"), correct_N[HELD_OUT_ROWS])
    last = [progress.metrics for progress in news if progress.metrics][-1]
    assert last["val_accuracy"] == pytest.approx(correct_N[HELD_OUT_ROWS].mean())
    np.testing.assert_allclose(
        losses_N, evaluate_examples(load_model(task), task.scored.open(CPU)).losses, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("chosen", [{}, {"score_at": (0, 1, 5)}])
def test_joint_and_cut_off_trials_give_the_same_files(tmp_path, chosen):
    moments = chosen.get("score_at", (2, 4, 6))
    work = work_in_trial(tiny_recipe(**chosen), 16, 5, holds_out=True)
    news = run(tiny_folded_task(tmp_path / "whole", **chosen))
    assert sum(progress.images for progress in news) == work
    whole = results(tmp_path / "whole")
    assert len(whole) == len(moments) * (len(MEASURES) + 1) + 1
    news = run(tiny_folded_task(tmp_path / "joint", joint=True, **chosen))
    assert sum(progress.images for progress in news) == work
    assert results(tmp_path / "joint") == whole

    class CutError(Exception):
        pass

    def cut(progress):
        if progress.metrics and progress.metrics["epoch"] == 2:
            raise CutError

    task = tiny_folded_task(tmp_path / "cut", **chosen)
    with pytest.raises(CutError):
        run_trial(task, CPU, cut)
    news = run(task)
    assert sum(progress.images for progress in news) == work
    assert any(progress.resumed for progress in news)
    assert results(tmp_path / "cut") == whole


def test_damaged_probabilities_are_made_again(tmp_path):
    task = tiny_folded_task(tmp_path / "a")
    run(task)
    whole = results(task.folder)
    (task.folder / measure_file(HELD_OUT, 4)).write_bytes(b"")
    run(task)
    assert Ledger(task.folder).done
    again = results(task.folder)
    assert {name: again[name] for name in whole} == whole


def test_a_checkpoint_without_its_probabilities_is_not_gone_on_from(tmp_path):
    task = tiny_folded_task(tmp_path / "a")
    run(task)
    ledger = Ledger(task.folder)
    assert ledger.has(4, held_out=True)
    del ledger.files[measure_file(HELD_OUT, 4)]
    assert ledger.has(4)
    assert not ledger.has(4, held_out=True)


def test_processes_map_one_file_for_all(tmp_path):
    alone = tiny_folded_task(tmp_path / "alone")
    run(alone)
    task = tiny_folded_task(tmp_path / "mapped", in_files=tmp_path / "staged")
    assert [path.name for path in (tmp_path / "staged").iterdir()] == ["train.npy"]
    run_trials([task], engine="processes", device=CPU, report=lambda _: None, finished=lambda _: None)
    assert results(task.folder) == results(alone.folder)


def test_probabilities_are_the_softmax_in_the_order_of_the_examples(tmp_path):
    task = tiny_folded_task(tmp_path / "a")
    run(task)
    model, loader = load_model(task), task.val.open(CPU)
    metrics = evaluate_examples(model, loader, classes=3)
    assert isinstance(metrics, HeldOutMetrics)
    with torch.no_grad():
        expected = torch.cat([model(batch.images).softmax(1) for batch in loader.score_batches()])
    np.testing.assert_allclose(metrics.probabilities, expected.numpy(), atol=1e-3)
    np.testing.assert_array_equal(metrics.probabilities.argmax(axis=1), metrics.predicted)


def test_the_greatest_probabilities_of_large_data(tmp_path):
    shares = np.random.default_rng(0).dirichlet(np.ones(20), size=6).astype(np.float16)
    for examples, name in ((2_500_000, "whole"), (2_500_001, "few")):
        (file,) = probabilities_file(7, shares, examples).items()
        assert file[0] == "heldout_probs/updates=000007.npy"
        file[1](tmp_path / name)
    np.testing.assert_array_equal(np.load(tmp_path / "whole"), shares)
    few = np.load(tmp_path / "few")
    assert few.shape == (6, 5)
    np.testing.assert_array_equal(few["share"], np.sort(shares, axis=1)[:, :-6:-1])
    np.testing.assert_array_equal(np.take_along_axis(shares, few["label"].astype(int), axis=1), few["share"])


@pytest.mark.parametrize("normalization", ["image", "channel"])
def test_all_parts_see_an_example_alike(normalization):
    data, recipe = tiny_dataset(21), tiny_recipe(normalization=normalization)
    staged = stage(data, data, recipe, None)
    assert staged[0] is staged[1]
    whole, _ = restage(*staged, replace(recipe, score_at=(1,)))
    everything = torch.cat([batch.images for batch in whole.open(CPU).score_batches()])
    for rows in (REST, HELD_OUT_ROWS):
        part = part_of(whole, rows).open(CPU)
        batches = list(part.score_batches())
        torch.testing.assert_close(torch.cat([batch.images for batch in batches]), everything[rows], rtol=0, atol=0)
        np.testing.assert_array_equal(torch.cat([batch.labels for batch in batches]).numpy(), data.labels[rows])
