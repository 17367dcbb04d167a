"""Suspicions of a label: every way of ranking the examples of one score run with folds, higher = more likely wrong.

All are computed from the same trainings: trial m left fold m mod K out, trained on the rest and measured all.
In-sample ones average the trials that trained on an example, held-out ones those that left it out.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from easiness import tracking
from easiness.analysis.folds import dense, held_out, mean_probabilities
from easiness.analysis.scores import SCORES, trial_scores
from easiness.architectures import build_model
from easiness.loaders import Staged
from easiness.runs.score.reading import Scores
from easiness.trials.trial_folder import HELD_OUT, measure_file

# Neighbours that vote; cleanlab's default for its own issues.
NEIGHBOURS = 10

# Suspicions by the trainings that saw an example; the others are by those that did not.
IN_SAMPLE = ("easiness", "EL2N", "margin", "AUM", "forgetting")

# Examples are ranked by cleanlab with these methods of `get_label_quality_scores`.
_CLEANLAB = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def in_sample(scores: Scores) -> Iterator[tuple[str, int, int, NDArray]]:
    """Name, number of trials that trained on each example, index of the moment, and suspicion (N,).

    margin: minus the mean margin at one moment. The others are `easiness.analysis.scores.SCORES`, which says what each
    is.
    """
    for score in (score for score in SCORES.values() if not score.held_out):
        for t, values_MN in enumerate(trial_scores(score.name, scores.measure(score.measure))):
            for count in range(1, len(values_MN) + 1):
                yield score.title, count, t, values_MN[:count].mean(axis=0)
    for t, margin_MN in enumerate(scores.measure("margin")):
        for count in range(1, len(margin_MN) + 1):
            yield "margin", count, t, -margin_MN[:count].mean(axis=0)


def out_of_fold(scores: Scores) -> Iterator[tuple[str, int, int, NDArray]]:
    """Name, number of rounds, index of the moment, and suspicion (N,), from trials that held each example out.

    held-out loss: its mean over rounds. cleanlab …: one minus its label quality, from the mean class probabilities;
    `find_label_issues`: a set (bool).
    """
    from cleanlab.filter import find_label_issues  # for `./test.sh` and these benchmarks alone
    from cleanlab.rank import get_label_quality_scores

    manifest, labels_N = scores.manifest, scores.table["label"].to_numpy()
    fold_N, folds = scores.table["fold"].to_numpy(), manifest.folds
    losses_TMN = tracking.read_trials(manifest.trial_runs, "losses", manifest.updates, manifest.fingerprint)
    for t, update in enumerate(manifest.updates):
        rounds = list(_probabilities(scores, update))
        for count in range(1, len(rounds) + 1):
            yield "held-out loss", count, t, held_out(losses_TMN[t], fold_N, folds)[:count].mean(axis=0)
            probabilities = dense(mean_probabilities(rounds[:count], len(manifest.class_names)), len(rounds[0].T))
            shares_NK = np.maximum(probabilities.astype(np.float64), 1e-6)
            shares_NK /= shares_NK.sum(axis=1, keepdims=True)
            for method in _CLEANLAB:
                quality_N = get_label_quality_scores(labels_N, shares_NK, method=method, adjust_pred_probs=False)
                yield f"cleanlab {method.replace('_', ' ')}", count, t, 1 - quality_N
            yield "cleanlab find_label_issues", count, t, find_label_issues(labels_N, shares_NK, n_jobs=1)


def _probabilities(scores: Scores, update: int) -> Iterator[NDArray]:
    """(N, K) class probabilities of every round at one moment."""
    manifest, fold_N = scores.manifest, scores.table["fold"].to_numpy()
    for start in range(0, len(manifest.trials), manifest.folds):
        whole_NK = np.zeros((len(fold_N), len(manifest.class_names)), np.float16)
        for trial in manifest.trials[start : start + manifest.folds]:
            folder = tracking.open_trial(trial["run_id"], manifest.fingerprint)
            whole_NK[fold_N == trial["fold"]] = folder.read(measure_file(HELD_OUT, update), np.load)
        yield whole_NK


def on_features(scores: Scores, staged: Staged) -> Iterator[tuple[str, int, NDArray]]:
    """Name, number of rounds and suspicion (N,) by simple models on the features of the final networks.

    Each is fitted to the examples that a network trained on, with the features before its last layer, and asked about
    those that it held out: logistic regression (minus the log of its share for the label), and the share of the nearest
    neighbours with another label.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    manifest, labels_N = scores.manifest, scores.table["label"].to_numpy()
    fold_N, folds = scores.table["fold"].to_numpy(), manifest.folds
    fits: dict[str, Callable] = {
        "logistic regression on features": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
        "nearest neighbours of features": lambda: make_pipeline(
            StandardScaler(), KNeighborsClassifier(NEIGHBOURS, metric="cosine")
        ),
    }
    totals = {name: np.zeros(len(labels_N)) for name in fits}
    for number, trial in enumerate(manifest.trials, 1):
        features_NF = _features(trial["run_id"], scores, staged)
        out = fold_N == trial["fold"]
        for name, make in fits.items():
            fitted = make().fit(features_NF[~out], labels_N[~out])
            column = {label: k for k, label in enumerate(fitted.classes_)}
            shares_nK = fitted.predict_proba(features_NF[out])
            # A class that no example of the others has gets nothing.
            own = [shares_nK[i, column[k]] if k in column else 0 for i, k in enumerate(labels_N[out])]
            share_n = np.maximum(np.array(own, np.float64), 1e-6)
            totals[name][out] += -np.log(share_n) if "regression" in name else 1 - share_n
        if number % folds == 0:
            yield from ((name, number // folds, total / (number // folds)) for name, total in totals.items())


@torch.no_grad()
def _features(run_id: str, scores: Scores, staged: Staged) -> NDArray[np.float32]:
    """(N, F) input of the last layer of a trial's network, for every example."""
    manifest, device = scores.manifest, torch.device("cpu")
    network, state = tracking.read_weights(run_id, lambda path: torch.load(path, weights_only=True))
    classes = len(manifest.class_names)
    model = build_model(network.model, classes, image_size=network.resolution, seed=0)
    model.load_state_dict(state)
    model.eval()
    last = [module for module in model.modules() if isinstance(module, nn.Linear) and module.out_features == classes]
    if not last:
        raise ValueError(f"model {network.model!r} has no linear layer of {classes} outputs; take another for features")
    kept = []
    last[-1].register_forward_pre_hook(lambda _, given: kept.append(given[0].flatten(1)))
    rows = []
    for batch in staged.open(device).score_batches():
        rows.append(batch.rows)
        model(batch.images)
    features_NF = torch.cat(kept).numpy()
    ordered_NF = np.empty_like(features_NF)
    ordered_NF[np.concatenate(rows)] = features_NF
    return ordered_NF
