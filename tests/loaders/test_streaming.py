import ctypes
import gc
import pickle
import resource
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from easiness.datasets import open_dataset, prefetch
from easiness.datasets.imagenet import list_imagenet
from easiness.datasets.packing import PackOptions, pack
from easiness.datasets.prefetch import StalledError
from easiness.loaders import choose_loader, stage
from easiness.loaders.ffcv import FFCVDecoder, why_no_ffcv
from easiness.loaders.files import PillowDecoder
from easiness.loaders.normalization import normalize_images, normalize_streamed
from easiness.loaders.streaming import CHUNK, Chunk, centre_boxes
from easiness.recipes.randomness import crop_boxes, flips, trial_seeds
from easiness.recipes.recipe import make_recipe
from easiness.trials.engines import run_trials
from easiness.trials.evaluation import MEASURES
from easiness.trials.trial import TrialTask, run_trial
from tests.loaders.test_parts import assert_parts_are_the_whole
from tests.tiny_data import MODEL, tiny_dataset

CPU = torch.device("cpu")
SEEDS = trial_seeds(0, "", 0)
needs_ffcv = pytest.mark.skipif(bool(why_no_ffcv()), reason=why_no_ffcv())
LOADERS = [pytest.param("ffcv", marks=needs_ffcv), "torchvision"]
PIXELS = 32


def photograph(rng, height, width):
    """Smooth colours with a few edges, as a decoder meets them; noise would measure the resampling filter alone."""
    coarse = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    image = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    image[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 256, 3)
    return image


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder `images`, and what was packed of it: `jpg`, `raw`."""
    root = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    for split, count in (("train", 19), ("val", 5)):
        for name in ("n01", "n02", "n03"):
            (root / "images" / split / name).mkdir(parents=True)
            for i in range(count):
                image = photograph(rng, int(rng.integers(30, 90)), int(rng.integers(30, 90)))
                Image.fromarray(image).save(root / "images" / split / name / f"{i}.JPEG", quality=95)
    for mode in ("jpg", "raw"):
        splits = ("train", "val")
        files = {split: list_imagenet(root / "images", split, seed=0, val_fraction=0.2) for split in splits}
        options = PackOptions(max_side=0, quality=95) if mode == "jpg" else PackOptions(max_side=256, mode=mode)
        pack(root / "images", files, root / mode, options)
    return root


def recipe_for(loader, **chosen):
    fields = {"resolution": PIXELS, "batch_size": 24, "epochs": 2, "learning_rate": 0.05, "loader": loader} | chosen
    return make_recipe("imagenet", MODEL, **fields)


def data(folder, **options):
    return tuple(open_dataset("imagenet", folder, split=split, **options) for split in ("train", "val"))


def opened(folder, loader, train=None, **chosen):
    sets = data(folder)
    return stage(sets[0] if train is None else train, sets[1], recipe_for(loader, **chosen), None)[0].open(CPU)


def whole_pass(batches):
    batches = list(batches)
    return np.concatenate([batch.rows for batch in batches]), torch.cat([batch.images for batch in batches])


class Counting:
    """A decoder that remembers what it decoded."""

    def __init__(self, decoder):
        self.decoder, self.rows = decoder, []

    def decode(self, chunk):
        self.rows.extend(chunk.rows.tolist())
        self.decoder.decode(chunk)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("loader", LOADERS)
def test_parts_are_the_whole_and_decode_every_image_once(made, loader, size, monkeypatch):
    monkeypatch.setattr("easiness.loaders.streaming.score_batch_size", lambda _: 10)
    stream = opened(made / "jpg", loader, augmentation="resized_crop_flip", normalization="imagenet")
    stream._decoder = counting = Counting(stream._decoder)
    assert_parts_are_the_whole(stream, size, SEEDS)
    # Two passes as a whole, and two in parts.
    assert sorted(counting.rows) == sorted(4 * list(range(57))), "each image once, by one of all"


def slow_view(image, box, flip, side):
    """Mean over the area that falls on every pixel: the definition of INTER_AREA where an image shrinks."""
    top, left, height, width = box
    cut = image[top : top + height, left : left + width].astype(np.float64)

    def shares(size):
        edges = np.arange(side + 1) * size / side
        low, high = np.arange(size), np.arange(size) + 1
        covered = np.minimum(edges[1:, None], high) - np.maximum(edges[:-1, None], low)
        return covered.clip(0) * side / size

    view = np.einsum("ih,hwc,jw->ijc", shares(height), cut, shares(width))
    return view[:, ::-1] if flip else view


@needs_ffcv
def test_ffcv_cuts_scales_and_mirrors_as_defined(made):
    train, _ = data(made / "raw")
    sizes = train.images.sizes
    boxes = centre_boxes(sizes)
    boxes[::2] = crop_boxes(1, 2, np.arange(len(train)), sizes)[::2]
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 12)
    boxes[:, :2] = np.minimum(boxes[:, :2], sizes - boxes[:, 2:])
    flip = np.arange(len(train)) % 3 == 0
    views = np.zeros((len(train), 12, 12, 3), np.uint8)
    FFCVDecoder(train.images).decode(Chunk(np.arange(len(train)), boxes, flip, views, np.zeros(1, np.int64)))
    for row, image in enumerate(train.images):
        expected = slow_view(image, boxes[row], flip[row], 12)
        assert np.abs(views[row] - expected).max() <= 1, row


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("mode", ["jpg", "raw", "images"])
def test_every_loader_gives_the_same_examples_boxes_flips_and_nearly_the_same_pixels(made, loader, mode):
    if loader == "ffcv" and mode == "images":
        pytest.skip("FFCV reads packed data only")
    reference = opened(made / "raw", "torchvision")
    other = opened(made / mode, loader)
    for ours, theirs in (
        (reference.train_batches(1, SEEDS), other.train_batches(1, SEEDS)),
        (reference.score_batches(), other.score_batches()),
    ):
        (rows, images), (other_rows, other_images) = whole_pass(ours), whole_pass(theirs)
        np.testing.assert_array_equal(rows, other_rows)
        # In standard deviations of an image; a wrong box or flip gives 0.5 and more.
        difference = (images - other_images).abs().mean(dim=(1, 2, 3))
        assert difference.max() < 0.15
        assert difference.mean() < 0.05


@pytest.mark.parametrize("loader", LOADERS)
def test_boxes_and_flips_are_those_of_the_hash(made, loader):
    seen = {}
    sets = data(made / "jpg")
    train = sets[0].subset(np.arange(3, 50)[::-1])
    opened_ = opened(made / "jpg", loader, train)
    decoder, real = opened_._decoder, opened_._decoder.decode

    def spy(chunk):
        for row, box, flip in zip(chunk.rows, chunk.boxes, chunk.flip, strict=True):
            seen[int(row)] = (*box.tolist(), bool(flip))
        real(chunk)

    decoder.decode = spy
    rows, _ = whole_pass(opened_.train_batches(4, SEEDS))
    ids = train.example_ids[rows]
    boxes = crop_boxes(SEEDS.augmentation, 4, ids, train.images.sizes[rows])
    mirrored = flips(SEEDS.augmentation, 4, ids)
    assert [seen[int(row)] for row in rows] == [
        (*box.tolist(), bool(flip)) for box, flip in zip(boxes, mirrored, strict=True)
    ]


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("count", [2, 3, CHUNK + 1, 25, 49, 57])
def test_every_example_comes_once_in_every_pass(made, loader, count):
    train = data(made / "jpg")[0].subset(np.random.default_rng(1).permutation(57)[:count])
    loader = opened(made / "jpg", loader, train)
    for batches in (loader.train_batches(0, SEEDS), loader.score_batches()):
        batches = list(batches)
        rows = np.concatenate([batch.rows for batch in batches])
        assert sorted(rows.tolist()) == list(range(count))
        labels = torch.cat([batch.labels for batch in batches]).numpy()
        np.testing.assert_array_equal(labels, train.labels[rows])
        for batch in batches:
            assert batch.images.shape == (len(batch.rows), 3, PIXELS, PIXELS)
            assert batch.images.dtype == torch.float32
            assert batch.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("loader", LOADERS)
def test_a_view_depends_on_seed_epoch_and_id_alone(made, loader):
    def by_id(train, epoch, **chosen):
        rows, images = whole_pass(opened(made / "jpg", loader, train, **chosen).train_batches(epoch, SEEDS))
        return dict(zip(train.example_ids[rows].tolist(), images, strict=True))

    train, _ = data(made / "jpg")
    before = by_id(train, 3)
    for other in (
        by_id(train, 3, threads=2, batch_size=57),
        by_id(train.subset(np.arange(40, 9, -1)), 3, batch_size=2),
    ):
        assert all(torch.equal(view, before[example_id]) for example_id, view in other.items())
    later = by_id(train, 2)
    assert not any(torch.equal(view, before[example_id]) for example_id, view in later.items())


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("augmentation", ["none", "shift_flip"])
@pytest.mark.parametrize("normalization", ["image", "channel", "imagenet"])
def test_streams_are_nearly_what_memory_holds(made, loader, augmentation, normalization):
    chosen = {"augmentation": augmentation, "normalization": normalization}
    resident, stream = (opened(made / "jpg", name, **chosen) for name in ("resident", loader))
    for ours, theirs in (
        (resident.train_batches(1, SEEDS), stream.train_batches(1, SEEDS)),
        (resident.score_batches(), stream.score_batches()),
    ):
        (rows, images), (other_rows, other_images) = whole_pass(ours), whole_pass(theirs)
        np.testing.assert_array_equal(rows, other_rows)
        difference = (images - other_images).abs().mean(dim=(1, 2, 3))
        assert difference.max() < 0.3, "the resident loader cuts at half pixels, too"
        assert difference.mean() < 0.08


@pytest.mark.parametrize("loader", LOADERS)
def test_staged_in_files_gives_the_same_bits(made, tmp_path, loader):
    sets = data(made / "jpg")
    here = stage(*sets, recipe_for(loader), None)
    there = stage(*sets, recipe_for(loader), tmp_path / "new")
    assert len(pickle.dumps(there[0])) < 2_000
    for ours, theirs in zip(here, there, strict=True):
        theirs = pickle.loads(pickle.dumps(theirs)).open(CPU)
        ours = ours.open(CPU)
        for a, b in zip(ours.train_batches(0, SEEDS), theirs.train_batches(0, SEEDS), strict=True):
            assert torch.equal(a.images, b.images)
            assert torch.equal(a.labels, b.labels)


@pytest.mark.parametrize("loader", LOADERS)
def test_a_batch_may_be_kept(made, loader):
    opened_ = opened(made / "jpg", loader)
    kept = list(opened_.train_batches(0, SEEDS))
    for batch, again in zip(kept, opened_.train_batches(0, SEEDS), strict=True):
        assert torch.equal(batch.images, again.images)


@pytest.mark.parametrize("loader", LOADERS)
def test_a_pass_that_is_broken_off_leaves_no_thread_and_no_other_number_of_them(made, loader):
    before = torch.get_num_threads()
    others = {thread.ident for thread in threading.enumerate()}
    batches = opened(made / "jpg", loader, threads=2).train_batches(0, SEEDS)
    next(batches)
    batches.close()
    assert {thread.ident for thread in threading.enumerate()} == others
    assert torch.get_num_threads() == before


def copied(made, tmp_path, mode="jpg"):
    return shutil.copytree(made / mode, tmp_path, dirs_exist_ok=True)


@pytest.mark.parametrize("loader", LOADERS)
def test_a_beton_truncated_while_it_is_read_ends_in_an_error_that_names_the_image(made, tmp_path, loader):
    opened_ = opened(copied(made, tmp_path), loader, batch_size=2)
    batches = opened_.score_batches()
    records, path = opened_._columns.images.records, opened_._columns.images.file.path
    with path.open("r+b") as file:
        file.truncate(int(records["ptr"][40]) + 3)
    with pytest.raises(ValueError, match=r"image 40 of .*train-.*\.beton \(train/n03/10\.JPEG\) is missing"):
        list(batches)


@pytest.mark.parametrize("loader", LOADERS)
def test_damage_that_appears_while_it_is_read_names_the_image(made, tmp_path, loader):
    opened_ = opened(copied(made, tmp_path), loader)
    record, path = opened_._columns.images.records[33], opened_._columns.images.file.path
    with path.open("r+b") as file:
        file.seek(int(record["ptr"]) + int(record["size"]) // 2)
        file.write(bytes(int(record["size"]) // 2))
    with pytest.raises(ValueError, match=r"image 33 of .*train-.*\.beton \(train/n02/.*\) is damaged"):
        list(opened_.score_batches())


@pytest.mark.parametrize("loader", LOADERS)
def test_an_exception_inside_the_pipeline_ends_the_pass(made, loader, monkeypatch):
    opened_ = opened(made / "jpg", loader)
    real = opened_._decoder.decode

    def broken(chunk):
        if 30 in chunk.rows:
            raise ArithmeticError("a bug in the pipeline")
        real(chunk)

    monkeypatch.setattr(opened_._decoder, "decode", broken)
    with pytest.raises(ArithmeticError, match="a bug in the pipeline"):
        list(opened_.train_batches(0, SEEDS))
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.mark.parametrize("loader", LOADERS)
def test_a_decoder_that_hangs_ends_the_pass_and_names_the_image(made, loader, monkeypatch):
    monkeypatch.setattr(prefetch, "STALLED_AFTER_S", 0.4)
    opened_ = opened(made / "jpg", loader)
    release = threading.Event()

    def hangs(chunk):
        chunk.at[0] = 5
        release.wait(30)

    monkeypatch.setattr(opened_._decoder, "decode", hangs)
    with pytest.raises(StalledError, match=r"image 5 of .*train-.*\.beton \(train/n01/.*\) takes more than 0\.4"):
        list(opened_.score_batches())
    release.set()


@pytest.mark.parametrize("size", [1, 2, 33, 224])
def test_streamed_normalization_is_the_other_one_up_to_rounding(size):
    images = torch.from_numpy(np.random.default_rng(size).integers(0, 256, (5, size, size, 3)).astype(np.uint8))
    images[1], images[2] = 77, 255
    images[3, :, :, 0] = 3
    images = images.permute(0, 3, 1, 2)
    found = normalize_streamed(images)
    torch.testing.assert_close(found, normalize_images(images), atol=1e-5, rtol=0)
    assert not found[1:3].any(), "a single colour becomes zeros"
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_the_wait_for_a_stalled_worker_is_below_a_minute():
    assert prefetch.STALLED_AFTER_S < 60


def results(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.npy"))}


@pytest.mark.parametrize("loader", LOADERS)
def test_a_resumed_trial_is_the_same_to_the_bit(made, tmp_path, loader):
    staged = stage(*data(made / "jpg"), recipe_for(loader, score_at=(2, 3, 6)), None)
    run_trial(TrialTask(recipe_for(loader, score_at=(2, 3, 6)), 0, *staged, tmp_path / "whole"), CPU, lambda _: None)
    task = TrialTask(recipe_for(loader, score_at=(2, 3, 6)), 0, *staged, tmp_path / "cut")

    class CutError(Exception):
        pass

    def cut(progress):
        if (task.folder / "checkpoints").exists():
            raise CutError

    with pytest.raises(CutError):
        run_trial(task, CPU, cut)
    run_trial(task, CPU, lambda _: None)
    assert results(tmp_path / "whole") == results(tmp_path / "cut")
    assert len(results(tmp_path / "cut")) == 3 * len(MEASURES) + 1  # three moments, and the validation set


@pytest.mark.parametrize("loader", LOADERS)
def test_processes_give_the_same_bits_as_inline(made, tmp_path, loader):
    recipe = recipe_for(loader, epochs=1)
    sets = data(made / "jpg")
    for engine, folder in (("inline", None), ("processes", tmp_path / "staged")):
        staged = stage(*sets, recipe, folder)
        tasks = [TrialTask(recipe, trial, *staged, tmp_path / engine / str(trial)) for trial in range(2)]
        run_trials(tasks, engine=engine, device=CPU, report=lambda _: None, finished=lambda _: None)
    for trial in "01":
        assert results(tmp_path / "inline" / trial) == results(tmp_path / "processes" / trial)


def test_choice_of_the_loader(made, monkeypatch):
    packed, plain, arrays = data(made / "jpg"), data(made / "images"), (tiny_dataset(), tiny_dataset(9, split="val"))
    crops, shifts = recipe_for("resident"), recipe_for("resident", augmentation="shift_flip")
    room = "easiness.loaders.staging"
    monkeypatch.setattr(f"{room}.why_no_ffcv", lambda: "")
    assert choose_loader("auto", crops, *packed) == (
        "ffcv",
        "crops are cut from the original images, and the data are packed",
    )
    assert choose_loader("auto", crops, *plain)[0] == "torchvision"
    assert choose_loader("auto", shifts, *packed)[0] == "resident"
    assert choose_loader("auto", shifts, *arrays)[0] == "resident"
    assert choose_loader("torchvision", crops, *packed) == ("torchvision", "asked for")
    with pytest.raises(
        ValueError, match="loader is 'ffcv', and the data are not packed; make .beton files with prepare"
    ):
        choose_loader("ffcv", crops, *plain)
    with pytest.raises(ValueError, match="loader is 'torchvision', which reads files"):
        choose_loader("torchvision", shifts, *arrays)
    monkeypatch.setattr(f"{room}.GREATEST_BYTES", 1000)
    assert choose_loader("auto", shifts, *packed)[0] == "ffcv"
    assert choose_loader("auto", shifts, *arrays)[0] == "resident"
    monkeypatch.setattr(f"{room}.why_no_ffcv", lambda: "FFCV cannot be used (no numba)")
    name, reason = choose_loader("auto", crops, *packed)
    assert (name, "FFCV cannot be used (no numba)" in reason) == ("torchvision", True)
    with pytest.raises(ValueError, match="FFCV cannot be used .no numba.; or use loader=torchvision"):
        choose_loader("ffcv", crops, *packed)


def test_pillow_reads_what_ffcv_wrote_off_centre(made):
    train, _ = data(made / "raw")
    view = np.zeros((1, 8, 8, 3), np.uint8)
    box = np.array([[3, 5, 8, 8]])
    PillowDecoder(train.images).decode(Chunk(np.array([2]), box, np.array([True]), view, np.zeros(1, np.int64)))
    np.testing.assert_array_equal(view[0], train.images[2][3:11, 5:13][:, ::-1])


def resident_mib():
    """Resident memory without what is free already: glibc keeps a changing rest of freed batches for the next ones."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


@pytest.mark.slow
@pytest.mark.parametrize("loader", LOADERS)
def test_memory_stays_flat_over_ten_epochs_of_20000_images(made, loader):
    train, _ = data(made / "jpg")
    rows = np.arange(20_000) % len(train)
    repeated = replace(
        train,
        images=train.images.take(rows),
        labels=train.labels[rows],
        sources=train.sources[rows],
        example_ids=np.arange(20_000),
        digests=train.digests[rows],
    )
    opened_ = opened(made / "jpg", loader, repeated, threads=2, batch_size=256, resolution=64)
    used = []
    for epoch in range(10):
        assert sum(len(batch.rows) for batch in opened_.train_batches(epoch, SEEDS)) == 20_000
        used.append(resident_mib())
    assert max(used[2:]) - used[1] < 50, used
