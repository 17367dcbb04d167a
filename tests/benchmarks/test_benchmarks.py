"""Benchmarks time the same work on both sides and leave nothing behind."""

import json
import logging
import multiprocessing
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

from easiness.analysis.matching.pairs import match_pairs
from easiness.analysis.matching.sides import MatchOptions, ScoredModel
from easiness.architectures import build_model
from easiness.benchmarks import step as step_module
from easiness.benchmarks.loaders import bench_loaders
from easiness.benchmarks.machine import bench_machine, count_flops
from easiness.benchmarks.matching import MatchingSize, _match_naively, bench_matching
from easiness.benchmarks.plain import score_resident, score_with_loaders
from easiness.benchmarks.run import BENCHES, Benchmarks, bench
from easiness.benchmarks.scaling import bench_scaling, fit_exponent
from easiness.benchmarks.score import bench_score
from easiness.benchmarks.step import bench_step
from easiness.benchmarks.timing import interleave, ratios
from easiness.loaders import stage_resident
from easiness.loaders.ffcv import why_no_ffcv
from easiness.trials.evaluation import MEASURES, evaluate_examples
from tests.played_graphs import played_on_the_cpu
from tests.tiny_data import tiny_dataset, tiny_recipe


def test_the_naive_way_counts_what_the_fast_way_counts():
    losses_AMN = list(np.random.default_rng(0).normal(size=(3, 1, 400)).astype(np.float32))
    models = [ScoredModel(f"{a}", (1,), [losses_MN]) for a, losses_MN in enumerate(losses_AMN)]
    rows = match_pairs(models, np.zeros(400, int), MatchOptions(scopes=("global",)))
    assert _match_naively(losses_AMN, 40, np.random.default_rng(0)) == [row.rate for row in rows]


def test_figures_hang_together_and_files_are_gone(tmp_path):
    size = MatchingSize(n=3000, trials=3, moments=2, models=2, draws=20)
    measured = bench_matching(size, naive_draws=2, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    assert {key: measured[key] for key in vars(size)} == vars(size)
    assert measured["naive_draws_timed"] == 4
    assert measured["naive_seconds"] == measured["naive_seconds_per_draw"] * 20 * 2
    assert measured["ratio"] == measured["naive_seconds"] / measured["seconds"]
    assert 0.05 < measured["peak_gib"] < 64  # the interpreter with numpy and torch takes more than the lower end


def test_loaders_are_measured_beside_image_folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("n01", "n02"):
        (tmp_path / "small" / "train" / name).mkdir(parents=True)
        for i in range(3):
            image = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / "small" / "train" / name / f"{i}.JPEG")
    rows = bench_loaders(tmp_path / "small", resolution=16, images=8, repeats=2, batch_size=4, workers=1)
    names = [f"FFCV {mode}" for mode in ("jpg", "raw")] * (not why_no_ffcv())
    assert list(rows) == [*names, "torchvision loader", "ImageFolder with Pillow"]
    assert (rows["ImageFolder with Pillow"]["ratio"], rows["ImageFolder with Pillow"]["cpu_ratio"]) == (1, 1)
    for name, row in rows.items():
        assert (row["data"], row["loader"]) == ("small", name)
        assert row["least"] <= row["images_per_second"] <= row["most"]
    assert multiprocessing.active_children() == [], "workers end with the benchmark"


CPU = torch.device("cpu")


def test_tasks_take_turns_and_the_warm_up_does_not_count():
    calls = []
    seconds = interleave({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, warm_up=2)
    assert calls == ["a", "b"] * 5
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3}
    assert ratios([2.0, 9.0], [1.0, 3.0])["all"] == [2.0, 3.0]


def test_counted_operations_are_those_of_the_layers():
    convolution = torch.nn.Conv2d(3, 16, 3, padding=1)
    with torch.no_grad():
        flops = count_flops(lambda: convolution(torch.ones(2, 3, 8, 8)))
    assert flops == 2 * 2 * 8 * 8 * 16 * 3 * 9


def test_ceilings_of_this_machine():
    measured = bench_machine(CPU, repeats=2)
    assert set(measured) == {"sgemm_gflops", "copy_gb_per_s", "decode_images_per_s"}
    for ceiling in measured.values():
        assert len(ceiling["all"]) == 2
        assert ceiling["low"] == min(ceiling["all"]) > 0
        assert ceiling["high"] == max(ceiling["all"])
        assert ceiling["median"] == np.mean(ceiling["all"])


def test_share_of_the_ceiling_is_what_its_parts_give():
    measured = bench_step("tests.tiny_model:build", batch_size=8, resolution=12, repeats=2)
    for step in (measured["train"], measured["score"]):
        assert list(step) == ["images", "gflop", "eager", "plain loop"]
        for way in (step["eager"], step["plain loop"]):
            for images, rate in zip(way["images_per_s"]["all"], way["gflops"]["all"], strict=True):
                assert rate == pytest.approx(step["gflop"] * images / step["images"])
            assert way["share_of_matmul"]["low"] > 0
        assert step["plain loop"]["times_plain_loop"]["all"] == [1, 1]
        rates = (step[way]["images_per_s"]["all"] for way in ("eager", "plain loop"))
        assert step["eager"]["times_plain_loop"]["all"] == pytest.approx(np.divide(*rates))
    # Backward costs a product for the weights and one for the input, which the first layer does not need.
    train, scored = (measured[name]["gflop"] / measured[name]["images"] for name in ("train", "score"))
    assert 2 < train / scored <= 3


def test_captured_steps_are_timed_beside_eager_ones_where_there_are_graphs(monkeypatch):
    with played_on_the_cpu(monkeypatch, step_module) as graphs:
        measured = bench_step("tests.still_model:build", batch_size=8, resolution=12, repeats=2)
    assert (graphs.recorded, graphs.replayed) == (2, 6), "recorded once, replayed in the warm-up and in each round"
    assert measured["precision"] == "float32"
    for name in ("train", "score"):
        assert list(measured[name]) == ["images", "gflop", "captured", "eager", "plain loop"]


def test_steps_that_cannot_be_captured_are_timed_eagerly(monkeypatch, caplog):
    def fail(step):
        raise RuntimeError("out of memory")

    with played_on_the_cpu(monkeypatch, step_module):
        monkeypatch.setattr("easiness.trials.steps.record", fail)
        measured = bench_step("tests.still_model:build", batch_size=8, resolution=12, repeats=1)
    assert list(measured["train"]) == ["images", "gflop", "eager", "plain loop"]
    assert "cannot be captured (out of memory)" in caplog.text


def plain_scores(way, **more):
    recipe = tiny_recipe(epochs=1, batch_size=8)
    data = tiny_dataset(20)
    torch.manual_seed(0)
    return way(recipe, data.images, data.labels, 2, CPU, **more)


@pytest.mark.parametrize(("way", "more"), [(score_with_loaders, {"workers": 0}), (score_resident, {})])
def test_plain_loops_give_what_ours_gives_of_every_example(way, more):
    measured_MCN = plain_scores(way, **more)
    assert measured_MCN.shape == (2, len(MEASURES), 20)
    assert np.isfinite(measured_MCN).all()
    margin_MN, correct_MN = measured_MCN[:, MEASURES.index("margin")], measured_MCN[:, MEASURES.index("correct")]
    np.testing.assert_array_equal(correct_MN, margin_MN > 0)
    assert not np.array_equal(*measured_MCN), "trials begin with other weights"


def test_plain_loops_score_the_views_that_ours_scores():
    """A network without batch statistics and without a step: all three must see the same pixels."""
    recipe = tiny_recipe(
        epochs=1, batch_size=8, model="tests.benchmarks.test_benchmarks:build_still", learning_rate=1e-30
    )
    data = tiny_dataset(20)
    loaders = score_with_loaders(recipe, data.images, data.labels, 1, CPU, workers=0)[0]
    resident = score_resident(recipe, data.images, data.labels, 1, CPU)[0]
    staged, _ = stage_resident(data, data, recipe, None)
    network = build_model(recipe.model, 3, image_size=recipe.resolution, seed=0)
    ours = evaluate_examples(network, staged.open(CPU))
    for measured in (loaders, resident):
        np.testing.assert_allclose(measured, [getattr(ours, name) for name in MEASURES], rtol=1e-4, atol=1e-5)


def build_still(num_classes):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 12 * 12, num_classes))


def test_score_is_measured_beside_both_loops():
    measured = bench_score(tiny_recipe(epochs=1, trials=1), tiny_dataset(20), CPU, repeats=2)
    assert set(measured["seconds"]) == {"ours", "plain loop", "plain loop, resident"}
    for name, ratio in measured["times_ours"].items():
        expected = np.divide(measured["seconds"][name]["all"], measured["seconds"]["ours"]["all"])
        np.testing.assert_allclose(ratio["all"], expected)


def test_scaling_measures_every_size_in_a_process_of_its_own():
    recipe = tiny_recipe(epochs=1)
    measured = bench_scaling(recipe, counts=(40, 80), trials=(1,), processes=(1,), repeats=1)
    for name, sizes in (("examples", [40, 80]), ("trials", [1]), ("processes", [1])):
        assert measured[name]["sizes"] == sizes
        assert len(measured[name]["seconds"]) == len(measured[name]["gib"]) == len(sizes)
        assert all(0.05 < each["median"] < 4 for each in measured[name]["gib"])
    assert np.isnan(measured["processes"]["time_exponent"])
    assert np.isfinite(measured["examples"]["memory_exponent"])


@pytest.mark.parametrize("power", [0, 1, 1.5])
def test_fitted_exponent(power):
    sizes = np.array([5.0, 10, 25, 50])
    assert fit_exponent(sizes, 3 * sizes**power) == pytest.approx(power, abs=1e-9)


def test_a_run_logs_a_json_and_figures_and_returns_what_it_logged(store, capfd):
    result = bench(what="step", model="wide_resnet_10_1", repeats=1)
    assert capfd.readouterr().out == "", "a library does not print"
    (run,) = mlflow.MlflowClient().search_runs(["0"], "tags.`easiness.kind` = 'bench'")
    assert (run.info.status, run.info.run_id) == ("FINISHED", result.run_id)
    folder = Path(mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="bench"))
    assert sorted(path.name for path in folder.iterdir()) == ["bench.json", "step.png"]
    assert json.loads((folder / "bench.json").read_text()) == result.measured
    assert set(result.measured) == {"machine", "step"}
    step = result.measured["step"]["train"]
    assert run.data.metrics["step/train/gflop"] == step["gflop"]
    assert run.data.metrics["step/train/eager/share_of_matmul"] == step["eager"]["share_of_matmul"]["median"]
    assert "machine/sgemm_gflops" in run.data.metrics
    assert f"  train/gflop                              {step['gflop']:.4g}\n" in result.summary()


def test_the_summary_names_every_number_and_where_the_rest_is():
    result = Benchmarks("abc", {"loaders": {"FFCV raw": {"images_per_second": 2961.0}}}, "file:///artifacts")
    assert result.summary() == (
        "loaders\n  FFCV raw/images_per_second               2961\n\nrun id     abc\nartifacts  file:///artifacts"
    )


def test_all_leaves_out_the_loaders_where_there_are_no_image_files(store, monkeypatch, caplog):
    measured = {name: lambda options, name=name: ({"name": name}, {}) for name in BENCHES}
    monkeypatch.setattr("easiness.benchmarks.run.BENCHES", measured)
    with caplog.at_level(logging.INFO, "easiness"):
        result = bench(repeats=1)
    assert list(result.measured) == ["machine", "step", "score", "scaling", "matching"]
    assert "loaders are left out" in caplog.text


def test_the_scoring_is_logged_beside_the_plain_loops(store):
    result = bench(what="score", model="wide_resnet_10_1", repeats=1, limit=20, trials=1)
    metrics = mlflow.MlflowClient().get_run(result.run_id).data.metrics
    names = {name.removeprefix("score/times_ours/") for name in metrics if "times_ours" in name}
    assert names == {"plain loop", "plain loop resident"}  # MLflow refuses a comma


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"what": "speed"}, "what is 'speed', and must be one of step, loaders, score, scaling, matching, all"),
        ({"what": "loaders"}, "give a folder of them as images"),
        ({"repeats": 0}, "repeats is 0, and must be at least 1"),
        ({"limit": 3}, "limit is 3, and must be at least 20"),
        ({"scale": 0.0}, "scale is 0, and must be above 0 and at most 1"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        bench(**options)
