"""Which ranking finds wrong labels: the candidates, the judging, and the whole at a tiny size."""

import math

import numpy as np
import pandas as pd
import pytest

import easiness
from easiness.benchmarks.labels import FOLDS, KEY, ROUNDS, judge, main, summary
from easiness.benchmarks.suspicions import IN_SAMPLE

pytest.importorskip("cleanlab", reason="needs cleanlab; pip install cleanlab")

OPTIONS = ("--dataset=planted", "--limit=100", "--model=tests.tiny_model:build", "--resolution=16", "--epochs=2")
TINY = (*OPTIONS, "--moments=1,2", "--shares=0.2", "--flips=uniform,confusion", "--seeds=1", "--folder=labels")


def test_a_ranking_and_a_set_of_suspects_are_judged():
    flipped_N = np.arange(100) < 10
    suspicion_N = np.where(np.arange(100) < 8, 2.0, 1.0) - np.arange(100) / 1000
    found = judge(suspicion_N, flipped_N)
    assert found == {"auc": 1.0, "found": 1.0, "precision": 1.0, "recall": 0.5}
    assert judge(-suspicion_N, flipped_N)["found"] == 0
    suspects_N = np.arange(100) % 4 == 0
    judged = judge(suspects_N, flipped_N)
    assert (judged["precision"], judged["recall"]) == (3 / 25, 3 / 10)
    assert math.isnan(judged["auc"])
    assert math.isnan(judge(np.zeros(100, bool), flipped_N)["precision"])


def test_intervals_over_seeds_are_students():
    key = dict(zip(KEY, ("d", 10, 0.1, "uniform", "easiness", 3, 4.0), strict=True))
    rows = [key | {"seed": seed, "auc": auc, "found": 0.5, "precision": 0.5, "recall": 0.9}
            for seed, auc in enumerate((0.6, 0.7, 0.8))]  # fmt: skip
    (row,) = summary(pd.DataFrame(rows)).to_dict("records")
    reach = 4.302653 * 0.1 / math.sqrt(3)
    assert (row["auc"], row["auc_low"], row["auc_high"]) == pytest.approx((0.7, 0.7 - reach, 0.7 + reach), abs=1e-6)
    assert (row["found_low"], row["found_high"], row["seeds"]) == (0.5, 0.5, 3)


def test_the_whole(store, tmp_path):
    main(TINY)
    folder = tmp_path / "labels"
    table = pd.read_csv(folder / "labels.csv")
    assert set(table["flips"]) == {"uniform", "confusion"}
    assert set(table["epoch"]) == {1, 2}
    assert table["trainings"].max() == FOLDS * ROUNDS
    assert set(IN_SAMPLE) < set(table["suspicion"])
    assert table["suspicion"].nunique() == 12
    judged = table[["auc", "found", "precision", "recall"]].to_numpy()
    assert (np.isnan(judged) | ((judged >= 0) & (judged <= 1))).all()
    page = (folder / "README.md").read_text()
    assert "--limit=100" in page
    assert "held-out loss" in page
    assert (folder / "found.png").stat().st_size > 10_000
    # A row says the same as the run that it names.
    made = pd.read_csv(folder / "runs" / "planted.csv")
    (row,) = made[
        (made["suspicion"] == "held-out loss") & (made["flips"] == "uniform") & (made["epoch"] == 2)
        & (made["trainings"] == FOLDS * ROUNDS)
    ].to_dict("records")  # fmt: skip
    scores = easiness.load_scores(row["run_id"])
    assert scores.metrics["flips_auc"] == pytest.approx(row["auc"], abs=1e-3)
    flipped_N = scores.table["flipped"].to_numpy()
    assert flipped_N.sum() == 20
    np.testing.assert_allclose(judge(scores.table["heldout_loss"].to_numpy(), flipped_N)["auc"], row["auc"], atol=1e-3)
