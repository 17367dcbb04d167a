import inspect
import re

import pytest

import easiness
from easiness.recipes.paper import PAPER_RUNS, SCALES, ablate_cifar10, paper_runs
from easiness.recipes.recipe import make_recipe


@pytest.mark.parametrize("scale", SCALES)
def test_every_run_can_be_called_and_comes_after_those_it_needs(scale):
    seen = set()
    for run in paper_runs(scale):
        assert set(run.needs) <= seen
        assert run.name not in seen
        seen.add(run.name)
        arguments = run.arguments({name: f"id of {name}" for name in run.needs})
        assert set(arguments) <= set(inspect.signature(getattr(easiness, run.entry)).parameters)
        assert str(arguments).count("id of") == len(run.needs)
        assert (run.images() > 0) is (run.entry != "match")
        if run.entry != "match":
            lengths = {name: run.options[name] for name in ("epochs", "schedule_epochs") if name in run.options}
            recipe = make_recipe(run.options["dataset"], run.options["model"], **lengths)
        if run.entry == "score" and (scale != "small" or "whole" in run.name):
            assert recipe.length().startswith("a whole training"), "Table 1 needs its end"


def test_at_scale_small_each_seed_has_scores_of_its_own_on_the_same_images():
    runs = {run.name: run for run in paper_runs("small")}
    for name in ("ablate-cifar10-inverse", "ablate-cifar10-rank"):
        ablation = runs[name]
        scored = [runs[need] for need in ablation.needs]
        assert len(scored) == ablation.options["seeds"] == 5
        assert [run.seeds(7) for run in scored] == [{"seed": 7 + nth, "data_seed": 7} for nth in range(1, 6)]
        assert ablation.seeds(7) == {"seed": 7, "data_seed": 7}
        assert {run.options["limit"] for run in scored} == {ablation.options["limit"]}
        assert ablation.arguments({need: need for need in ablation.needs})["scores"] == ablation.needs
    assert runs["score-cifar10-wide_resnet_10_1-2"].command().endswith("-P seed=2 -P data_seed=0")
    assert runs["match-cifar10-whole"].needs == tuple(
        f"score-cifar10-{model}-whole" for model in ("wide_resnet_10_1", "densenet_bc_16_8", "resnext11_2x4d_8")
    )


def test_full_is_the_papers_own():
    runs = {run.name: run for run in paper_runs("full")}
    assert {run.options["model"] for run in runs.values() if run.entry == "score"} == {
        "wide_resnet_16_4", "densenet_bc_100_12", "resnext29_4x64d", "alexnet", "resnet18", "resnet50", "densenet121"
    }  # fmt: skip
    assert len(runs["match-imagenet"].needs) == 4
    assert all(run.options["trials"] == 10 for run in runs.values() if run.entry == "score")
    assert runs["score-cifar10-wide_resnet_16_4"].options["epochs"] == 300
    assert runs["score-imagenet-alexnet"].options["epochs"] == 200


def test_costs_in_docstrings_are_those_of_the_runs():
    runs = {run.name: run for run in paper_runs("full")}
    whole = runs["ablate-cifar10"].options
    trainings = whole["seeds"] * (1 + len(whole["strategies"]) * len(whole["ratios"]))
    images = whole["seeds"] * 300 * 50_000 * (1 + 4 * sum(1 - ratio for ratio in whole["ratios"]))
    text = " ".join(ablate_cifar10.__doc__.split())
    assert f"{trainings} trainings, {images / 1e6:.0f} million images" in text


@pytest.mark.parametrize("make_runs", PAPER_RUNS)
def test_every_docstring_has_its_command(make_runs):
    assert re.search(r"``-e (score|match|ablate)", make_runs.__doc__)


def test_unknown_scale():
    with pytest.raises(ValueError, match="scale is 'huge', and must be one of tiny, small, full"):
        paper_runs("huge")
