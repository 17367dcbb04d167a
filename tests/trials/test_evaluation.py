import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from easiness.architectures import build_model
from easiness.loaders import Batch, stage_resident
from easiness.trials.evaluation import MEASURES, evaluate_examples, logit_metrics
from tests.tiny_data import MODEL, tiny_dataset, tiny_recipe

CPU = torch.device("cpu")


def tiny_loader(count=21):
    recipe = tiny_recipe()
    return stage_resident(tiny_dataset(count), tiny_dataset(9, split="val"), recipe, None)[0].open(CPU)


def trained_model(classes=3):
    """Weights far enough from the start that losses are spread; statistics of batches that were really seen."""
    model = build_model(MODEL, classes, image_size=12, seed=0).to(memory_format=torch.channels_last)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        for _ in range(3):
            model(torch.randn(32, 3, 12, 12) * 2)
        for parameter in model.parameters():
            parameter.data.mul_(2)
    return model


def slow_measures(logits, label):
    """One example, as the definitions say, in float64; a sum of small terms is never lost beside a one."""
    logits = np.asarray(logits, np.float64)
    others = np.delete(logits, label)
    above = others.max()
    gap = above + np.log(np.exp(others - above).sum()) - logits[label]
    loss = np.log1p(np.exp(gap)) if gap < 30 else gap
    errors = np.exp(logits - logits.max())
    errors /= errors.sum()
    errors[label] = -1 / (1 + np.exp(-gap)) if gap > -700 else 0.0
    return loss, np.sqrt((errors**2).sum()), logits[label] - above, float(logits[label] > above), float(logits.argmax())


def test_measures_equal_the_slow_reference_one_example_at_a_time():
    model, dataset = trained_model(), tiny_dataset(300)
    found = evaluate_examples(model, tiny_loader(300))
    model.eval()
    images = dataset.images.astype(np.float64)
    for row in range(300):
        image = (images[row] - images[row].mean()) / images[row].std()
        with torch.no_grad():
            logits = model(torch.tensor(image, dtype=torch.float32).permute(2, 0, 1)[None])[0].numpy()
        expected = slow_measures(logits, dataset.labels[row])
        measured = [getattr(found, measure)[row] for measure in MEASURES]
        np.testing.assert_allclose(measured, expected, rtol=2e-4, atol=2e-5)


def test_all_measures_are_float32_of_every_example():
    found = evaluate_examples(trained_model(), tiny_loader(131))
    assert MEASURES == ("losses", "el2n", "margin", "correct", "predicted")
    for measure in MEASURES:
        assert getattr(found, measure).shape == (131,)
        assert getattr(found, measure).dtype == np.float32
    np.testing.assert_array_equal(found.correct, found.margin > 0)
    assert 0 < found.correct.mean() < 1


logit = st.floats(-50, 50, width=32)


@given(st.lists(logit, min_size=2, max_size=12), st.data())
def test_logits_are_measured_as_defined(logits, data):
    label = data.draw(st.integers(0, len(logits) - 1))
    found = logit_metrics(torch.tensor([logits], dtype=torch.float32), torch.tensor([label]))[:, 0].double().numpy()
    loss, el2n, margin, correct, predicted = slow_measures(np.array(logits, np.float32), label)
    # Differences of logits up to 100 are known to 8e-6, and no loss can be known better than that, relatively.
    assert found[0] == pytest.approx(loss, rel=5e-5, abs=1e-37)
    assert found[1] == pytest.approx(el2n, rel=5e-5, abs=1e-37)
    assert found[2] == pytest.approx(margin, rel=1e-6)
    if margin != 0:
        assert found[3] == correct
    assert logits[int(found[4])] == max(logits)
    if logits.count(max(logits)) == 1:
        assert found[4] == predicted


def test_the_easiest_examples_are_told_apart():
    # Beside a one, float32 loses what is below 6e-8: losses of a well trained network would tie at 0.
    gaps = torch.arange(5.0, 45.0, 0.25)
    logits = torch.stack([gaps, torch.zeros_like(gaps), torch.zeros_like(gaps)], dim=1)
    losses, el2n, margin, *_ = logit_metrics(logits, torch.zeros(len(gaps), dtype=torch.int64))
    for values in (losses, el2n, -margin):
        assert (values.diff() < 0).all()
    np.testing.assert_allclose(losses, np.log1p(2 * np.exp(-gaps.double().numpy())), rtol=1e-5)


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([1e4, -1e4, 0.0], (0.0, 0.0, 1e4, 1)),
        ([-1e4, 1e4, 0.0], (2e4, 2**0.5, -2e4, 0)),
        ([-1e4, 1e4, 1e4], (2e4 + np.log(2), 1.5**0.5, -2e4, 0)),
        ([1e4, 1e4, 1e4], (np.log(3), (2 / 3) ** 0.5, 0, 1)),
        ([-1e4, -1e4, -2e4], (np.log(2), 0.5**0.5, 0, 1)),
        ([1e38, -1e38, 0.0], (0.0, 0.0, 1e38, 1)),
    ],
)
def test_extreme_logits_are_finite_and_right(logits, expected):
    found = logit_metrics(torch.tensor([logits]), torch.tensor([0]))[:, 0].numpy()
    np.testing.assert_allclose(found[:4], expected, rtol=1e-6, atol=1e-7)


def test_two_classes_are_enough():
    found = logit_metrics(torch.tensor([[1.0, 3.0]]), torch.tensor([0]))[:, 0].numpy()
    np.testing.assert_allclose(found, slow_measures([1.0, 3.0], 0), rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_measuring_is_in_eval_mode_and_leaves_no_trace(training):
    model = trained_model().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    noise = torch.random.get_rng_state()
    first, second = (evaluate_examples(model, tiny_loader()) for _ in range(2))
    np.testing.assert_array_equal(first.losses, second.losses)  # no dropout
    assert all(module.training == training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(noise, torch.random.get_rng_state())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_mode_is_restored_after_a_failure():
    class Failing(nn.Module):
        def forward(self, images):
            raise ZeroDivisionError

    model = Failing().train()
    with pytest.raises(ZeroDivisionError):
        evaluate_examples(model, tiny_loader())
    assert model.training


def test_memory_format_moves_nothing_but_rounding():
    model, loader = trained_model(), tiny_loader(100)
    last = evaluate_examples(model, loader)
    plain = evaluate_examples(model.to(memory_format=torch.contiguous_format), loader)
    for measure in MEASURES[:3]:
        np.testing.assert_allclose(getattr(last, measure), getattr(plain, measure), rtol=1e-4, atol=1e-5)


class Fixed(nn.Module):
    """Says what it was told, in the precision it was told it in."""

    def __init__(self, logits_NK):
        super().__init__()
        self.logits_NK, self.next = logits_NK, 0

    def forward(self, images):
        part = self.logits_NK[self.next : self.next + len(images)]
        self.next += len(images)
        return part


def test_losses_of_half_precision_logits_are_computed_in_float32():
    logits = torch.tensor([[10.0, 0.0, 0.0]] * 21, dtype=torch.bfloat16)
    found = evaluate_examples(Fixed(logits), tiny_loader())
    label_0 = found.losses[tiny_dataset().labels == 0]
    np.testing.assert_allclose(label_0, np.log1p(2 * np.exp(-10)), rtol=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_loss_that_is_no_number_is_refused_and_counted(bad):
    logits = torch.zeros(21, 3)
    logits[4, 1] = logits[17, 0] = bad
    with pytest.raises(FloatingPointError, match="the loss of 2 of 21 examples is NaN or infinite"):
        evaluate_examples(Fixed(logits), tiny_loader())


def test_label_that_is_ruled_out_is_refused_and_another_class_ruled_out_is_fine():
    logits = torch.zeros(21, 3)
    logits[0, 2] = float("-inf")  # of label 0
    assert evaluate_examples(Fixed(logits), tiny_loader()).losses[0] == pytest.approx(np.log(2))
    logits[0, 0] = float("-inf")
    with pytest.raises(FloatingPointError, match="the loss of 1 of 21 examples is NaN"):
        evaluate_examples(Fixed(logits), tiny_loader())


@dataclasses.dataclass
class Shuffled:
    """A loader that hands out its examples in another order, as it may."""

    count: int = 10

    def score_batches(self, part):
        for rows in (np.array([9, 2, 4]), np.array([0]), np.array([1, 3, 5, 6, 7, 8])):
            yield Batch(torch.zeros(len(rows), 3, 2, 2), torch.zeros(len(rows), dtype=torch.int64), rows, len(rows))


def test_every_example_gets_its_own_measure_whatever_the_order_of_the_loader():
    order = [9, 2, 4, 0, 1, 3, 5, 6, 7, 8]
    logits = torch.tensor([[float(row), 0.0, 0.0] for row in order])
    np.testing.assert_array_equal(evaluate_examples(Fixed(logits), Shuffled()).margin, np.arange(10))
