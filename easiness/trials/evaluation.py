"""Loss, EL2N, margin and predicted label of every example, from one pass in eval mode without augmentation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import nn

from easiness.loaders import Loader
from easiness.trials.distributed import ALONE, Ranks

Logits = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class ExampleMetrics:
    """What one pass over N examples gives; all (N,) float32, in the dataset's order.

    Attributes
    ----------
    losses : numpy.ndarray
        Cross-entropy in nats, at least 0; lower = easier.
    el2n : numpy.ndarray
        Euclidean norm of (softmax − one-hot label), in [0, √2]; lower = easier (Paul et al. 2021).
    margin : numpy.ndarray
        Logit of the label minus the greatest other logit; higher = easier, above 0 = correct (Pleiss et al. 2020).
    correct : numpy.ndarray
        1 where the label has the greatest logit, else 0.
    predicted : numpy.ndarray
        Label with the greatest logit, 0 to K - 1.
    """

    losses: np.ndarray
    el2n: np.ndarray
    margin: np.ndarray
    correct: np.ndarray
    predicted: np.ndarray


MEASURES = tuple(field.name for field in fields(ExampleMetrics))


def evaluate_examples(
    model: nn.Module, loader: Loader, *, logits: Logits | None = None, ranks: Ranks = ALONE
) -> ExampleMetrics:
    """Measure every example of a loader under the model as it is.

    Parameters
    ----------
    model : torch.nn.Module
        On the loader's device; its training mode is restored afterwards.
    loader : Loader
        Of N examples.
    logits : callable, optional
        What gives the logits of the model, where it is not the model itself.
    ranks : Ranks
        Processes that hold the same model; each measures a share of the batches, and gets all results.

    Returns
    -------
    ExampleMetrics
        Computed in float32, whatever the network computes in.

    Raises
    ------
    FloatingPointError
        If a loss is NaN or infinite.
    """
    (measurements,) = evaluate_networks([model], loader, logits=None if logits is None else [logits], ranks=ranks)
    require_finite(measurements)
    return measurements


@torch.no_grad()
def evaluate_networks(
    models: Sequence[nn.Module],
    loader: Loader,
    *,
    logits: Sequence[Logits] | None = None,
    ranks: Ranks = ALONE,
) -> list[ExampleMetrics]:
    """Measure every example under each of several models: each batch is decoded once and seen by all of them.

    Parameters
    ----------
    models : sequence of torch.nn.Module
        On the loader's device; their training modes are restored afterwards.
    loader : Loader
        Of N examples.
    logits, ranks
        As in `evaluate_examples`, the former for each model.

    Returns
    -------
    list of ExampleMetrics
        In the order of `models`; on the CPU equal to the bit to what each gives alone. May hold NaN or infinity.
    """
    was_training = [model.training for model in models]
    logits = models if logits is None else logits
    for model in models:
        model.eval()
    # What is measured stays on the device until the end: fetched at once, every batch would wait for the one before.
    rows, measured = [], []
    try:
        for batch in ranks.shard_batches(loader.score_batches()):
            rows.append(batch.rows)
            measured.append(torch.stack([logit_metrics(each(batch.images).float(), batch.labels) for each in logits]))
    finally:
        for model, training in zip(models, was_training, strict=True):
            model.train(training)
    results = np.zeros((len(models), len(MEASURES), loader.count), np.float32)
    if measured:
        results[:, :, np.concatenate(rows)] = torch.cat(measured, dim=2).cpu().numpy()
    ranks.all_reduce(torch.from_numpy(results))
    return [ExampleMetrics(*result) for result in results]


def require_finite(measurements: ExampleMetrics) -> None:
    """Refuse losses that are NaN or infinite.

    Raises
    ------
    FloatingPointError
        It says how many.
    """
    bad = ~np.isfinite(measurements.losses)
    if bad.any():
        raise FloatingPointError(f"the loss of {bad.sum()} of {len(bad)} examples is NaN or infinite")


def logit_metrics(logits_BK: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
    """Rows of `ExampleMetrics` for one batch.

    Parameters
    ----------
    logits_BK : torch.Tensor
        (B, K) float32.
    labels_B : torch.Tensor
        (B,) int64.

    Returns
    -------
    torch.Tensor
        (5, B) float32: losses, EL2N, margin, correct, predicted label (whole numbers up to 2**24 are exact).
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
