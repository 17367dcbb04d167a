"""Tables of an ablation, from arms that are made up."""

import numpy as np
import pandas as pd
import pytest

from easiness.runs.ablate.arms import Arm, FinishedArm
from easiness.runs.ablate.figures import accuracy_curve, difference_curves
from easiness.runs.ablate.tables import (
    accuracy_table,
    costs_table,
    differences_table,
    group_accuracy_table,
    removed_table,
    sentences,
)
from tests.tiny_data import tiny_dataset


def finished(strategy, ratio, seed, correct, kept, earlier=0.0):
    epochs = [
        {"val_accuracy": earlier, "update": 5, "training_seconds": 1.5},
        {"val_accuracy": float(np.mean(correct)), "update": 10, "training_seconds": 3.25},
    ]
    arm = Arm(strategy, ratio, seed, np.asarray(kept))
    return FinishedArm(arm, f"{strategy}{ratio}{seed}", epochs, np.asarray(correct, np.float32))


def test_accuracy_of_an_arm_is_told_by_class():
    val = tiny_dataset(6)  # classes 0 1 2 0 1 2
    arms = [finished("hard", 0.5, 0, [1, 1, 0, 1, 0, 1], [0, 2], earlier=0.9)]
    (row,) = accuracy_table(arms, val).to_dict("records")
    assert row == {
        "strategy": "hard",
        "ratio": 0.5,
        "seed": 0,
        "accuracy": 4 / 6,
        "best_accuracy": 0.9,
        "worst_class_accuracy": 0.5,
        "worst_class": "class 1",
        "images": 2,
        "updates": 10,
        "seconds": 3.25,
        "run_id": "hard0.50",
    }
    table = group_accuracy_table(arms, np.array(["a", "a", "b", "a", "b", "b"]), "group")
    assert table["accuracy"].tolist() == [1.0, pytest.approx(1 / 3)]
    assert table["group"].tolist() == ["a", "b"]


def test_what_was_removed_is_told_by_decile_class_and_group():
    train = tiny_dataset(20, classes=2)
    groups = np.array(["minority" if row < 4 else "majority" for row in range(20)])
    train = type(train)(**{**vars(train), "groups": groups})
    easiness_N = np.arange(20)[::-1]  # row 0 is the hardest
    arms = [
        finished("none", 0.0, 0, [1], np.arange(20)),
        finished("hard", 0.15, 0, [1], np.arange(3, 20)),
    ]
    table = removed_table(arms, train, easiness_N[None], seed=0).set_index(["grouping", "group"])["share"]
    assert table["decile"].tolist() == [0] * 8 + [0.5, 1.0]
    assert table["class"].to_dict() == {"class 0": 0.2, "class 1": 0.1}
    assert table["group"].to_dict() == {"majority": 0.0, "minority": 0.75}


def test_deciles_are_those_of_the_scores_of_the_arms_own_seed():
    scores_SN = np.stack([np.arange(20), np.arange(20)[::-1]])
    arms = [finished("easy", 0.1, seed, [1], np.arange(2, 20)) for seed in (0, 1)]
    table = removed_table(arms, tiny_dataset(20, classes=2), scores_SN, seed=0)
    gone = table[(table["grouping"] == "decile") & (table["share"] == 1)]
    assert list(gone[["seed", "group"]].itertuples(index=False, name=None)) == [(0, "1"), (1, "10")]


ACCURACY = pd.DataFrame(
    [
        *(("none", 0.0, seed, 0.90 + 0.01 * seed) for seed in range(3)),
        *(("easy", 0.3, seed, 0.88 + 0.01 * seed) for seed in range(3)),
        *(("hard", 0.3, seed, accuracy) for seed, accuracy in enumerate([0.93, 0.91, 0.95])),
        *(("random", 0.3, seed, 0.85 + 0.01 * seed) for seed in range(3)),
    ],
    columns=["strategy", "ratio", "seed", "accuracy"],
)


def test_differences_are_taken_at_the_same_seed():
    shuffled = ACCURACY.sample(frac=1, random_state=0)
    table = differences_table(shuffled, ("hard", "random", "easy"))
    assert table["strategy"].tolist() == ["hard", "easy"]
    assert table["difference"].tolist() == pytest.approx([0.07, 0.03])
    hard, easy = table.to_dict("records")
    assert (easy["low"], easy["high"]) == pytest.approx((0.03, 0.03)), "the same at every seed"
    assert hard["low"] < 0.05
    assert hard["high"] > 0.09
    assert table["seeds"].tolist() == [3, 3]
    assert len(differences_table(ACCURACY, ("hard", "easy"))) == 2
    without = ACCURACY[ACCURACY["strategy"] != "random"]
    assert len(differences_table(without, ("hard", "easy"))) == 0


def test_a_sentence_tells_costs_and_gains_cheapest_first():
    costs = costs_table(ACCURACY, ("easy", "random", "hard"))
    (line,) = sentences(costs)
    gains, easy, random = line.removeprefix("removing 30 %: ").split("; ")
    assert gains.startswith("hard gains 2.0 ± ")
    assert gains.endswith(" points")
    assert (easy, random) == ("easy costs 2.0 ± 0.0", "random costs 5.0 ± 0.0")
    single = costs_table(ACCURACY[ACCURACY["seed"] == 0], ("easy",))
    assert sentences(single) == ["removing 30 %: easy costs 2.0 points"]


def test_a_curve_has_the_mean_and_the_range_of_its_seeds():
    accuracy = ACCURACY.assign(seconds=np.arange(12.0))
    curve = accuracy_curve(accuracy, "hard", "seconds")
    assert curve["accuracy"] == pytest.approx([0.93])
    assert (curve["low"], curve["high"]) == (pytest.approx([0.91]), pytest.approx([0.95]))
    assert curve["x"] == pytest.approx([7.0])
    assert curve["seeds_x_PS"].tolist() == [[6.0, 7.0, 8.0]]
    curves = difference_curves(differences_table(ACCURACY, ("hard", "easy", "random")))
    assert [each["name"] for each in curves] == ["hard", "easy"]
