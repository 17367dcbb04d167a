import dataclasses
import inspect
import re

import pytest

from easiness.recipes.paper import RECIPES, SCALES, paper_runs
from easiness.recipes.recipe import make_recipe
from easiness.runs.options import Setup
from entrypoints.ablate import ablate
from entrypoints.match import match
from entrypoints.score import score

FUNCTIONS = {"score": score, "match": match, "ablate": ablate}


@pytest.mark.parametrize("scale", SCALES)
def test_every_run_can_be_called_and_comes_after_those_it_needs(scale):
    seen = set()
    for run in paper_runs(scale):
        assert set(run.needs) <= seen
        assert run.name not in seen
        seen.add(run.name)
        options = {
            *inspect.signature(FUNCTIONS[run.entry]).parameters,
            *(each.name for each in dataclasses.fields(Setup)),
        }
        assert set(run.options) <= options
        assert (run.images() > 0) is (run.entry != "match")
        if run.entry != "match":
            epochs = run.options["epochs"]
            make_recipe(run.options["dataset"], run.options["model"], epochs=epochs)


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
    text = " ".join(next(each for each in RECIPES if each.__name__ == "ablate_cifar10").__doc__.split())
    assert f"{trainings} trainings, {images / 1e6:.0f} million images" in text


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_says_its_command_and_what_the_paper_found(recipe):
    assert re.search(r"``-e (score|match|ablate)", recipe.__doc__)


def test_digests_tell_runs_apart_and_know_them_again():
    def digests(prefix="a", place="cifar.tar.gz", seed=0):
        return [
            run.digest([f"{prefix}-{scale}-{name}" for name in run.needs], place, seed)
            for scale in SCALES
            for run in paper_runs(scale)
        ]

    assert len(set(digests())) == len(digests())
    assert digests() == digests()
    for other in ({"place": "elsewhere"}, {"seed": 1}):
        assert not set(digests()) & set(digests(**other))
    made = [bool(run.needs) for scale in SCALES for run in paper_runs(scale)]
    assert [one != two for one, two in zip(digests(), digests("b"), strict=True)] == made


def test_a_recipe_that_has_changed_is_another_run(monkeypatch):
    score, *_ = paper_runs("tiny")
    before = score.digest([], None, 0)
    monkeypatch.setattr("easiness.recipes.recipe.ALGORITHM", 99)
    assert score.digest([], None, 0) != before


def test_unknown_scale():
    with pytest.raises(ValueError, match="scale is 'huge', and must be one of tiny, small, full"):
        paper_runs("huge")
