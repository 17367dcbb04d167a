import hashlib
import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from easiness.architectures.torchvision_import import import_torchvision
from easiness.recipes.randomness import (
    crop_boxes,
    epoch_order,
    epoch_seed,
    flips,
    shifts_and_flips,
    trial_seeds,
    uniforms,
)

seeds = st.integers(0, 2**32 - 1)
epochs = st.integers(0, 10_000)


class SplitMix64:
    """The published generator, in Python's own integers."""

    def __init__(self, state):
        self.state = state

    def __call__(self, skip=1):
        self.state = (self.state + skip * 0x9E3779B97F4A7C15) % 2**64
        x = self.state
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return x ^ (x >> 31)


def slow_uniform(seed, epoch, example_id, stream):
    """Four generators, one inside the other: the outcome of one seeds the next."""
    key = SplitMix64(SplitMix64(seed)())
    key = SplitMix64(key(epoch + 1))(stream + 1)
    spread = SplitMix64(0)(example_id % 2**64 + 1)
    return (SplitMix64((key ^ spread) - 0x9E3779B97F4A7C15)() >> 11) / 2**53


def test_slow_reference_is_the_published_generator():
    generator = SplitMix64(1234567)
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [generator() for _ in published] == published


@given(
    seed=st.integers(0, 2**64 - 1),
    epoch=epochs,
    ids=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5),
    stream=st.integers(0, 100),
)
def test_uniforms_equal_the_slow_reference(seed, epoch, ids, stream):
    expected = [slow_uniform(seed, epoch, example_id, stream) for example_id in ids]
    assert uniforms(seed, epoch, np.array(ids), stream).tolist() == expected


@given(seed=seeds, epoch=epochs, data=st.data())
def test_a_number_belongs_to_its_id_and_to_nothing_around_it(seed, epoch, data):
    ids = np.array(data.draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=20)))
    rows = np.array(data.draw(st.lists(st.integers(0, len(ids) - 1), min_size=1, max_size=20)))
    for each in (lambda ids: uniforms(seed, epoch, ids, 3), lambda ids: shifts_and_flips(seed, epoch, ids, 4)[0]):
        np.testing.assert_array_equal(each(ids)[rows], each(ids[rows]))
    sizes = np.stack([ids % 300 + 1, ids % 200 + 1], axis=1)
    np.testing.assert_array_equal(
        crop_boxes(seed, epoch, ids, sizes)[rows], crop_boxes(seed, epoch, ids[rows], sizes[rows])
    )


# What is drawn is fixed, so a test below passes always or never; 4.5 standard deviations would be exceeded by a perfect
# source in one of 150,000 looks.
SIGMAS = 4.5
MANY = 200_000


@pytest.mark.parametrize(("seed", "epoch", "stream"), [(0, 0, 0), (1, 0, 2), (0, 299, 1), (2**32 - 1, 7, 57)])
def test_numbers_are_uniform_in_bins_and_in_bits(seed, epoch, stream):
    values = uniforms(seed, epoch, np.arange(MANY), stream)
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.bincount((values * 256).astype(int), minlength=256)
    chi_square = ((counts - MANY / 256) ** 2 / (MANY / 256)).sum()
    assert abs(chi_square - 255) < SIGMAS * math.sqrt(2 * 255)
    bits = (values * 2**53).astype(np.uint64)[:, None] >> np.arange(53, dtype=np.uint64) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < SIGMAS * 0.5 / math.sqrt(MANY)


def test_streams_epochs_seeds_and_neighbours_are_uncorrelated():
    ids = np.arange(MANY)
    keys = [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0), (0, 2, 0), (1, 0, 0), (1, 1, 0), (2, 0, 16), (2**31, 0, 0)]
    drawn = [uniforms(*key[:2], ids, key[2]) for key in keys]
    drawn += [uniforms(0, 0, ids + 1, 0), uniforms(0, 0, ids * 2, 0), uniforms(0, 0, ids + 2**32, 0)]
    correlations = np.corrcoef(drawn) - np.eye(len(drawn))
    assert np.abs(correlations).max() < SIGMAS / math.sqrt(MANY)


def test_every_combination_of_shifts_and_flip_is_as_frequent():
    down, right, flip = shifts_and_flips(5, 1, np.arange(MANY), 4)
    cells = ((down + 4) * 9 + right + 4) * 2 + flip
    assert (down.min(), down.max(), right.min(), right.max()) == (-4, 4, -4, 4)
    counts = np.bincount(cells, minlength=162)
    assert len(counts) == 162
    chi_square = ((counts - MANY / 162) ** 2 / (MANY / 162)).sum()
    assert abs(chi_square - 161) < SIGMAS * math.sqrt(2 * 161)
    np.testing.assert_array_equal(flip, flips(5, 1, np.arange(MANY)))


def test_no_shift_still_flips():
    down, right, flip = shifts_and_flips(0, 0, np.arange(100), 0)
    assert not down.any()
    assert not right.any()
    assert 20 < flip.sum() < 80


@given(seed=seeds, epoch=epochs, count=st.integers(0, 200))
def test_orders_are_permutations(seed, epoch, count):
    assert sorted(epoch_order(seed, epoch, count)) == list(range(count))


def test_orders_differ_by_epoch_and_seed_and_have_no_favourites():
    orders = np.array([epoch_order(seed, epoch, 50) for seed in range(20) for epoch in range(50)])
    assert len(np.unique(orders, axis=0)) == len(orders)
    mean_place = np.argsort(orders, axis=1).mean(axis=0)
    assert np.abs(mean_place - 24.5).max() < SIGMAS * math.sqrt((50**2 - 1) / 12 / len(orders))


def test_seeds_of_trials_are_spawned_as_recorded_and_all_different():
    spawned = [vars(trial_seeds(3, "net", trial)) for trial in range(1000)]
    name = struct.unpack("<4I", hashlib.sha256(b"net").digest()[:16])
    by_hand = [int(np.random.SeedSequence(3, spawn_key=(*name, 7, k)).generate_state(1)[0]) for k in range(4)]
    assert list(spawned[7].values()) == by_hand
    assert list(spawned[7]) == ["initialization", "order", "augmentation", "noise"]
    everything = [seed for each in spawned for seed in each.values()]
    assert len(set(everything)) == 4000
    assert trial_seeds(3, "net", 0) != trial_seeds(4, "net", 0)
    # The same for ever: a trial that was logged is known by what its seeds gave.
    assert list(vars(trial_seeds(0, "", 0)).values()) == [4088532484, 3581274545, 1008912121, 4023748921]


def test_no_two_architectures_share_a_seed():
    names = ("", "wide_resnet_16_4", "densenet_bc_100_12", "resnext29_4x64d", "a.b:c")
    everything = [seed for name in names for trial in range(200) for seed in vars(trial_seeds(0, name, trial)).values()]
    assert len(set(everything)) == len(everything)


def test_seeds_of_epochs_differ_and_torch_takes_all_of_their_bits():
    drawn = {epoch_seed(seed, epoch) for seed in range(30) for epoch in range(30)}
    assert len(drawn) == 900
    assert max(drawn) < 2**32
    first = {torch.rand(1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).item() for seed in drawn}
    assert len(first) == 900


def test_width_of_the_ids_integers_does_not_matter():
    for kind in (np.uint8, np.int32, np.uint64):
        np.testing.assert_array_equal(uniforms(0, 0, np.arange(200, dtype=kind), 0), uniforms(0, 0, np.arange(200), 0))


def slow_crop(seed, epoch, example_id, height, width):
    """One image, in plain floating point; also whether a box was found among ten."""
    for attempt in range(10):
        u = [slow_uniform(seed, epoch, example_id, 16 + 4 * attempt + k) for k in range(4)]
        area = height * width * (0.08 + 0.92 * u[0])
        wide = math.exp(math.log(3 / 4) + (math.log(4 / 3) - math.log(3 / 4)) * u[1])
        w, h = round(math.sqrt(area * wide)), round(math.sqrt(area / wide))
        if 0 < w <= width and 0 < h <= height:
            return (math.floor(u[2] * (height - h + 1)), math.floor(u[3] * (width - w + 1)), h, w), True
    h, w = height, width
    if width / height < 3 / 4:
        h = round(width / (3 / 4))
    elif width / height > 4 / 3:
        w = round(height * (4 / 3))
    return ((height - h) // 2, (width - w) // 2, h, w), False


side = st.one_of(st.integers(1, 12), st.integers(1, 4000))


@given(seed=seeds, epoch=epochs, sizes=st.lists(st.tuples(side, side), min_size=1, max_size=8))
def test_crops_equal_the_slow_reference_and_keep_their_limits(seed, epoch, sizes):
    ids = np.arange(len(sizes)) * 3 + 5
    boxes = crop_boxes(seed, epoch, ids, np.array(sizes))
    assert boxes.dtype == np.int64
    for (height, width), example_id, box in zip(sizes, ids.tolist(), boxes.tolist(), strict=True):
        top, left, h, w = box
        assert 0 <= top <= top + h <= height
        assert 0 <= left <= left + w <= width
        assert h >= 1
        assert w >= 1
        slow, found = slow_crop(seed, epoch, example_id, height, width)
        assert tuple(box) == slow
        if found:  # rounding moves each side by half a pixel at most
            assert (w - 0.5) * (h - 0.5) <= height * width * (1 + 1e-9)
            assert (w + 0.5) * (h + 0.5) >= 0.08 * height * width * (1 - 1e-9)
            assert (w + 0.5) / (h - 0.5) >= 3 / 4 - 1e-9
            assert (w - 0.5) / (h + 0.5) <= 4 / 3 + 1e-9


@settings(max_examples=20)
@given(seed=seeds, size=st.tuples(side, side))
def test_crops_of_a_whole_set_stay_inside(seed, size):
    top, left, h, w = crop_boxes(seed, 0, np.arange(2000), np.tile(size, (2000, 1))).T
    assert min(top.min(), left.min()) >= 0
    assert min(h.min(), w.min()) >= 1
    assert (top + h).max() <= size[0]
    assert (left + w).max() <= size[1]


@pytest.mark.parametrize(("height", "width"), [(375, 500), (90, 300)])
def test_crops_are_spread_like_torchvisions(height, width):
    import_torchvision()
    from torchvision.transforms import RandomResizedCrop

    picture = torch.empty(3, height, width)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        theirs = np.array([RandomResizedCrop.get_params(picture, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(2000)])
    ours = crop_boxes(1, 0, np.arange(30_000), np.tile([height, width], (30_000, 1)))
    for of_box in (
        lambda box: box[:, 2] * box[:, 3] / (height * width),
        lambda box: np.log(box[:, 3] / box[:, 2]),
        lambda box: box[:, 0] + box[:, 2] / 2,
        lambda box: box[:, 1] + box[:, 3] / 2,
    ):
        a, b = of_box(ours), of_box(theirs)
        assert abs(a.mean() - b.mean()) < SIGMAS * math.hypot(a.std() / len(a) ** 0.5, b.std() / len(b) ** 0.5)
        assert a.std() == pytest.approx(b.std(), rel=0.1)


@pytest.mark.parametrize(("height", "width"), [(1, 4000), (4000, 1), (7, 900), (900, 7)])
def test_crops_of_long_strips_are_torchvisions_centred_ones(height, width):
    import_torchvision()
    from torchvision.transforms import RandomResizedCrop

    theirs = RandomResizedCrop.get_params(torch.empty(3, height, width), (0.08, 1.0), (3 / 4, 4 / 3))
    assert tuple(crop_boxes(0, 0, np.array([4]), np.array([[height, width]]))[0]) == tuple(theirs)
