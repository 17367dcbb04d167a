"""Score runs that can be matched: of the same examples in the same order, and made of different trials."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from easiness import tracking
from easiness.analysis.matching.sides import ScoredModel
from easiness.analysis.scores import EASINESS
from easiness.runs.score.reading import Scores, load_scores, refuse_flipped
from easiness.tracking import ScoreManifest

LOG = logging.getLogger("easiness")


def open_matched_runs(run_id: str, wanted: Sequence[str] = (), *, one_is_enough: bool = False) -> dict[str, Scores]:
    """Read the score runs to be matched, by name: the model, with the beginning of the run id where it is there twice.

    Parameters
    ----------
    run_id : str
        Match run, in whose experiment score runs are looked for.
    wanted : sequence of str
        Run ids. Without them: of the data that were scored last, the latest finished run of every model.
    one_is_enough : bool
        Whether a single run will do, which has no other to be matched with.

    Raises
    ------
    ValueError
        If there are too few runs, one is given twice, two share trials or seeds, or they are not of the same examples
        in the same order.
    """
    run_ids = list(wanted) or _latest_of_each_model(run_id)
    for repeated in (run_id for run_id, count in Counter(run_ids).items() if count > 1):
        raise ValueError(f"run {repeated} is given twice; give different runs")
    scores = [_open(run_id) for run_id in run_ids]
    if len(scores) < 2 and not one_is_enough:
        (only,) = scores
        raise ValueError(
            f"matching needs at least two models, and there is one: {only.model} (run {only.run_id}); score another "
            "model on the same data, name runs with runs=ID,ID, or give outside scores with against=FILE"
        )
    for other in scores[1:]:
        _refuse_differences(scores[0], other)
    _refuse_shared_luck(scores)
    models = Counter(run.model for run in scores)
    scores.sort(key=lambda run: (run.model, run.run_id))
    return {run.model if models[run.model] == 1 else f"{run.model} ({run.run_id[:8]})": run for run in scores}


def open_common_runs(first: Scores, wanted: Sequence[str]) -> dict[str, Scores]:
    """Read score runs with common random numbers, by model: a control, of the examples of the `first` matched run.

    Raises
    ------
    ValueError
        If one has other examples or own seeds, they are not of different models, or do not share their seeds.
    """
    controls: dict[str, Scores] = {}
    for run in map(_open, wanted):
        _refuse_differences(first, run)
        if not run.manifest.recipe["common_random_numbers"]:
            raise ValueError(
                f"run {_name(run)} was made with seeds of its own; common= takes runs that were scored with "
                "common_random_numbers=true, others belong to runs="
            )
        other = controls.setdefault(run.model, run)
        if other is not run:
            raise ValueError(f"runs {_name(other)} and {_name(run)} of common= are of one model; give different models")
    seeds = {run.manifest.recipe["seed"] for run in controls.values()}
    if len(seeds) > 1:
        raise ValueError(
            f"the runs of common= have seeds {', '.join(map(str, sorted(seeds)))}; give runs with the same"
        )
    if len(controls) == 1:
        raise ValueError(f"common= has one run, {wanted[0]}; a control needs two models")
    return dict(sorted(controls.items()))


def scored_models(scores: Mapping[str, Scores], folder: Path, score_by: str = EASINESS) -> list[ScoredModel]:
    """Losses of every run, or another score of its trials, mapped from files in a folder."""
    models = []
    for name, run in scores.items():
        (folder / run.run_id).mkdir()
        values_TMN = run.trial_scores(score_by, mapped=folder / run.run_id)
        models.append(ScoredModel(name, run.manifest.updates, list(values_TMN)))
    return models


def _open(run_id: str) -> Scores:
    scores = load_scores(run_id)
    refuse_flipped(scores, "match")
    return scores


def _latest_of_each_model(run_id: str) -> list[str]:
    # Runs with common random numbers are a control, matched where they are named; those with flipped labels a test.
    apart = {"easiness.common_random_numbers", tracking.FLIPS}
    runs = [run for run in tracking.find_score_runs(run_id) if not apart & run.tags.keys()]
    if not runs:
        raise ValueError(
            "there is no finished score run in this experiment; make some with -e score, or name runs with runs=ID,ID"
        )
    same = [run for run in runs if run.fingerprint == runs[0].fingerprint]
    others = {run.fingerprint: f"{run.dataset} ({run.fingerprint[:12]})" for run in runs if run not in same}
    if others:
        LOG.warning(
            "left out are score runs of other data: %s; name runs with runs=ID,ID to match those",
            ", ".join(others.values()),
        )
    latest: dict[str, str] = {}
    for run in same:
        latest.setdefault(run.model, run.run_id)
    return list(latest.values())


def _refuse_differences(first: Scores, other: Scores) -> None:
    """Refuse runs of other examples, or in another order."""
    pair = f"runs {_name(first)} and {_name(other)} cannot be matched"
    a, b = first.manifest, other.manifest
    if a.fingerprint != b.fingerprint:
        data_b = _data_of(b)
        apart = [f"{name} {value} and {data_b[name]}" for name, value in _data_of(a).items() if value != data_b[name]]
        raise ValueError(f"{pair}, their data differ: {', '.join(apart)}")
    for column in ("example_id", "label"):
        a_N, b_N = (run.table[column].to_numpy() for run in (first, other))
        if len(a_N) != len(b_N):
            raise ValueError(f"{pair}: they hold {len(a_N)} and {len(b_N)} examples")
        rows = np.flatnonzero(a_N != b_N)
        if len(rows):
            row = rows[0]
            raise ValueError(
                f"{pair}, their orders differ: row {row} has {column} {a_N[row]} in the one and {b_N[row]} in the "
                f"other, as have {len(rows) - 1} more rows"
            )


def _refuse_shared_luck(scores: Sequence[Scores]) -> None:
    """Refuse runs that share a trial, or the seeds of one: luck that both had would count as agreement."""
    trials: dict[str, Scores] = {}
    seeds: dict[tuple[object, ...], Scores] = {}
    for run in scores:
        recipe = run.manifest.recipe
        architecture = "" if recipe["common_random_numbers"] else run.model
        for trial in run.manifest.trials:
            owner = trials.setdefault(trial["run_id"], run)
            if owner is not run:
                raise ValueError(
                    f"runs {_name(owner)} and {_name(run)} cannot be matched: both were made of trial run "
                    f"{trial['run_id']}, whose noise they share; leave one of them out, or score with another seed"
                )
            if run.manifest.recorded:  # their seeds are not known
                continue
            owner = seeds.setdefault((recipe["seed"], architecture, trial["trial"]), run)
            if owner is not run:
                why = "common_random_numbers=true" if not architecture else "the same model and seed"
                raise ValueError(
                    f"runs {_name(owner)} and {_name(run)} cannot be matched: trial {trial['trial']} of both has the "
                    f"same seeds ({why}), and shared luck would count as agreement; score one with another seed"
                )


def _name(scores: Scores) -> str:
    return f"{scores.run_id} ({scores.model})"


def _data_of(manifest: ScoreManifest) -> dict[str, object]:
    """What a person can see of a fingerprint."""
    return {
        "dataset": manifest.dataset,
        "examples": manifest.examples,
        "limit": manifest.limit,
        "data_seed": manifest.data_seed,
        "source": manifest.source,
        "classes": len(manifest.class_names),
        "skipped files": len(manifest.skipped),
        "fingerprint": manifest.fingerprint[:12],
        "content covered": manifest.recipe.get("content", True),
    }
