"""The benchmark times the same work on both sides and leaves nothing behind."""

import numpy as np

from easiness.benchmarks.matching import _match_naively, bench_matching
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
