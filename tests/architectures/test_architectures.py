"""Networks by name: sizes and shapes against the papers, weights from the seed alone, errors in one line."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from easiness.architectures import build_model, model_names
from easiness.architectures.densenet import DenseNetBC
from easiness.architectures.resnext import ResNeXt
from easiness.architectures.torchvision_import import import_torchvision
from easiness.architectures.wide_resnet import WideResNet

# The smallest sibling of each of ours, and one size of image for each that keeps the tests fast.
SMALL = ["wide_resnet_10_1", "densenet_bc_10_4", "resnext11_2x4d"]
VISION = {
    "alexnet": 63,
    "resnet18": 32,
    "resnet50": 40,
    "densenet121": 32,
    "googlenet": 32,
    "inception_v3": 75,
}


def images(count, size, seed=0):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def count_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def on_meta(family, *numbers, num_classes=10):
    with torch.device("meta"):
        return family(*numbers, num_classes)


def error_of(name, num_classes=10, image_size=32, seed=0):
    """The message of the ValueError, which has to be one line."""
    with pytest.raises(ValueError, match=r".") as caught:
        build_model(name, num_classes, image_size=image_size, seed=seed)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- sizes against the literature


@pytest.mark.parametrize(
    ("family", "numbers", "millions"),
    [
        (WideResNet, (16, 4), 2.75),
        (WideResNet, (40, 1), 0.6),
        (WideResNet, (40, 2), 2.2),
        (WideResNet, (40, 4), 8.9),
        (WideResNet, (28, 10), 36.5),
        (DenseNetBC, (100, 12), 0.77),
        (DenseNetBC, (250, 24), 15.3),
        (DenseNetBC, (190, 40), 25.6),
        (ResNeXt, (29, 8, 64), 34.4),
        (ResNeXt, (29, 16, 64), 68.1),  # the paper cuts 68.155 off
    ],
)
def test_parameters_are_the_papers(family, numbers, millions):
    tolerance = 0.005 if millions in (2.75, 0.77) else 0.06
    assert count_parameters(on_meta(family, *numbers)) / 1e6 == pytest.approx(millions, abs=tolerance)


def test_densenet_bc_100_12_has_exactly_the_published_parameters():
    assert count_parameters(build_model("densenet_bc_100_12", 10, image_size=32, seed=0)) == 769_162


def test_wide_resnet_16_4_counted_by_hand():
    norm, total = 2, 3 * 9 * 16
    for first, then in ((16, 64), (64, 128), (128, 256)):
        total += norm * first + first * 9 * then + norm * then + then * 9 * then + first * then
        total += norm * then + then * 9 * then + norm * then + then * 9 * then
    total += norm * 256 + 256 * 10 + 10
    assert count_parameters(build_model("wide_resnet_16_4", 10, image_size=32, seed=0)) == total == 2_748_890


@pytest.mark.parametrize("cardinality", [1, 4, 8])
def test_resnext29_counted_by_hand(cardinality):
    norm, total = 2, 3 * 9 * 64 + 2 * 64
    for first, then, width in ((64, 256, 64), (256, 512, 128), (512, 1024, 256)):
        inner = cardinality * width
        # each group convolves its own `width` channels only
        middle = norm * inner + cardinality * (width * 9 * width) + norm * inner
        total += first * inner + middle + inner * then + norm * then + first * then + norm * then
        total += 2 * (then * inner + middle + inner * then + norm * then)
    total += 1024 * 10 + 10
    assert count_parameters(on_meta(ResNeXt, 29, cardinality, 64)) == total
    if cardinality == 4:
        assert total == 17_562_442


def test_a_narrow_resnext_differs_in_its_stem_alone():
    narrow = build_model("resnext11_2x4d_8", 10, image_size=32, seed=0)
    assert [stage[-1].conv3.out_channels for stage in narrow.stages] == [32, 64, 128]
    assert [stage[-1].conv2.weight.shape for stage in narrow.stages] == [(8, 4, 3, 3), (16, 8, 3, 3), (32, 16, 3, 3)]
    same = build_model("resnext11_2x4d_64", 10, image_size=32, seed=0).state_dict()
    for name, weights in build_model("resnext11_2x4d", 10, image_size=32, seed=0).state_dict().items():
        assert torch.equal(weights, same[name]), name


@pytest.mark.parametrize("depth", [10, 16, 40])
def test_wide_resnet_depth_counts_all_its_convolutions(depth):
    model = on_meta(WideResNet, depth, 2)
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == depth


@pytest.mark.parametrize("depth", [10, 40, 100])
def test_densenet_depth_counts_convolutions_and_classifier(depth):
    model = on_meta(DenseNetBC, depth, 12)
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules()) == depth


@pytest.mark.parametrize("depth", [11, 29, 56])
def test_resnext_depth_leaves_its_three_shortcuts_out(depth):
    model = on_meta(ResNeXt, depth, 4, 16)
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules()) == depth + 3


# ---- shapes and arithmetic against the papers


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("wide_resnet_16_4", (64, 128, 256)),
        ("wide_resnet_10_1", (16, 32, 64)),
        ("densenet_bc_100_12", (24 + 16 * 12, 108 + 16 * 12, 150 + 16 * 12)),
        ("densenet_bc_10_5", (10 + 5, 7 + 5, 6 + 5)),  # halves of odd numbers are rounded down
        ("resnext29_4x64d", (256, 512, 1024)),
        ("resnext11_2x4d", (256, 512, 1024)),
    ],
)
def test_every_stage_yields_the_papers_maps(name, channels):
    model = build_model(name, 7, image_size=32, seed=0).to("meta")
    shapes = []
    for stage in model.stages:
        stage.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape)))
    logits = model(torch.empty(5, 3, 32, 32, device="meta"))
    assert shapes == [(5, width, side, side) for width, side in zip(channels, (32, 16, 8), strict=True)]
    assert logits.shape == (5, 7)


def test_resnext_groups_double_in_width_and_not_in_number():
    model = on_meta(ResNeXt, 29, 4, 64)
    for stage, width in zip(model.stages, (64, 128, 256), strict=True):
        assert len(stage) == 3
        for block in stage:
            assert block.conv2.groups == 4
            assert tuple(block.conv2.weight.shape) == (4 * width, width, 3, 3)


def test_densenet_bottlenecks_are_four_times_the_growth():
    model = on_meta(DenseNetBC, 40, 12)
    for stage in model.stages:
        layers = [module for module in stage if hasattr(module, "conv2")]
        assert len(layers) == 6
        assert {tuple(layer.conv1.weight.shape[2:]) for layer in layers} == {(1, 1)}
        assert {layer.conv1.out_channels for layer in layers} == {48}
        assert {layer.conv2.out_channels for layer in layers} == {12}


def batch_norm(x, weights, key):
    """Normalize in train mode, without ``torch.nn``: by the batch's own mean and variance."""
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    scale, shift = weights[f"{key}.weight"], weights[f"{key}.bias"]
    return (x - mean) / (variance + 1e-5).sqrt() * scale[:, None, None] + shift[:, None, None]


def perturbed(name, seed=3):
    """A model in double precision whose normalizations scale and shift, so that their order shows."""
    model = build_model(name, 4, image_size=16, seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model, dict(model.named_parameters())


def test_wide_resnet_does_what_the_paper_says_step_by_step():
    model, w = perturbed("wide_resnet_16_2")
    x = images(3, 16).double()
    expected = model(x)
    x = F.conv2d(x, w["stem.weight"], padding=1)
    for stage in range(3):
        for block in range(2):
            key = f"stages.{stage}.{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            activated = batch_norm(x, w, f"{key}.norm1").clamp(min=0)
            y = F.conv2d(activated, w[f"{key}.conv1.weight"], stride=stride, padding=1)
            y = F.conv2d(batch_norm(y, w, f"{key}.norm2").clamp(min=0), w[f"{key}.conv2.weight"], padding=1)
            x = y + (F.conv2d(activated, w[f"{key}.shortcut.weight"], stride=stride) if block == 0 else x)
    x = batch_norm(x, w, "norm").clamp(min=0).mean((2, 3))
    torch.testing.assert_close(x @ w["classifier.weight"].T + w["classifier.bias"], expected)


def test_densenet_does_what_the_paper_says_step_by_step():
    model, w = perturbed("densenet_bc_16_3")
    x = images(3, 16).double()
    expected = model(x)
    x = F.conv2d(x, w["stem.weight"], padding=1)
    for stage in range(3):
        if stage > 0:
            key = f"stages.{stage}.0"
            x = F.conv2d(batch_norm(x, w, f"{key}.norm").clamp(min=0), w[f"{key}.conv.weight"])
            x = x.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))
        for layer in range(2):
            key = f"stages.{stage}.{layer + (stage > 0)}"
            y = F.conv2d(batch_norm(x, w, f"{key}.norm1").clamp(min=0), w[f"{key}.conv1.weight"])
            y = F.conv2d(batch_norm(y, w, f"{key}.norm2").clamp(min=0), w[f"{key}.conv2.weight"], padding=1)
            x = torch.cat((x, y), 1)
    x = batch_norm(x, w, "norm").clamp(min=0).mean((2, 3))
    torch.testing.assert_close(x @ w["classifier.weight"].T + w["classifier.bias"], expected)


def test_resnext_does_what_the_paper_says_step_by_step():
    model, w = perturbed("resnext20_2x4d")
    x = images(3, 16).double()
    expected = model(x)
    x = batch_norm(F.conv2d(x, w["stem.0.weight"], padding=1), w, "stem.1").clamp(min=0)
    for stage in range(3):
        for block in range(2):
            key = f"stages.{stage}.{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            y = batch_norm(F.conv2d(x, w[f"{key}.conv1.weight"]), w, f"{key}.norm1").clamp(min=0)
            # The paper's aggregated form: every group of channels goes through its own little convolution.
            parts = zip(y.chunk(2, 1), w[f"{key}.conv2.weight"].chunk(2, 0), strict=True)
            y = torch.cat([F.conv2d(part, kernel, stride=stride, padding=1) for part, kernel in parts], 1)
            y = batch_norm(y, w, f"{key}.norm2").clamp(min=0)
            y = batch_norm(F.conv2d(y, w[f"{key}.conv3.weight"]), w, f"{key}.norm3")
            if block == 0:
                x = F.conv2d(x, w[f"{key}.shortcut.0.weight"], stride=stride)
                x = batch_norm(x, w, f"{key}.shortcut.1")
            x = (x + y).clamp(min=0)
    x = x.mean((2, 3))
    torch.testing.assert_close(x @ w["classifier.weight"].T + w["classifier.bias"], expected)


@pytest.mark.parametrize("name", ["wide_resnet_16_4", "densenet_bc_100_12", "resnext29_4x64d"])
def test_convolutions_start_from_he_normal_weights_and_the_classifier_without_bias(name):
    model = build_model(name, 10, image_size=32, seed=1)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            weights = module.weight.detach()
            expected = (2 / (module.out_channels * weights[0, 0].numel())) ** 0.5
            # The standard deviation of n normal draws scatters by 1/sqrt(2n); 5 of those.
            assert abs(weights.std().item() / expected - 1) < 5 / (2 * weights.numel()) ** 0.5
            assert abs(weights.mean().item()) < 5 * expected / weights.numel() ** 0.5
    assert not model.classifier.bias.any()


# ---- weights from the seed, and from nothing else


@pytest.mark.parametrize("name", [*SMALL, "googlenet"])
def test_same_seed_same_bits_and_another_seed_other_weights(name):
    first, second, other = (build_model(name, 5, image_size=32, seed=seed) for seed in (7, 7, 8))
    ours, theirs, others = first.state_dict(), second.state_dict(), other.state_dict()
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in ours.items())
    drawn = [key for key, tensor in ours.items() if tensor.dim() > 1]
    assert len(drawn) > 5
    assert not any(torch.equal(ours[key], others[key]) for key in drawn)


def test_no_global_generator_is_read_or_moved():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    one = build_model("squeezenet1_1", 5, image_size=32, seed=3)
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    torch.manual_seed(2)
    two = build_model("squeezenet1_1", 5, image_size=32, seed=3)
    assert torch.equal(one.features[0].weight, two.features[0].weight)


def test_a_failed_build_leaves_the_generator_alone_too():
    before = torch.get_rng_state()
    error_of("squeezenet1_1", image_size=10)
    assert torch.equal(before, torch.get_rng_state())


def test_weights_do_not_depend_on_image_size_or_the_default_device():
    small = build_model("resnet18", 5, image_size=32, seed=0)
    with torch.device("meta"):
        large = build_model("resnet18", 5, image_size=64, seed=0)
    assert torch.equal(small.conv1.weight, large.conv1.weight)


def assert_untouched(model):
    assert all(module.training for module in model.modules())
    buffers = dict(model.named_buffers())
    assert buffers
    for key, buffer in buffers.items():
        fresh = {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}[key.rpartition(".")[2]]
        assert (buffer == fresh).all()


def test_looking_at_the_size_leaves_running_statistics_untouched():
    assert_untouched(build_model("wide_resnet_10_1", 10, image_size=32, seed=0))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_that_torch_would_fold_into_one_are_refused(seed):
    assert f"seed={seed}" in error_of("wide_resnet_10_1", seed=seed)


def test_a_numpy_integer_is_a_seed():
    build_model("wide_resnet_10_1", 10, image_size=32, seed=np.uint32(2**32 - 1))


# ---- what every model must do


@pytest.mark.parametrize(("name", "size"), [*((name, 32) for name in SMALL), *VISION.items()])
def test_plain_logits_gradients_everywhere_and_the_same_logits_alone_or_in_a_batch(name, size):
    model = build_model(name, 4, image_size=size, seed=0)
    batch = images(6, size)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # so that eval mode below normalizes by this batch, as after training

    logits = model(batch)
    assert type(logits) is torch.Tensor
    F.cross_entropy(logits, torch.arange(6) % 4).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key

    # In double precision: variances over few images are tiny, and dividing by them blows up rounding errors.
    model.double().eval()
    batch = batch.double()
    with torch.no_grad():
        together = model(batch)
        assert (together.std(0) > 1e-5).all()  # different images, different logits
        torch.testing.assert_close(model(batch[2:3]), together[2:3], rtol=1e-6, atol=1e-9)
        model.to(memory_format=torch.channels_last)
        last = model(batch.to(memory_format=torch.channels_last))
        torch.testing.assert_close(last, together, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", SMALL)
def test_ours_keep_channels_last_from_stem_to_pooling_and_train_in_it(name):
    model = build_model(name, 4, image_size=32, seed=0).to(memory_format=torch.channels_last)
    layouts = []
    for stage in model.stages:
        stage.register_forward_hook(
            lambda module, inputs, output: layouts.append(output.is_contiguous(memory_format=torch.channels_last))
        )
    model(images(4, 32).to(memory_format=torch.channels_last)).sum().backward()
    assert layouts == [True] * 3


@pytest.mark.parametrize(("name", "size"), [("wide_resnet_10_1", 1), ("densenet_bc_10_4", 4), ("resnext11_2x4d", 1)])
@pytest.mark.parametrize("larger", [0, 1, 26])
def test_ours_work_on_any_size_from_the_smallest(name, size, larger):
    model = build_model(name, 3, image_size=size + larger, seed=0)
    assert model(images(2, size + larger)).shape == (2, 3)


# ---- torchvision


def every_vision_model():
    """Every classification network of torchvision; slow unless it is one of the six that stand for the rest."""
    models = import_torchvision().models
    names = models.list_models(module=models)
    return [pytest.param(name, marks=() if name in VISION else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", every_vision_model())
def test_torchvision_models_build_at_their_own_size_with_the_published_parameters(name, monkeypatch):
    register = nn.Module.register_parameter

    def register_without_data(module, key, parameter):
        """Keep only the shape, so that 600 million weights are neither stored nor drawn."""
        register(module, key, None if parameter is None else nn.Parameter(parameter.to("meta")))

    monkeypatch.setattr(nn.Module, "register_parameter", register_without_data)
    weights = import_torchvision().models.get_model_weights(name).DEFAULT
    (size,) = weights.transforms().crop_size
    model = build_model(name, 1000, image_size=size, seed=0)
    auxiliary = 3_326_696 if name == "inception_v3" else 0  # published with its auxiliary classifier, built without
    assert count_parameters(model) == weights.meta["num_params"] - auxiliary


def test_transformers_follow_the_size_of_the_images():
    model = build_model("vit_b_16", 3, image_size=48, seed=0)
    assert model(images(2, 48)).shape == (2, 3)
    assert "48 and 64 are the nearest" in error_of("vit_b_16", image_size=50)
    assert "16 is the smallest" in error_of("vit_b_16", image_size=8)
    assert "224 is the smallest" in error_of("maxvit_t", image_size=32)


# ---- names


def test_model_names_are_unique_and_hold_ours_and_torchvisions():
    names = model_names()
    assert len(set(names)) == len(names)
    assert names[:3] == ("wide_resnet_16_4", "densenet_bc_100_12", "resnext29_4x64d")
    assert {"alexnet", "resnet18", "resnet50", "densenet121", "wide_resnet50_2", "resnext50_32x4d"} < set(names)
    assert not {"fasterrcnn_resnet50_fpn", "deeplabv3_resnet50", "raft_large"} & set(names)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("alexnett", "alexnet"),
        ("ResNet-18", "resnet18"),
        ("wide_resnet16_4", "wide_resnet_16_4"),
        ("wide_resnet_016_4", "wide_resnet_16_4"),
        ("densenet_bc_100", "densenet_bc_100_12"),
        ("resnext29_4x64", "resnext29_4x64d"),
        ("resnext50_4x64d", "resnext50_32x4d"),
        ("resnext101_4x64d", "resnext101_64x4d"),
        ("wide_resnet_16_0", "wide_resnet_16_4"),
    ],
)
def test_an_unknown_name_lists_the_near_ones(typed, meant):
    message = error_of(typed)
    assert repr(typed) in message
    assert meant in message
    assert "torchvision" in message
    assert "package.module:function" in message


@pytest.mark.parametrize("typed", ["", "zzzzzz", "wide_resnet_16_4\n"])
def test_odd_names_are_refused_in_one_line(typed):
    assert "unknown" in error_of(typed)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("wide_resnet_17_4", "16 and 22"),
        ("wide_resnet_4_4", "smallest is 10"),
        ("wide_resnet_3_4", "smallest is 10"),
        ("densenet_bc_101_12", "100 and 106"),
        ("densenet_bc_12_12", "10 and 16"),
        ("resnext30_4x64d", "29 and 38"),
        ("resnext2_4x64d", "smallest is 11"),
    ],
)
def test_an_impossible_depth_names_the_near_possible_ones(name, near):
    assert near in error_of(name)


@pytest.mark.parametrize("num_classes", [1, 0, -3])
def test_fewer_than_two_classes_are_refused(num_classes):
    assert f"num_classes={num_classes}" in error_of("alexnet", num_classes=num_classes)


# ---- images that are too small


@pytest.mark.parametrize(
    ("name", "size", "smallest"),
    [
        ("alexnet", 62, 63),
        ("squeezenet1_1", 1, 17),
        ("squeezenet1_1", 0, 17),
        ("squeezenet1_1", -5, 17),
        ("densenet121", 28, 29),
        ("densenet_bc_10_4", 3, 4),
        ("wide_resnet_10_1", 0, 1),
    ],
)
def test_images_too_small_name_the_smallest_size_that_works(name, size, smallest):
    message = error_of(name, image_size=size)
    assert f"{size}×{size}" in message
    assert f"is {smallest}×{smallest}" in message
    assert repr(name) in message


@pytest.mark.parametrize(("name", "smallest"), [("alexnet", 63), ("densenet121", 29), ("googlenet", 15)])
def test_the_smallest_size_is_the_truth_on_real_images(name, smallest):
    model = build_model(name, 3, image_size=smallest, seed=0)
    assert model(images(2, smallest)).isfinite().all()
    with pytest.raises(RuntimeError):
        model(images(2, smallest - 1))


# ---- a user's own

OWN = """
import collections
import torch
from torch import nn

def lazy(num_classes):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))

def pooled(num_classes):
    return nn.Sequential(nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Dropout(), nn.Linear(8, num_classes)).eval()

class Peeking(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.classifier = nn.Linear(3, num_classes)
    def forward(self, x):
        x = self.norm(x).mean((2, 3))
        return self.classifier(x if x.sum().item() > 0 else -x)

class Tuple(Peeking):
    def forward(self, x):
        x = x.mean((2, 3))
        return (self.classifier(x), x) if self.training else self.classifier(x)

class Fixed(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.classifier = nn.Linear(3 * 28 * 28, num_classes)
    def forward(self, x):
        return self.classifier(x.flatten(1))

def ten_whatever_is_asked(num_classes):
    return pooled(10)

def words(num_classes):
    return "a model"

def no_keyword(classes):
    return pooled(classes)

def raises(num_classes):
    raise RuntimeError("first line\\nsecond line")

number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of a user's in a package on the path; gives the prefix of its names."""
    package = tmp_path / "users_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "models.py").write_text(OWN)
    (package / "broken.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "users_package.models:"
    for module in [module for module in sys.modules if module.startswith("users_package")]:
        del sys.modules[module]


@pytest.mark.parametrize("function", ["pooled", "Peeking"])
def test_a_users_own_model_is_built_from_the_seed_and_in_train_mode(own, function):
    one, two, other = (build_model(own + function, 3, image_size=16, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(tensor, two.state_dict()[key]) for key, tensor in one.state_dict().items())
    last = list(one.state_dict())[-1]
    assert not torch.equal(one.state_dict()[last], other.state_dict()[last])
    assert_untouched(one)
    assert one(images(2, 16)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_package.models:f", ["no_such_package", "PYTHONPATH"]),
        ("users_package.broken:f", ["SyntaxError"]),
        ("users_package.models:nothing", ["has no 'nothing'"]),
        ("users_package.models:", ["has no ''"]),
        (":pooled", ["cannot import ''"]),
        ("users_package.models:number", ["not callable"]),
        ("users_package.models:words", ["str", "torch.nn.Module"]),
        ("users_package.models:no_keyword", ["num_classes"]),
        ("users_package.models:raises", ["first line"]),
        ("users_package.models:Tuple", ["a tuple in train mode", "(2, 3)"]),
        ("users_package.models:ten_whatever_is_asked", ["(2, 10)", "(2, 3)"]),
        ("users_package.models:Fixed", ["16×16"]),
        ("users_package.models:lazy", ["16×16", "uninitialized"]),
    ],
)
def test_what_is_wrong_with_a_users_own_model_is_said_in_one_line(own, name, words):
    message = error_of(name, num_classes=3, image_size=16)
    assert repr(name) in message
    for word in words:
        assert word in message


def test_importing_and_building_ours_does_not_import_torchvision():
    code = (
        "import sys; from easiness.architectures import build_model; "
        "build_model('wide_resnet_10_1', 10, image_size=32, seed=0); print('torchvision' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
