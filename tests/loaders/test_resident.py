import dataclasses
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from easiness.datasets.image_files import ImageFiles, check_files
from easiness.loaders import resident, restage, stage_resident
from easiness.loaders.normalization import (
    STD_FLOOR,
    channel_statistics,
    level_counts,
    level_statistics,
    normalize_images,
    normalizer,
)
from easiness.loaders.resident import fit_image, fit_images
from easiness.recipes.randomness import shifts_and_flips, trial_seeds
from easiness.recipes.recipe import make_recipe
from tests.loaders.test_parts import assert_parts_are_the_whole
from tests.tiny_data import tiny_dataset, tiny_recipe

CPU = torch.device("cpu")
SEEDS = trial_seeds(0, "", 0)


def staged(train=None, folder=None, **chosen):
    recipe = tiny_recipe(**chosen)
    train = tiny_dataset(size=recipe.resolution) if train is None else train
    return stage_resident(train, tiny_dataset(9, size=recipe.resolution, split="val", seed=1), recipe, folder)


def loader(train=None, **chosen):
    return staged(train, **chosen)[0].open(CPU)


def slow_normalized(view, recipe, images):
    view = view.astype(np.float64)
    if recipe.normalization == "image":
        return (view - view.mean()) / max(view.std(), 1)
    if recipe.normalization == "imagenet":
        return (view / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    if recipe.normalization == "fixed":
        return (view - [10.0, 20.0, 30.0]) / [40.0, 50.0, 60.0]
    return (view - images.mean(axis=(0, 1, 2))) / np.maximum(images.std(axis=(0, 1, 2)), 1)


def slow_view(dataset, recipe, row, epoch, seeds):
    """One augmented image, moved by cutting it out of a wider one, and mirrored afterwards: (H, W, 3) float64."""
    view, side = dataset.images[row], recipe.resolution
    if recipe.augmentation == "shift_flip":
        shift = recipe.shift
        down, right, flip = (
            each[0] for each in shifts_and_flips(seeds.augmentation, epoch, dataset.example_ids[[row]], shift)
        )
        mode = {"zero": "constant", "reflect": "reflect"}[recipe.padding]
        wider = np.pad(view, ((shift, shift), (shift, shift), (0, 0)), mode=mode)
        view = wider[shift - down : shift - down + side, shift - right : shift - right + side]
        view = view[:, ::-1] if flip else view
    return slow_normalized(view, recipe, dataset.images)


@pytest.mark.parametrize("in_files", [False, True])
@pytest.mark.parametrize("chosen", [{}, {"normalization": "channel"}, {"augmentation": "none", "batch_size": 5}])
def test_restaged_examples_are_to_the_bit_those_of_their_subset(tmp_path, in_files, chosen):
    train, recipe = tiny_dataset(21), tiny_recipe(**chosen)
    rows = np.array([0, 3, 4, 11, 12, 13, 20])
    shared = restage(*staged(train, folder=tmp_path if in_files else None, batch_size=21), recipe, rows)
    alone = staged(train.subset(rows), **chosen)
    assert shared[0].images is not alone[0].images
    for ours, expected in zip(shared, alone, strict=True):
        ours, expected = ours.open(CPU), expected.open(CPU)
        assert ours.count == expected.count
        passes = [(each.score_batches(), each.train_batches(2, SEEDS)) for each in (ours, expected)]
        for one, other in zip(*passes, strict=True):
            for batch, wanted in zip(one, other, strict=True):
                assert torch.equal(batch.images, wanted.images)
                assert torch.equal(batch.labels, wanted.labels)
                np.testing.assert_array_equal(batch.rows, wanted.rows)


def test_restaged_examples_share_the_images(tmp_path):
    sets = staged(tiny_dataset(400), folder=tmp_path)
    shared = restage(*sets, tiny_recipe(), np.arange(200))
    assert shared[0].images == sets[0].images
    assert len(pickle.dumps(shared[0])) < 200 * 12 * 12


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"shift": 0},
        {"padding": "reflect"},
        {"shift": 11},
        {"shift": 11, "padding": "reflect"},  # the greatest that a reflection of 12 pixels can fill
        {"resolution": 9, "shift": 4, "batch_size": 2, "padding": "reflect"},
        {"normalization": "channel"},
        {"augmentation": "none"},
        {"resolution": 9, "shift": 4, "batch_size": 2},
        {"resolution": 1, "shift": 0},
        {"resolution": 2, "shift": 1},
    ],
)
def test_train_batches_equal_the_slow_reference(chosen):
    recipe = tiny_recipe(**chosen)
    dataset = tiny_dataset(size=recipe.resolution)
    for epoch in range(3):
        for batch in loader(dataset, **chosen).train_batches(epoch, SEEDS):
            expected = np.stack([slow_view(dataset, recipe, row, epoch, SEEDS) for row in batch.rows])
            np.testing.assert_allclose(batch.images.permute(0, 2, 3, 1).numpy(), expected, atol=2e-5)
            np.testing.assert_array_equal(batch.labels.numpy(), dataset.labels[batch.rows])


@pytest.mark.parametrize("normalization", ["image", "channel", "imagenet", "fixed"])
def test_score_batches_are_the_plain_images_in_order(normalization):
    dataset = tiny_dataset(300)
    colours = {"colour_mean": (10.0, 20.0, 30.0), "colour_std": (40.0, 50.0, 60.0)} if normalization == "fixed" else {}
    recipe = tiny_recipe(normalization=normalization, **colours)
    batches = list(loader(dataset, normalization=normalization, **colours).score_batches())
    assert np.concatenate([batch.rows for batch in batches]).tolist() == list(range(300))
    expected = np.stack([slow_normalized(image, recipe, dataset.images) for image in dataset.images])
    found = torch.cat([batch.images for batch in batches]).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_array_equal(torch.cat([batch.labels for batch in batches]).numpy(), dataset.labels)


@given(count=st.integers(3, 60), batch_size=st.integers(2, 64), epoch=st.integers(0, 5))
def test_every_example_comes_once_in_every_pass(count, batch_size, epoch):
    opened = loader(tiny_dataset(count, size=4), resolution=4, batch_size=batch_size)
    for batches in (opened.train_batches(epoch, SEEDS), opened.score_batches()):
        rows = np.concatenate([batch.rows for batch in batches])
        assert sorted(rows.tolist()) == list(range(count))


@pytest.mark.parametrize("size", [2, 3])
def test_parts_are_the_whole_and_normalize_every_image_once(size, monkeypatch):
    monkeypatch.setattr(resident, "score_batch_size", lambda _: 4)
    opened, normalized = loader(), []
    real = opened._normalize

    def counted(images_BCHW):
        normalized.append(len(images_BCHW))
        return real(images_BCHW)

    opened._normalize = counted
    assert_parts_are_the_whole(opened, size, SEEDS)
    assert sum(normalized) == 4 * 21, "two passes as a whole, and two in parts"


def views_by_id(dataset, epoch, **chosen):
    opened = loader(dataset, **chosen)
    return {
        int(dataset.example_ids[row]): view
        for batch in opened.train_batches(epoch, SEEDS)
        for row, view in zip(batch.rows, batch.images, strict=True)
    }


@pytest.mark.parametrize("threads", [1, 2])
def test_a_view_depends_on_seed_epoch_and_id_alone(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        dataset = tiny_dataset(61, size=33)
        chosen = {"resolution": 33, "shift": 4, "epochs": 3}
        whole = views_by_id(dataset, 2, **chosen)
        some = np.random.default_rng(0).permutation(61)[:17]
        for other in (
            views_by_id(dataset, 2, **chosen | {"batch_size": 61}),
            views_by_id(dataset, 2, **chosen | {"batch_size": 2, "epochs": 9, "model": "resnet18"}),
            views_by_id(dataset.subset(some), 2, **chosen),
        ):
            assert all(torch.equal(view, whole[example_id]) for example_id, view in other.items())
        later = views_by_id(dataset, 1, **chosen)
        assert sum(torch.equal(view, later[example_id]) for example_id, view in whole.items()) < 10
    finally:
        torch.set_num_threads(before)


def test_order_and_augmentation_have_seeds_of_their_own():
    dataset = tiny_dataset()
    opened = loader(dataset)

    def one_pass(**seeds):
        batches = list(opened.train_batches(0, dataclasses.replace(SEEDS, **seeds)))
        return np.concatenate([batch.rows for batch in batches]), torch.cat([batch.images for batch in batches])

    rows, images = one_pass()
    for same in ({"initialization": 1}, {"noise": 1}):
        assert np.array_equal(one_pass(**same)[0], rows)
        assert torch.equal(one_pass(**same)[1], images)
    other_rows, _ = one_pass(order=1)
    assert not np.array_equal(other_rows, rows)
    same_rows, other_images = one_pass(augmentation=1)
    assert np.array_equal(same_rows, rows)
    assert not torch.equal(other_images, images)


@pytest.mark.parametrize("normalization", ["image", "channel"])
def test_batches_are_float32_and_channels_last(normalization):
    opened = loader(normalization=normalization)
    for batch in (*opened.train_batches(0, SEEDS), *opened.score_batches()):
        assert batch.images.dtype == torch.float32
        assert batch.labels.dtype == torch.int64
        assert batch.images.shape[1:] == (3, 12, 12)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_staged_in_files_is_the_same_as_in_memory_and_small_to_send(tmp_path):
    dataset = tiny_dataset(50)
    in_memory, in_files = staged(dataset), staged(dataset, folder=tmp_path / "new" / "folder")
    assert len(pickle.dumps(in_files[0])) < 4_000 < dataset.images.nbytes
    for here, there in zip(in_memory, in_files, strict=True):
        assert here.num_classes == there.num_classes
        here, there = here.open(CPU), pickle.loads(pickle.dumps(there)).open(CPU)
        assert here.count == there.count
        for ours, theirs in (
            (here.train_batches(1, SEEDS), there.train_batches(1, SEEDS)),
            (here.score_batches(), there.score_batches()),
        ):
            for a, b in zip(ours, theirs, strict=True):
                assert torch.equal(a.images, b.images)
                assert torch.equal(a.labels, b.labels)
                np.testing.assert_array_equal(a.rows, b.rows)


def test_two_sets_of_one_split_do_not_overwrite_each_other(tmp_path):
    first, second = tiny_dataset(21), tiny_dataset(9, seed=1)
    assert first.split == second.split
    train, val = stage_resident(first, second, tiny_recipe(), tmp_path)
    assert (train.open(CPU).count, val.open(CPU).count) == (21, 9)
    assert sum(len(batch.images) for batch in train.open(CPU).score_batches()) == 21
    np.testing.assert_array_equal(np.load(train.images), first.images)
    np.testing.assert_array_equal(np.load(val.images), second.images)


def test_validation_set_is_normalized_with_the_training_sets_channels():
    _, val = staged(normalization="channel")
    images = tiny_dataset().images.astype(np.float64)
    batch = next(val.open(CPU).score_batches())
    expected = (tiny_dataset(9, split="val", seed=1).images - images.mean(axis=(0, 1, 2))) / images.std(axis=(0, 1, 2))
    np.testing.assert_allclose(batch.images.permute(0, 2, 3, 1).numpy(), expected, atol=2e-5)


@given(npst.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_statistics_of_channels_are_numpys(images):
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, images.mean(axis=(0, 1, 2), dtype=np.float64), atol=1e-10)
    np.testing.assert_allclose(std, images.std(axis=(0, 1, 2), dtype=np.float64), atol=1e-6)


def test_grey_levels_are_counted_some_images_at_a_time(monkeypatch):
    monkeypatch.setattr("easiness.loaders.normalization._CHUNK", 2)
    images = tiny_dataset(5).images
    expected = [np.bincount(images[..., c].ravel(), minlength=256) for c in range(3)]
    np.testing.assert_array_equal(level_counts(images), expected)
    np.testing.assert_array_equal(channel_statistics(images), level_statistics(np.array(expected)))


@pytest.mark.parametrize("grey", [0, 1, 77, 254, 255])
@pytest.mark.parametrize("size", [1, 8, 33])
def test_image_of_a_single_colour_becomes_zeros(grey, size):
    images = torch.full((2, 3, size, size), grey, dtype=torch.uint8)
    assert not normalize_images(images).any()
    recipe = tiny_recipe(normalization="channel", loader="resident")
    normalize = normalizer(recipe, *channel_statistics(images.permute(0, 2, 3, 1).numpy()), torch.device("cpu"))
    assert not normalize(images).any()


def test_nearly_flat_image_is_not_blown_up():
    image = torch.full((1, 3, 16, 16), 100, dtype=torch.uint8)
    image[0, 0, 0, 0] = 101
    assert normalize_images(image).abs().max() <= 1 / STD_FLOOR


@given(npst.arrays(np.uint8, st.tuples(st.just(3), st.integers(1, 9), st.integers(1, 9)), fill=st.nothing()))
def test_normalized_image_has_mean_zero_and_deviation_one(image):
    normalized = normalize_images(torch.from_numpy(image)[None]).numpy().astype(np.float64)
    assert abs(normalized.mean()) < 1e-5
    assert normalized.std() == pytest.approx(min(image.std() / STD_FLOOR, 1), abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3, 7), (13, 12), (12, 13), (40, 13), (200, 333)])
@pytest.mark.parametrize("resolution", [1, 5, 12])
def test_image_of_any_size_is_fitted(size, resolution):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    fitted = fit_images(image[None], resolution)
    assert fitted.shape == (1, resolution, resolution, 3)
    assert fitted.dtype == np.uint8
    flat = fit_image(np.full((*size, 3), 93, np.uint8), resolution)
    assert (flat == 93).all()


@pytest.mark.parametrize("turned", [False, True])
def test_middle_is_cut_and_both_axes_stay_what_they_are(turned):
    # A third of each colour; the middle third is a square, brighter towards its right.
    image = np.zeros((8, 24, 3), np.uint8)
    image[:, :8, 0] = image[:, 16:, 2] = 255
    image[:, 8:16, 1] = np.arange(8) * 30
    middle = image[:, 8:16]
    if turned:
        image, middle = image.transpose(1, 0, 2), middle.transpose(1, 0, 2)
    np.testing.assert_array_equal(fit_image(np.ascontiguousarray(image), 8), middle)
    whole = Image.fromarray(np.ascontiguousarray(image)).resize(
        (4, 12) if turned else (12, 4), Image.Resampling.BILINEAR
    )
    half = np.asarray(whole)[4:8] if turned else np.asarray(whole)[:, 4:8]
    np.testing.assert_array_equal(fit_image(np.ascontiguousarray(image), 4), half)


def test_images_that_fit_are_left_alone():
    images = tiny_dataset().images
    assert fit_images(images, 12) is images


def test_images_in_files_of_different_sizes_are_fitted_in_order(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (h, w, 3)).astype(np.uint8) for h, w in [(12, 12), (20, 31), (5, 4), (12, 30)]]
    paths = [str(tmp_path / f"{number}.png") for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    stored = np.array([list(check.stored) for check in check_files(paths)], np.uint8)
    files = ImageFiles(tuple(paths), np.array([picture.shape[:2] for picture in pictures]), stored)
    fitted = fit_images(files, 12)
    np.testing.assert_array_equal(fitted, np.stack([fit_image(picture, 12) for picture in pictures]))
    np.testing.assert_array_equal(fitted[0], pictures[0])
    np.testing.assert_array_equal(fitted[3], pictures[3][:, 9:21])


def test_images_beyond_memory_are_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(resident, "GREATEST_BYTES", 21 * 12 * 12 * 3 - 1)
    with pytest.raises(ValueError, match=r"21 images at 12 pixels need .* lower resolution or limit"):
        fit_images(tiny_dataset(size=8).images, 12)


def test_crops_of_original_images_are_refused():
    recipe = make_recipe("imagenet", "resnet18", resolution=12)
    with pytest.raises(ValueError, match="resized_crop_flip.*use shift_flip or none"):
        stage_resident(tiny_dataset(), tiny_dataset(9, split="val"), recipe, None)
