"""Loss, EL2N, margin and predicted label of every example, from one pass in eval mode without augmentation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch
from torch import nn

from easiness.loaders import Loader
from easiness.trials.distributed import ALONE, Ranks

# Images and labels to (5, B) `logit_metrics` and (B, K) float32 logits.
Measure = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class ExampleMetrics:
    """Metrics of N examples; all (N,) float32, in the dataset's order."""

    losses: np.ndarray  # cross-entropy in nats, at least 0; lower = easier
    el2n: np.ndarray  # Euclidean norm of (softmax − one-hot label), in [0, √2]; lower = easier (Paul et al. 2021)
    # Logit of the label minus the greatest other logit; higher = easier, above 0 = correct (Pleiss et al. 2020).
    margin: np.ndarray
    correct: np.ndarray  # 1 where the label has the greatest logit, else 0
    predicted: np.ndarray  # label with the greatest logit, 0 to K - 1


MEASURES = tuple(field.name for field in fields(ExampleMetrics))


@dataclass(frozen=True)
class HeldOutMetrics(ExampleMetrics):
    """Metrics of examples that the network was not trained on."""

    probabilities: np.ndarray  # (N, K) float16 softmax of the logits


def evaluate_examples(
    model: nn.Module,
    loader: Loader,
    *,
    measure: Measure | None = None,
    ranks: Ranks = ALONE,
    classes: int = 0,
) -> ExampleMetrics:
    """Metrics of every example under one model, as from `evaluate_networks`; FloatingPointError for NaN or infinity."""
    several = None if measure is None else [measure]
    (metrics,) = evaluate_networks([model], loader, measures=several, ranks=ranks, classes=classes)
    require_finite(metrics.losses)
    return metrics


@torch.no_grad()
def evaluate_networks(
    models: Sequence[nn.Module],
    loader: Loader,
    *,
    measures: Sequence[Measure] | None = None,
    ranks: Ranks = ALONE,
    classes: int = 0,
) -> list[ExampleMetrics]:
    """Metrics of every example under each of several models; each batch is decoded once, for all of them.

    They are computed in float32, and on the CPU equal to the bit to what each model gives alone; may hold NaN or
    infinity. `models` are on the loader's device, and their training modes are restored afterwards; `measures` are
    their `Steps.measure`, where a forward pass in float32 is not meant. `ranks` are processes that hold the same
    models: each evaluates its part of the batches, and gets all results. With their number of `classes`, they are
    `HeldOutMetrics`.
    """
    was_training = [model.training for model in models]
    measures = [partial(_measure, model) for model in models] if measures is None else measures
    for model in models:
        model.eval()
    # Metrics stay on the device until the end: fetching them batch by batch would make the device wait.
    rows, metrics, shares = [], [], []
    try:
        for batch in loader.score_batches(ranks):
            rows.append(batch.rows)
            for measure in measures:
                metrics_of_batch, logits_BK = measure(batch.images, batch.labels)
                metrics.append(metrics_of_batch)
                if classes:
                    shares.append(logits_BK.softmax(dim=1).half())
    finally:
        for model, training in zip(models, was_training, strict=True):
            model.train(training)
    results = np.zeros((len(models), len(MEASURES), loader.count), np.float32)
    probabilities = np.zeros((len(models), loader.count, classes), np.float32)
    for m in range(len(models) if metrics else 0):  # a process may have no batch
        results[m][:, np.concatenate(rows)] = torch.cat(metrics[m :: len(models)], dim=1).cpu().numpy()
        if classes:
            probabilities[m, np.concatenate(rows)] = torch.cat(shares[m :: len(models)]).cpu().numpy()
    ranks.all_reduce(torch.from_numpy(results))
    if not classes:
        return [ExampleMetrics(*result) for result in results]
    ranks.all_reduce(torch.from_numpy(probabilities))
    half = probabilities.astype(np.float16)
    return [HeldOutMetrics(*result, shares_NK) for result, shares_NK in zip(results, half, strict=True)]


def _measure(model: nn.Module, images_BCHW: torch.Tensor, labels_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    logits_BK = model(images_BCHW).float()
    return logit_metrics(logits_BK, labels_B), logits_BK


def require_finite(losses_N: np.ndarray) -> None:
    """Raise FloatingPointError if a loss is NaN or infinite, with the number of such losses."""
    bad = ~np.isfinite(losses_N)
    if bad.any():
        raise FloatingPointError(f"the loss of {bad.sum()} of {len(bad)} examples is NaN or infinite")


def logit_metrics(logits_BK: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
    """(5, B) float32 for (B, K) float32 logits and (B,) int64 labels: the fields of `ExampleMetrics`, in their order.

    Predicted labels, as float32, are exact up to 2**24.
    """
    column = labels_B[:, None]
    of_label = logits_BK.gather(1, column)
    ahead_BK = (logits_BK - of_label).scatter(1, column, float("-inf"))
    # The loss is log(1 + exp(gap)). Taken as a difference of logarithms, or 1 - p, what is below 6e-8 would be rounded
    # away beside the one, and the easiest examples of a well trained network would tie at zero.
    gap = ahead_BK.logsumexp(dim=1)
    losses = nn.functional.softplus(gap).masked_fill(of_label[:, 0].isinf(), float("nan"))
    # The label's error, 1 - p, is the sum of all others': drawn out of the norm, it leaves shares of order one, where
    # squares of the errors themselves would underflow.
    el2n = gap.sigmoid() * (1 + ahead_BK.softmax(dim=1).square().sum(dim=1)).sqrt()
    predicted = logits_BK.argmax(dim=1)
    correct = (predicted == labels_B).float()
    return torch.stack([losses, el2n, -ahead_BK.amax(dim=1), correct, predicted.float()])
