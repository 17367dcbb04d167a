"""Which score runs a matching is made of: found or named, and all of the same examples in the same order."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from easiness import tracking
from easiness.analysis.matching.sides import ScoredModel
from easiness.tracking import DataDescription, Scores


def open_matched_runs(run_id: str, wanted: Sequence[str] = (), *, one_is_enough: bool = False) -> list[Scores]:
    """Read the score runs that are to be matched, in the order of their models' names.

    Parameters
    ----------
    run_id : str
        Of the matching; score runs are looked for in its experiment.
    wanted : sequence of str
        Run ids. Without them: of the data that were scored last, the latest finished run of every model.
    one_is_enough : bool
        Whether a single run will do, which has no other to be matched with.

    Returns
    -------
    list of Scores

    Raises
    ------
    ValueError
        If there are too few runs, one is named twice, two were made of the same trial, or they are not of the same
        examples in the same order.
    """
    run_ids = list(wanted) or _latest_of_each_model(run_id)
    twice = [each for each, count in Counter(run_ids).items() if count > 1]
    if twice:
        raise ValueError(f"run {twice[0]} is named twice; a run matches itself wholly")
    scores = [tracking.load_scores(each) for each in run_ids]
    if len(scores) < 2 and not one_is_enough:
        (only,) = scores
        raise ValueError(
            f"matching needs at least two models, and there is one: {only.manifest.model} (run {only.run_id}); "
            "score another model on the same data, name runs with runs=ID,ID, or give outside scores with against=FILE"
        )
    refuse_differences(scores)
    refuse_shared_trials(scores)
    return sorted(scores, key=lambda each: (each.manifest.model, each.run_id))


def model_names(scores: Sequence[Scores]) -> list[str]:
    """What each run is called: its model, with the beginning of the run id where a model is there twice."""
    models = [each.manifest.model for each in scores]
    return [
        model if models.count(model) == 1 else f"{model} ({each.run_id[:8]})"
        for model, each in zip(models, scores, strict=True)
    ]


def scored_models(scores: Sequence[Scores], folder: Path) -> list[ScoredModel]:
    """Losses of every run, mapped from files in a folder.

    Raises
    ------
    FileNotFoundError
        If a trial has no losses.
    """
    models = []
    for name, each in zip(model_names(scores), scores, strict=True):
        place = folder / each.run_id
        place.mkdir()
        losses_TMN = each.measure("losses", mapped=place)
        models.append(ScoredModel(name, tuple(each.updates.tolist()), list(losses_TMN)))
    return models


def log_matched_runs(run_id: str, scores: Sequence[Scores]) -> str:
    """Log on a run what it is made of, and name it; returns the name."""
    manifest = scores[0].manifest
    title = f"match {', '.join(model_names(scores))} on {manifest.dataset}"
    data = DataDescription(
        manifest.dataset,
        "train",
        manifest.source or "built in",
        manifest.fingerprint,
        manifest.examples,
        len(manifest.class_names),
    )
    tags = {
        "mlflow.runName": title,
        "easiness.fingerprint": manifest.fingerprint,
        "easiness.dataset": manifest.dataset,
        "easiness.score_runs": ",".join(each.run_id for each in scores),
    }
    tracking.log_data(run_id, data)
    tracking.set_tags(run_id, tags)
    return title


def numbered_by(scores: Sequence[Scores]) -> str:
    """What the scored moments count: epochs, unless a recipe chose others."""
    return "scored moment" if any(each.manifest.recipe["score_at"] for each in scores) else "epoch"


def paper_models(scores: Sequence[Scores]) -> dict[str, str]:
    """Architecture behind each name on CIFAR-10, for which the paper prints numbers; empty on other data."""
    if scores[0].manifest.dataset != "cifar10":
        return {}
    return {name: each.manifest.model for name, each in zip(model_names(scores), scores, strict=True)}


def refuse_differences(scores: Sequence[Scores]) -> None:
    """Refuse runs that are not of the same examples in the same order, under the same polarity.

    Raises
    ------
    ValueError
        The message says what differs.
    """
    first = scores[0]
    for other in scores[1:]:
        pair = f"runs {_who(first)} and {_who(other)} cannot be matched"
        if first.manifest.fingerprint != other.manifest.fingerprint:
            raise ValueError(f"{pair}, their data differ: {', '.join(_differences(first, other))}")
        if first.manifest.polarity != other.manifest.polarity:
            raise ValueError(f"{pair}: {first.manifest.polarity} and {other.manifest.polarity}")
        for column in ("example_id", "label"):
            a, b = (each.table[column].to_numpy() for each in (first, other))
            if len(a) != len(b):
                raise ValueError(f"{pair}: they hold {len(a)} and {len(b)} examples")
            apart = np.flatnonzero(a != b)
            if len(apart):
                row = apart[0]
                raise ValueError(
                    f"{pair}, their orders differ: row {row} has {column} {a[row]} in the one and {b[row]} in the "
                    f"other, as have {len(apart) - 1} more rows"
                )


def refuse_shared_trials(scores: Sequence[Scores]) -> None:
    """Refuse runs that were made of the same trial, as a second scoring takes finished trials from the first.

    Raises
    ------
    ValueError
        The message names both runs and the trial.
    """
    owners: dict[str, Scores] = {}
    for each in scores:
        for trial in each.manifest.trials:
            owner = owners.setdefault(trial["run_id"], each)
            if owner is not each:
                raise ValueError(
                    f"runs {_who(owner)} and {_who(each)} cannot be matched: both were made of trial run "
                    f"{trial['run_id']}, whose noise they share; leave one of them out, or score with another seed"
                )


def _latest_of_each_model(run_id: str) -> list[str]:
    found = tracking.find_score_runs(run_id)
    if not found:
        raise ValueError(
            "there is no finished score run in this experiment; make some with -e score, or name runs with runs=ID,ID"
        )
    latest = {}
    for run in found:
        if run.fingerprint == found[0].fingerprint:
            latest.setdefault(run.model, run.run_id)
    others = {run.fingerprint: run for run in found if run.fingerprint != found[0].fingerprint}
    if others:
        names = ", ".join(f"{run.dataset} ({run.fingerprint[:12]})" for run in others.values())
        print(f"left out are score runs of other data: {names}; name runs with runs=ID,ID to match those")
    return list(latest.values())


def _who(scores: Scores) -> str:
    return f"{scores.run_id} ({scores.manifest.model})"


def _differences(first: Scores, other: Scores) -> list[str]:
    """What a person can see of two fingerprints that differ."""
    told = {
        "dataset": lambda manifest: manifest.dataset,
        "examples": lambda manifest: manifest.examples,
        "limit": lambda manifest: manifest.limit,
        "seed": lambda manifest: manifest.recipe["seed"],
        "source": lambda manifest: manifest.source,
        "classes": lambda manifest: len(manifest.class_names),
        "skipped files": lambda manifest: len(manifest.skipped),
        "fingerprint": lambda manifest: manifest.fingerprint[:12],
    }
    values = {name: (tell(first.manifest), tell(other.manifest)) for name, tell in told.items()}
    return [f"{name} {a} and {b}" for name, (a, b) in values.items() if a != b]
