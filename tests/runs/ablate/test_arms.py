"""Arms and stepwise paths: with trainings that are made up, and a few that are real."""

import dataclasses
import itertools

import mlflow
import numpy as np
import pytest

from easiness import tracking
from easiness.analysis.removal import draw_removed
from easiness.recipes.recipe import make_recipe
from easiness.recipes.schedule import scored_updates, updates_per_epoch
from easiness.runs import tracked_trials
from easiness.runs.ablate import arms as room
from easiness.runs.ablate.arms import NOTHING, Scoring, planned_trials, run_arms
from easiness.runs.ablate.plan import Plan
from easiness.runs.tracked_trials import SharedData, TrialOptions, run_tracked_trials
from easiness.runs.trial_log import Trial
from tests.tiny_data import tiny_dataset, tiny_recipe, tiny_setup

COUNT = 50


@pytest.fixture
def train():
    return tiny_dataset(COUNT)


@pytest.fixture
def val():
    return tiny_dataset(9, split="val", seed=1)


@pytest.fixture
def made_up(monkeypatch, train):
    """Replaces training: every trial is remembered by round, and rescoring calls row r easy if r is far from 0."""
    rounds = []

    def run_made_up(trials, data, *_):
        rounds.append(list(trials))
        records = [data.record(trial) for trial in trials]
        for record in records:
            record.run_id = str(len(rounds)) + record.trial.name
            if record.updates:
                rows = record.trial.rows
                assert record.updates == record.trial.recipe.score_at
                assert record.fingerprint == train.subset(rows).fingerprint
                record.arrays = {"losses": 1e-5 + (rows.max() - rows)[None].astype(float) ** 4}
        return records

    epochs = [{"val_accuracy": 0.5, "update": 4, "training_seconds": 1.0}]
    monkeypatch.setattr(room, "run_tracked_trials", run_made_up)
    monkeypatch.setattr(tracking, "read_validation", lambda run_id: (epochs, np.ones(9, np.float32)))
    return rounds


def ablate(plan, train, val, *, recipe=None, trials=2, easiness_N=None, run_id="r"):
    recipe = recipe or tiny_recipe()
    scoring = Scoring(tiny_recipe(trials=trials), recipe.epochs * updates_per_epoch(len(train), 8), len(train))
    easiness_N = np.linspace(0.1, 3, len(train)) if easiness_N is None else easiness_N
    plan = dataclasses.replace(plan, weighting=plan.weighting or "inverse")
    easiness_SN = np.broadcast_to(easiness_N, (plan.seeds, len(train)))
    return run_arms(plan, tiny_setup(recipe, train, val), easiness_SN, [scoring] * plan.seeds, run_id)


def of(finished, strategy, ratio):
    return {
        each.arm.seed: each.arm.kept for each in finished if (each.arm.strategy, each.arm.ratio) == (strategy, ratio)
    }


def test_each_seed_removes_by_its_own_scores(made_up, train, val):
    """Seed 1 sees the order of seed 0 turned round, and its networks score what is left by seeds of their own."""
    easiness_SN = np.stack([np.arange(COUNT), np.arange(COUNT)[::-1]]) ** 8.0 + 1e-9
    scorings = [Scoring(tiny_recipe(trials=2, seed=seed), 7, COUNT) for seed in (5, 6)]
    plan = Plan(strategies=("hard", "stepwise"), ratios=(0.2,), seeds=2, weighting="inverse")
    kept = of(run_arms(plan, tiny_setup(tiny_recipe(), train, val), easiness_SN, scorings, "r"), "hard", 0.2)
    assert kept[0].mean() < 24 < 25 < kept[1].mean()
    again = {trial.recipe.seed for trials in made_up for trial in trials if trial.name.startswith("scoring")}
    assert again == {scorings[seed].of_rest(45, seed).seed for seed in (0, 1)}


def test_every_arm_is_there_once_and_has_its_size(made_up, train, val):
    plan = Plan(ratios=(0.5, 0.1, 0.25, 0, 0.1), seeds=2)
    finished = ablate(plan, train, val)
    keys = [(each.arm.strategy, each.arm.ratio, each.arm.seed) for each in finished]
    wanted = [(NOTHING, 0.0), *itertools.product(plan.strategies, (0.1, 0.25, 0.5))]
    assert keys == [(*key, seed) for key in wanted for seed in range(2)]
    for each in finished:
        assert len(each.arm.kept) == COUNT - round(each.arm.ratio * COUNT)
        assert (np.diff(each.arm.kept) > 0).all()


def test_one_shot_arms_are_the_draws_of_selection(made_up, train, val):
    easiness_N = np.random.default_rng(0).gamma(1.0, size=COUNT)
    plan = Plan(ratios=(0.3,), seeds=2, weighting="rank")
    finished = ablate(plan, train, val, recipe=tiny_recipe(seed=5), easiness_N=easiness_N)
    for strategy, seed in itertools.product(("easy", "hard", "random"), range(2)):
        source = np.random.SeedSequence(5, spawn_key=(1, seed, 0))
        removed = draw_removed(easiness_N, 15, strategy=strategy, weighting="rank", seed=source)
        np.testing.assert_array_equal(of(finished, strategy, 0.3)[seed], np.setdiff1d(np.arange(COUNT), removed))


def test_seeds_draw_differently_and_balanced_draws_are_balanced(made_up, train, val):
    finished = ablate(Plan(strategies=("hard", "stepwise"), ratios=(0.12, 0.4), seeds=2, balanced=True), train, val)
    for strategy, ratio in (("hard", 0.4), ("stepwise", 0.12)):
        first, second = of(finished, strategy, ratio).values()
        assert not np.array_equal(first, second)
        for kept in (first, second):
            left = np.bincount(train.labels[kept]) / np.bincount(train.labels)
            assert np.ptp(left) < 2 / 16


def test_the_path_goes_on_from_what_is_left_with_fresh_scores(made_up, train, val):
    easiness_N = np.full(COUNT, 50.0)
    easiness_N[[3, 8, 13, 21, 34]] = 1e-5  # the first step takes these, all others the greatest rows that are left
    finished = ablate(Plan(strategies=("stepwise",), ratios=(0.2, 0.3), seeds=1), train, val, easiness_N=easiness_N)
    first = np.setdiff1d(np.arange(COUNT), [3, 8, 13, 21, 34])
    second = of(finished, "stepwise", 0.2)[0]
    # Easiness grows with the fourth power of the distance to the greatest row, so the next ones are near it.
    assert np.isin(second, first).all()
    assert not np.isin([49], second).any()
    assert np.isin(first[:30], second).all()
    assert np.isin(of(finished, "stepwise", 0.3)[0], second).all()


def test_steps_are_shared_and_nothing_is_trained_twice(made_up, train, val):
    finished = ablate(Plan(ratios=(0.1, 0.2, 0.25, 0.3), seeds=2), train, val, trials=3)
    trials = [trial for trials in made_up for trial in trials]
    digests = [trial.recipe.trial_digest(trial.number, (train.fingerprint_of(trial.rows), "")) for trial in trials]
    assert len(set(digests)) == len(digests)
    scored = [trial for trial in trials if trial.kind == "trial"]
    assert sorted(len(trial.rows) for trial in scored) == [40] * 6 + [45] * 6, "two levels, three trials, two seeds"
    assert [len({trial.kind for trial in trials}) for trials in made_up] == [2, 2, 1], (
        "arms and scoring share their rounds"
    )
    for seed in range(2):
        np.testing.assert_array_equal(of(finished, "easy", 0.1)[seed], of(finished, "stepwise", 0.1)[seed])
    (shared,) = {each.run_id for each in finished if each.arm.ratio == 0.1 and each.arm.seed == 0} & {
        each.run_id for each in finished if each.arm.strategy == "stepwise"
    }
    assert "easy 10 % seed 0 = stepwise 10 % seed 0" in shared


@pytest.mark.parametrize(
    "plan",
    [
        Plan(strategies=("easy", "stepwise"), ratios=(0.05, 0.1, 0.2, 0.25, 0.3), seeds=2),
        Plan(ratios=(0.2, 0.25, 0.3), seeds=2),
        Plan(strategies=("random", "stepwise"), ratios=(0.1, 0.4), seeds=1, equal_updates=True),
        Plan(strategies=("hard",), ratios=(0.5,), seeds=3),
    ],
)
def test_planned_trials_are_those_that_run(made_up, train, val, plan):
    recipe = tiny_recipe()
    scoring = Scoring(tiny_recipe(trials=3), recipe.epochs * updates_per_epoch(COUNT, 8), COUNT)
    planned = itertools.chain(*planned_trials(plan, recipe, COUNT, scoring))
    ablate(plan, train, val, recipe=recipe, trials=3)

    def sizes(trials):
        return sorted((trial.kind, repr(trial.recipe), trial.number, len(trial.rows)) for trial in trials)

    assert sizes(planned) == sizes(itertools.chain(*made_up))


def test_a_ratio_more_leaves_the_others_as_they_were(made_up, train, val):
    few = ablate(Plan(strategies=("stepwise",), ratios=(0.2, 0.4), seeds=1), train, val)
    many = ablate(Plan(strategies=("easy", "stepwise"), ratios=(0.1, 0.15, 0.2, 0.4), seeds=2), train, val)
    for ratio in (0.2, 0.4):
        np.testing.assert_array_equal(of(few, "stepwise", ratio)[0], of(many, "stepwise", ratio)[0])


def test_arms_measure_no_training_example_and_scoring_has_seeds_of_its_own(made_up, train, val):
    recipe = tiny_recipe(seed=4)
    ablate(Plan(ratios=(0.2,), seeds=2), train, val, recipe=recipe)
    arms = [trial for trials in made_up for trial in trials if trial.kind == "arm"]
    scored = [trial for trials in made_up for trial in trials if trial.kind == "trial"]
    assert {trial.recipe.score_at for trial in arms} == {None}
    assert {scored_updates(trial.recipe, len(trial.rows)) for trial in arms} == {()}
    assert {trial.recipe.seed for trial in arms}.isdisjoint({0, 4, *(trial.recipe.seed for trial in scored)})
    assert len({trial.recipe.seed for trial in scored}) == 2
    assert {trial.number for trial in arms} == {0, 1}


def test_equal_updates_are_nearly_equal(made_up, train, val):
    recipe = tiny_recipe(epochs=4, schedule_epochs=8)
    ablate(Plan(strategies=("easy",), ratios=(0.5, 0.8), seeds=1, equal_updates=True), train, val, recipe=recipe)
    whole = 4 * updates_per_epoch(COUNT, 8)
    for trial in made_up[0]:
        per_epoch = updates_per_epoch(len(trial.rows), 8)
        assert abs(trial.recipe.epochs * per_epoch - whole) <= per_epoch / 2
        assert trial.recipe.schedule_epochs / trial.recipe.epochs == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"ratios": (1.0,)}, "ratios has 1.0, which is not a share to remove"),
        ({"ratios": (-0.1,)}, "ratios has -0.1, which is not a share to remove"),
        ({"ratios": (float("nan"),)}, "ratios has nan, which is not a share"),
        ({"ratios": (0.98,)}, "ratios has 0.98, which leaves 1 of 50 examples"),
        ({"ratios": ()}, "ratios has none above 0"),
        ({"ratios": (0.0,)}, "ratios has none above 0"),
        ({"strategies": ("easyy",)}, "strategies is 'easyy', and must be one of easy, hard, random, stepwise"),
        ({"strategies": ()}, "strategies is empty; give one or more of"),
        ({"strategies": ("easy", "easy")}, "strategies is easy, easy; give one or more of"),
        ({"seeds": 0}, "seeds is 0, and must be at least 1"),
        ({"weighting": "square"}, "weighting is 'square', and must be one of inverse, rank, reflect"),
    ],
)
def test_plans_that_cannot_be_carried_out(chosen, message):
    with pytest.raises(ValueError, match=message):
        Plan(**chosen).check(50)


@pytest.mark.parametrize("strategy", ["easy", "stepwise"])
def test_a_class_left_empty_is_named(made_up, train, val, caplog, strategy):
    few = dataclasses.replace(train, labels=np.where(np.isin(np.arange(COUNT), [4, 30]), 1, 2 * (train.labels // 2)))
    easiness_N = np.where(few.labels == 1, 1e-6, 9.0)
    plan = Plan(strategies=(strategy,), ratios=(0.1,), seeds=1)
    with pytest.raises(ValueError, match="leaves none of 1 of 3 classes: class 1"):
        ablate(plan, few, val, easiness_N=easiness_N)
    assert made_up == []
    ablate(dataclasses.replace(plan, allow_empty=True), few, val, easiness_N=easiness_N)
    assert "10 %, seed 0: class class 1 has no example left" in caplog.text


@pytest.mark.parametrize(
    ("equal_epochs", "moment", "count", "epochs", "update"),
    [
        (False, 1955, 45_000, 6, 6 * 352),
        (False, 1955, 25_000, 10, 10 * 196),
        (False, 1955, 5_000, 49, 49 * 40),
        (True, 782, 45_000, 2, 704),
        (True, 100, 25_000, 1, 50),
    ],
)
def test_what_is_left_is_scored_after_equal_updates_or_the_same_share_of_an_epoch(
    equal_epochs, moment, count, epochs, update
):
    recipe = make_recipe("cifar10", "wide_resnet_16_4", epochs=5, trials=7)
    scoring = Scoring(recipe, moment, 50_000)
    own = scoring.of_rest(count, 0, equal_epochs)
    assert (own.epochs, own.score_at, own.trials) == (epochs, (update,), 7)
    assert scored_updates(own, count) == (update,)
    others = {scoring.of_rest(count, 1).seed, scoring.of_rest(count - 1, 0).seed, recipe.seed}
    assert len(others | {own.seed}) == 4


def test_a_smaller_set_is_scored_along_the_same_rates():
    whole = make_recipe("cifar10", "wide_resnet_16_4", epochs=10, schedule_epochs=10)
    scoring = Scoring(whole, 10 * 391, 50_000)
    own = scoring.of_rest(25_000, 0)
    assert (own.epochs, own.schedule_epochs) == (20, 20)
    for update in range(0, 3910, 100):
        assert own.learning_rate_at(update, 196) == whole.learning_rate_at(update, 391)
    assert scoring.of_rest(25_000, 0, equal_epochs=True).schedule_epochs == 10


def test_scores_at_initialization_stay_there():
    tuned = make_recipe("cifar10", "wide_resnet_16_4", recipe="finetune", epochs=10, head_epochs=2)
    assert Scoring(tuned, 3910, 50_000).of_rest(20_000, 0).head_epochs == 5
    assert Scoring(tuned, 3910, 50_000).of_rest(20_000, 0, equal_epochs=True).head_epochs == 2
    own = Scoring(make_recipe("cifar10", "wide_resnet_16_4"), 0, 50_000).of_rest(40_000, 0)
    assert (own.epochs, own.score_at) == (1, (0,))


# --- real trainings ---------------------------------------------------------------------------------------

SMALL = Plan(strategies=("hard", "stepwise"), ratios=(0.1, 0.2), seeds=1)


def really(train, val, plan=SMALL):
    recipe = tiny_recipe(epochs=2)
    with tracking.tracked_run("ablate", "a") as run_id:
        return ablate(plan, train, val, recipe=recipe, run_id=run_id)


def results(finished):
    """All that must be the same, whatever happened on the way."""
    return [
        (each.arm.name, each.arm.kept.tolist(), each.correct.tolist(), [_timeless(epoch) for epoch in each.epochs])
        for each in finished
    ]


def _timeless(epoch):
    return {key: epoch[key] for key in epoch if key != "time" and "second" not in key}


def test_an_arm_is_the_training_on_its_subset_alone(store, train, val):
    finished = really(train, val, Plan(strategies=("hard",), ratios=(0.3,), seeds=1))
    arm = finished[-1]
    recipe = dataclasses.replace(tiny_recipe(epochs=2), score_at=None, seed=room._spawned(0, room._TRAIN, 0, 0))
    with tracking.tracked_run("score", "alone") as run_id:
        setup = tiny_setup(recipe, train.subset(arm.arm.kept), val)
        with SharedData(setup.train, val) as data:
            (alone,) = run_tracked_trials([Trial(recipe, 0)], data, run_id, setup.device, setup.run, TrialOptions())
    assert mlflow.get_run(arm.run_id).data.tags["easiness.trial_digest"] == alone.digest
    assert alone.run_id != arm.run_id
    epochs, correct = tracking.read_validation(alone.run_id)
    np.testing.assert_array_equal(correct, arm.correct)
    assert [_timeless(epoch) for epoch in epochs] == [_timeless(epoch) for epoch in arm.epochs]
    assert np.mean(correct) == epochs[-1]["val_accuracy"]


def test_cut_off_and_called_again_it_ends_the_same(store, train, val, monkeypatch):
    class CutError(Exception):
        pass

    real = tracked_trials.run_trials

    def cut_after(finishes, epochs):
        def run_trials(tasks, *, report, finished, **options):
            left = {"finishes": finishes, "epochs": epochs}

            def told(progress):
                report(progress)
                left["epochs"] -= progress.metrics is not None
                if left["epochs"] < 0:
                    raise CutError

            def ended(task):
                finished(task)
                left["finishes"] -= 1
                if left["finishes"] < 0:
                    raise CutError

            real(tasks, report=told, finished=ended, **options)

        return run_trials

    for finishes, epochs in ((0, 99), (99, 2), (1, 99)):
        monkeypatch.setattr(tracked_trials, "run_trials", cut_after(finishes, epochs))
        with pytest.raises(CutError):
            really(train, val)
    monkeypatch.setattr(tracked_trials, "run_trials", real)
    resumed = really(train, val)
    again = really(train, val)
    assert [each.run_id for each in again] == [each.run_id for each in resumed]
    assert [each.epochs for each in again] == [each.epochs for each in resumed], "seconds are stored with the arm"
    # What was cut off is not in the way of a whole run in another place.
    mlflow.MlflowClient().create_experiment("elsewhere")
    mlflow.set_experiment("elsewhere")
    whole = really(train, val)
    mlflow.set_experiment("Default")
    assert results(whole) == results(resumed)
    assert {each.run_id for each in whole}.isdisjoint({each.run_id for each in resumed})
