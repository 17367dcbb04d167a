import dataclasses
import hashlib
import importlib
import json
import math

import pytest

from easiness.recipes import recipe as recipes
from easiness.recipes.recipe import (
    RECIPES,
    Recipe,
    cifar10,
    folder,
    imagenet,
    make_recipe,
    neutral,
    planted,
    recipe_from,
)

# One other valid value for every field.
OTHER = {
    "model": "resnet18",
    "dataset": "folder",
    "resolution": 33,
    "epochs": 4,
    "schedule_epochs": 6,
    "batch_size": 127,
    "learning_rate": 0.1000001,
    "milestones": (0.5,),
    "momentum": 0.8,
    "weight_decay": 2e-4,
    "augmentation": "none",
    "shift": 3,
    "padding": "reflect",
    "normalization": "channel",
    "score_at": (7,),
    "trials": 11,
    "seed": 1,
    "threads": 2,
    "loader": "ffcv",
    "precision": "bfloat16",
    "common_random_numbers": True,
    "folds": 5,
    "weights": "model.pt",
    "weights_sha256": "ab" * 32,
    "new_head": True,
    "optimizer": "adamw",
    "schedule": "cosine",
    "validate_every": 2,
    "head_epochs": 2,
    "colour_mean": (1.0, 2.0, 3.0),
    "colour_std": (4.0, 5.0, 6.0),
}
# Of a recipe with weights and their colours, where one field asks for another.
STARTED = {"weights": "a.pt", "weights_sha256": "cd" * 32}
COLOURED = {"normalization": "fixed", "colour_mean": (0.0, 0.0, 0.0), "colour_std": (1.0, 1.0, 1.0)}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Recipe)])
def test_digest_moves_with_every_field_but_those_that_change_no_number(name):
    need = (STARTED if name in STARTED else {}) | (COLOURED if name.startswith("colour") else {})
    base = dataclasses.replace(cifar10(), **need)
    other = dataclasses.replace(base, **{name: OTHER[name]})
    assert getattr(other, name) != getattr(base, name)
    assert (other.digest() != base.digest()) == (name not in ("trials", "weights"))


def test_digests_are_those_of_before_there_were_folds():
    recipe = planted("alexnet")
    assert recipe.digest() == "2ad7e7bcc8b5b562c218970381b397808703ad6790772792e1f53a3a95b4bd54"
    digest = recipe.trial_digest(3, ("a", "b"))
    assert digest == "dfe15d5eaa3ee4424b397fe50d0c9e38a2efa1192905fbabf99d7d8e47265942"


@pytest.mark.parametrize(
    ("folds", "trials", "message"),
    [
        (-1, 4, "folds is -1, and must be at least 0"),
        (1, 4, "folds is 1, which leaves nothing to train on; use 2 or more, or 0 to hold nothing out"),
        (5, 4, r"trials is 4, and must be a multiple of folds \(5\), .*; use trials=5, or other folds"),
        (3, 7, "use trials=9"),
    ],
)
def test_folds_that_hold_some_examples_out_more_often(folds, trials, message):
    with pytest.raises(ValueError, match=message):
        make_recipe("planted", "alexnet", folds=folds, trials=trials)


def test_digest_moves_with_the_algorithm(monkeypatch):
    before = cifar10().digest()
    monkeypatch.setattr(recipes, "ALGORITHM", recipes.ALGORITHM + 1)
    assert cifar10().digest() != before


# Finished trials on tracking servers are found by this text; it must not change while ALGORITHM stays.
CIFAR10_AS_TEXT = (
    '{"algorithm": 2, "augmentation": "shift_flip", "batch_size": 128, "common_random_numbers": false, '
    '"dataset": "cifar10", "epochs": 5, "learning_rate": 0.1, "loader": "resident", '
    '"milestones": [0.5, 0.8333333333333334], "model": "wide_resnet_16_4", "momentum": 0.9, "normalization": "image", '
    '"padding": "zero", "precision": "float32", "resolution": 32, "schedule_epochs": 300, "score_at": [], "seed": 0, '
    '"shift": 4, "threads": 1, "weight_decay": 0.0001}'
)


def test_digest_is_the_same_in_every_process_and_version():
    recipe = dataclasses.replace(cifar10(), precision="float32")
    assert recipe.digest() == hashlib.sha256(CIFAR10_AS_TEXT.encode()).hexdigest()
    whole = {"data": ["a", "b"], "recipe": recipe.digest(), "trial": 3}
    assert recipe.trial_digest(3, ("a", "b")) == hashlib.sha256(json.dumps(whole).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class LaterRecipe(Recipe):
    warmup: int = neutral(0)


def test_digest_is_without_a_field_that_changes_nothing():
    later = LaterRecipe(**cifar10().settings())
    assert later.digest() == cifar10().digest()
    assert later.settings()["warmup"] == 0
    others = [dataclasses.replace(later, warmup=epochs).digest() for epochs in (1, 2)]
    assert len({*others, later.digest()}) == 3


def test_architectures_have_seeds_of_their_own_unless_asked():
    own = [cifar10(model).trial_seeds(3) for model in ("wide_resnet_16_4", "resnet18")]
    common = [
        dataclasses.replace(cifar10(model), common_random_numbers=True).trial_seeds(3)
        for model in ("wide_resnet_16_4", "resnet18")
    ]
    assert own[0] != own[1]
    assert common[0] == common[1]


def test_another_network_in_the_same_file_is_another_trial(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    recipe = cifar10("nets_of_a_user:small")
    absent = recipe.trial_digest(0, ("a", "b"))
    (tmp_path / "nets_of_a_user.py").write_text("width = 8")
    importlib.invalidate_caches()
    narrow = recipe.trial_digest(0, ("a", "b"))
    assert narrow == recipe.trial_digest(0, ("a", "b")) != absent
    (tmp_path / "nets_of_a_user.py").write_text("width = 9")
    assert recipe.trial_digest(0, ("a", "b")) != narrow


def test_trial_digest_moves_with_trial_and_data():
    recipe = cifar10()
    names = [recipe.trial_digest(trial, data) for trial in (0, 1) for data in (("a", "b"), ("b", "a"), ("a",), ("ab",))]
    assert len(set(names)) == len(names)


def test_settings_can_be_written_as_json():
    settings = dataclasses.replace(cifar10(), score_at=(1, 2)).settings()
    assert json.loads(json.dumps(settings))["score_at"] == [1, 2]
    assert set(settings) == set(OTHER)


def rates(recipe, per_epoch):
    return [recipe.learning_rate_at(update, per_epoch) for update in range(recipe.epochs * per_epoch)]


def whole(epochs):
    """A whole training of fewer epochs than the paper's."""
    return dataclasses.replace(cifar10(epochs=epochs), schedule_epochs=epochs)


@pytest.mark.parametrize(
    ("recipe", "per_epoch", "ends"),
    [
        (cifar10(epochs=300), 391, (150, 250, 300)),
        (imagenet(epochs=200), 50, (100, 150, 190, 200)),
        (whole(30), 391, (15, 25, 30)),
        (whole(6), 10, (3, 5, 6)),
    ],
)
def test_rate_is_divided_by_ten_exactly_after_the_milestones(recipe, per_epoch, ends):
    expected = []
    for passed, end in enumerate(ends):
        expected += [0.1 / 10**passed] * (end * per_epoch - len(expected))
    assert rates(recipe, per_epoch) == pytest.approx(expected, rel=1e-12)


def test_beginning_of_a_longer_training_has_the_longer_schedule():
    assert rates(cifar10(epochs=200), 7) == rates(cifar10(epochs=300), 7)[: 200 * 7]


def test_milestones_fall_to_the_nearest_update_where_epochs_are_few():
    assert rates(whole(1), 12) == pytest.approx([0.1] * 6 + [0.01] * 4 + [0.001] * 2)
    assert len(set(rates(whole(1), 1))) == 1


def test_settings_of_the_paper():
    for recipe in (cifar10(), imagenet()):
        assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay, recipe.trials) == (0.1, 0.9, 1e-4, 10)
        assert recipe.normalization == "image"
        assert recipe.score_at == ()
    assert (cifar10().resolution, cifar10().shift, cifar10().augmentation) == (32, 4, "shift_flip")
    assert (imagenet().resolution, imagenet().augmentation) == (224, "resized_crop_flip")
    assert cifar10("alexnet").learning_rate == 0.01
    assert planted().trials == 4


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_the_beginning_of_a_whole_training(name):
    made = RECIPES[name]("resnet18", epochs=7)
    assert (made.dataset, made.model, made.epochs) == (name, "resnet18", 7)
    assert made.schedule_epochs == (200 if name == "imagenet" else 300)
    assert set(rates(made, 63)) == {0.1}
    assert made.length() == f"the first 7 of {made.schedule_epochs} epochs"


def cosine(count, highest):
    """Half a cosine from the highest rate towards zero."""
    return [highest * math.cos(math.pi * k / count / 2) ** 2 for k in range(count)]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"epochs": 4}, [0.1] * 7 + cosine(21, 0.01)),
        ({"epochs": 4, "optimizer": "adamw"}, [1e-3] * 7 + cosine(21, 1e-4)),
        ({"epochs": 4, "head_epochs": 0}, cosine(28, 0.1)),
        ({"epochs": 4, "head_epochs": 3, "learning_rate": 0.5}, [0.5] * 21 + cosine(7, 0.05)),
        ({"epochs": 4, "schedule_epochs": 8}, ([0.1] * 7 + cosine(49, 0.01))[:28]),
        ({"epochs": 4, "schedule": "steps"}, [0.1] * 7 + [0.01] * 7 + [0.001] * 9 + [0.0001] * 5),
        ({"epochs": 1}, cosine(7, 0.1)),
    ],
)
def test_rates_of_finetune_are_the_last_layer_first_and_then_a_cosine_from_a_tenth(chosen, expected):
    recipe = make_recipe("folder", "resnet18", recipe="finetune", **chosen)
    assert rates(recipe, 7) == pytest.approx(expected, rel=1e-12)


def test_finetune_is_a_whole_training_of_the_datasets_recipe():
    tuned, base = make_recipe("folder", "resnet18", recipe="finetune", epochs=6), folder("resnet18", epochs=6)
    assert tuned.length() == "a whole training of 6 epochs"
    changed = {name for name, value in tuned.settings().items() if value != base.settings()[name]}
    assert changed == {"schedule_epochs", "schedule", "head_epochs"}
    adamw = make_recipe("folder", "resnet18", recipe="finetune", optimizer="adamw")
    assert (adamw.optimizer, adamw.learning_rate, adamw.weight_decay) == ("adamw", 1e-3, 0.05)
    assert make_recipe("folder", "alexnet", recipe="finetune").learning_rate == 0.01
    assert make_recipe("folder", "resnet18", recipe="finetune", epochs=400).schedule_epochs == 400
    with pytest.raises(ValueError, match="recipe is 'tune', and must be one of paper, finetune"):
        make_recipe("folder", "resnet18", recipe="tune")


BAD = [
    ("epochs", 0, "at least 1"),
    ("batch_size", 1, "at least 2"),
    ("trials", 0, "at least 1"),
    ("trials", -3, "at least 1"),
    ("seed", -1, "at least 0"),
    ("threads", 0, "at least 1"),
    ("resolution", 0, "at least 1"),
    ("shift", -1, "at least 0"),
    ("shift", 32, "below the resolution"),
    ("schedule_epochs", 4, "at least epochs"),
    ("learning_rate", 0.0, "positive and finite"),
    ("learning_rate", -0.1, "positive and finite"),
    ("learning_rate", float("nan"), "positive and finite"),
    ("learning_rate", float("inf"), "positive and finite"),
    ("momentum", 1.0, r"\[0, 1\)"),
    ("momentum", float("nan"), r"\[0, 1\)"),
    ("weight_decay", -1e-4, r"\[0, 1\)"),
    ("milestones", (0.5, 1.0), "between 0 and 1"),
    ("milestones", (0.0,), "between 0 and 1"),
    ("milestones", (float("nan"),), "between 0 and 1"),
    ("score_at", (-1,), "none below 0"),
    ("score_at", (5, 5), "different"),
    ("augmentation", "mixup", "shift_flip, resized_crop_flip, none"),
    ("normalization", "batch", "image, channel"),
    ("normalization", "fixed", "come with weights"),
    ("optimizer", "adam", "sgd, adamw"),
    ("schedule", "linear", "steps, cosine"),
    ("head_epochs", -1, "at least 0"),
    ("head_epochs", 300, "below schedule_epochs"),
    ("weights", "model.pt", "give both"),
]


@pytest.mark.parametrize(("name", "value", "rule"), BAD)
def test_bad_value_is_named_with_the_rule(name, value, rule):
    with pytest.raises(ValueError, match=rule) as caught:
        make_recipe("cifar10", "resnet18", **{name: value})
    message = str(caught.value)
    assert message.startswith(name)
    assert str(value) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"weights": "a.pt", "weights_sha256": "../" + "a" * 61}, "64 hexadecimal digits"),
        (COLOURED | {"colour_std": (1.0, 0.0, 1.0)}, "normalization is 'fixed'"),
        (COLOURED | {"colour_mean": (1.0, float("nan"), 1.0)}, "normalization is 'fixed'"),
        (COLOURED | {"normalization": "image"}, "for 'fixed' alone"),
    ],
)
def test_bad_values_of_a_start_are_named(fields, rule):
    with pytest.raises(ValueError, match=rule):
        make_recipe("cifar10", "resnet18", **fields)


def test_shift_may_be_large_where_nothing_is_shifted():
    assert make_recipe("cifar10", "resnet18", augmentation="none", shift=99).shift == 99


def test_none_leaves_the_recipes_own_value_and_length_leaves_the_schedule():
    assert make_recipe("cifar10", "resnet18", seed=None, epochs=None) == cifar10("resnet18")
    assert make_recipe("cifar10", "resnet18", epochs=9) == cifar10("resnet18", epochs=9)
    assert (
        make_recipe("cifar10", "resnet18", epochs=400, schedule_epochs=400).length() == "a whole training of 400 epochs"
    )
    shorter = make_recipe("cifar10", "resnet18", epochs=9, schedule_epochs=30)
    assert (shorter.epochs, shorter.schedule_epochs) == (9, 30)
    assert make_recipe("folder", "resnet18", seed=0, shift=0).shift == 0
    assert make_recipe("folder", "resnet18") == folder()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("cifer10", "did you mean cifar10"), ("imagenet1k", "did you mean imagenet"), ("x", "there are cifar10, ")],
)
def test_unknown_dataset_names_the_near_matches(name, hint):
    with pytest.raises(ValueError, match=hint) as caught:
        make_recipe(name, "resnet18")
    assert repr(name) in str(caught.value)


def test_settings_read_back_are_the_recipe():
    recipe = make_recipe("cifar10", "resnet18", score_at=(3, 5), epochs=2, schedule_epochs=9)
    assert recipe_from(json.loads(json.dumps(recipe.settings()))) == recipe
    for wrong in ({"depth": 3}, {}):
        with pytest.raises(ValueError, match="not the settings of a recipe"):
            recipe_from(wrong)


def test_no_scoring_is_another_trial():
    recipe = cifar10()
    assert dataclasses.replace(recipe, score_at=None).digest() != recipe.digest()
