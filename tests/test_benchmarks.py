"""The benchmark times the same work on both sides and leaves nothing behind."""

import multiprocessing

import numpy as np
from PIL import Image

from easiness.benchmarks.loaders import bench_loaders
from easiness.benchmarks.matching import _match_naively, bench_matching
from easiness.loaders.ffcv import why_no_ffcv
from easiness.matching import match_pairs
from easiness.sides import MatchOptions, ScoredModel


def test_the_naive_way_counts_what_the_fast_way_counts():
    losses_AMN = list(np.random.default_rng(0).normal(size=(3, 1, 400)).astype(np.float32))
    models = [ScoredModel(f"{a}", (1,), [losses_MN]) for a, losses_MN in enumerate(losses_AMN)]
    rows = match_pairs(models, np.zeros(400, int), MatchOptions(scopes=("global",)))
    assert _match_naively(losses_AMN, 40, np.random.default_rng(0)) == [row.rate for row in rows]


def test_figures_hang_together_and_files_are_gone(tmp_path):
    size = {"n": 3000, "trials": 3, "moments": 2, "models": 2, "draws": 20}
    measured = bench_matching(**size, naive_draws=2, folder=str(tmp_path))
    assert not list(tmp_path.iterdir())
    assert {key: measured[key] for key in size} == size
    assert measured["naive_draws_timed"] == 4
    assert measured["naive_seconds"] == measured["naive_seconds_per_draw"] * 20 * 2
    assert measured["ratio"] == measured["naive_seconds"] / measured["seconds"]
    assert 0 < measured["peak_gib"] < 64


def test_loaders_are_measured_beside_image_folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("n01", "n02"):
        (tmp_path / "small" / "train" / name).mkdir(parents=True)
        for i in range(3):
            image = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / "small" / "train" / name / f"{i}.JPEG")
    table = bench_loaders([tmp_path / "small"], resolution=16, images=8, repeats=2, batch_size=4, workers=1)
    names = [f"FFCV {mode}" for mode in ("jpg", "raw")] * (not why_no_ffcv())
    assert table["loader"].tolist() == [*names, "torchvision loader", "ImageFolder with Pillow"]
    assert set(table["data"]) == {"small"}
    assert table.set_index("loader").loc["ImageFolder with Pillow", ["ratio", "cpu_ratio"]].tolist() == [1, 1]
    assert (table["least"] <= table["images_per_second"]).all()
    assert (table["images_per_second"] <= table["most"]).all()
    assert multiprocessing.active_children() == [], "workers end with the benchmark"
