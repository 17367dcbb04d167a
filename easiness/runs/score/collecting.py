"""A score run of trials that are there already: recorded in loops of their users, or trained by score runs."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from easiness import tracking
from easiness.analysis.sets import set_size
from easiness.datasets import Dataset
from easiness.recipes.recorded import RecordedTraining, scored_each_epoch
from easiness.recipes.schedule import early_update, moment_name
from easiness.runs.checks import at_least, one_of
from easiness.runs.public import logged_run, public
from easiness.runs.score.log import Measured, log_scores
from easiness.runs.score.outliers import name_outliers, refuse_outliers
from easiness.runs.score.reading import Scores, load_scores, refuse_flipped
from easiness.runs.score.recorded import FinishedTrial, read_recorded
from easiness.runs.score.tables import other_scores, score_table
from easiness.runs.score.thumbnails import StoredPictures
from easiness.tracking import DataDescription, ScoreManifest, TrialManifest

LOG = logging.getLogger("easiness")


@public
def collect(
    runs: tuple[str, ...] = (),
    model: str | None = None,
    name: str | None = None,
    moment: int | None = None,
    fraction: float = 0.1,
    per_class: bool = False,
    allow_outliers: bool = False,
) -> Scores:
    """Make a score run of trials that are there already: recorded by `easiness.Recorder`, or of finished score runs.

    Parameters
    ----------
    runs : tuple of str
        Ids of trial runs: of the same data, scored after the same updates, each another training.
    model : str, optional
        Name of the network; needed where the trials have several.
    name : str, optional
        Name of the data; needed where the trials have several.
    moment : int, optional
        Updates after which easiness is taken for the table; the end of epoch 5 if not given, or the last scored moment
        before it; needed where updates per epoch are not known.
    fraction : float
        Share of the examples in the easy set, and in the hard set.
    per_class : bool
        Take that share of every class, instead of the whole.
    allow_outliers : bool
        Average in a trial that stands apart from the others (blew up, or learnt nothing), with a warning.

    Returns
    -------
    Scores
        Table and arrays, as `load_scores` reads them.
    """
    if not runs:
        raise ValueError("runs is not given; say which trial runs to collect, with runs=ID,ID")
    set_size(fraction, 2)
    at_least("moment", moment, 0)
    trials = [open_finished(run_id) for run_id in runs]
    _refuse_unlike(trials)
    training = _training(trials, {"model": model, "dataset": name})
    updates, first = trials[0].manifest.updates, trials[0]
    moment = _moment(updates, training.updates_per_epoch) if moment is None else moment
    one_of("moment", moment, updates)
    data = replace(first.data, name=training.dataset, images=_pictures(trials))
    named = moment_name(moment, training.updates_per_epoch, training.schedule_epochs)
    title = f"{training.model} on {training.dataset}"
    covers = "" if training.content else ", which does not cover their content"
    description = (
        f"{title}: {len(data):,} examples of {data.num_classes} classes (fingerprint {first.manifest.fingerprint[:12]}"
        f"{covers}); {len(trials)} collected trials, scored after {', '.join(map(str, updates))} updates"
    )
    LOG.info(description)
    with logged_run("score", f"{title}, {named}") as run_id:
        _log_data(run_id, training, data, first.manifest.fingerprint)
        measured_TMN, predicted_TMN = (
            tracking.read_trials(runs, measure, updates, first.manifest.fingerprint)
            for measure in ("losses", "predicted")
        )
        position = updates.index(moment)
        apart = name_outliers([trial.name for trial in trials], measured_TMN[position], data.labels)
        refuse_outliers(apart, allow=allow_outliers)
        table = score_table(
            data,
            measured_TMN[position],
            fraction=fraction,
            per_class=per_class,
            seed=training.seed,
            predicted_MN=predicted_TMN[position],
        )
        until = updates[: position + 1]
        fingerprint = first.manifest.fingerprint
        table = table.assign(**other_scores(lambda name: tracking.read_trials(runs, name, until, fingerprint)))
        cut = {"moment": moment, "fraction": fraction, "per_class": per_class, "allow_outliers": allow_outliers}
        manifest = _manifest(run_id, trials, training, data, cut)
        return log_scores(run_id, manifest, Measured(title, description, data, table, measured_TMN))


def open_finished(run_id: str) -> FinishedTrial:
    """Open a finished trial: a recorded one, or one of a finished score run, which has the table of its examples."""
    (run,) = tracking.runs_by_id([run_id])
    if run.kind not in ("trial", "train") or run.status != "FINISHED":
        raise ValueError(
            f"run {run_id} is of kind {run.kind!r} and {run.status}; collect takes finished runs of kind 'trial'"
        )
    artifacts, manifest = tracking.read_trial(run_id)
    return read_recorded(artifacts, manifest) or _of_score_run(run_id, run.tags.get("mlflow.parentRunId"), manifest)


def _of_score_run(run_id: str, parent: str | None, manifest: TrialManifest) -> FinishedTrial:
    """Trial of a finished score run whose trials were trained on all examples, with seeds of their own."""
    (owner,) = tracking.runs_by_id([parent]) if parent else [None]
    if owner is None or owner.kind != "score" or owner.status != "FINISHED":
        raise ValueError(
            f"trial run {run_id} is not of a finished score run, which would have the labels of its examples; finish "
            "that run with the same command, and collect then"
        )
    scores = load_scores(parent)
    refuse_flipped(scores, "collect")
    told, recipe, table = scores.manifest, scores.manifest.recipe, scores.table
    for name, value in (("folds", told.folds), ("common_random_numbers", recipe["common_random_numbers"])):
        if value:
            raise ValueError(
                f"trial run {run_id} was made with {name}={value}, and collect takes trials that were trained on all "
                "examples, with seeds of their own"
            )
    ids_N = table["example_id"].to_numpy(np.int64)
    columns = {name: table[name].to_numpy(str) for name in ("duplicates", "group") if name in table}
    data = Dataset(
        told.dataset,
        "train",
        StoredPictures(ids_N, scores.thumbnails),
        table["label"].to_numpy(np.int64),
        told.class_names,
        table["source"].to_numpy(str),
        ids_N,
        # Their content is covered by the fingerprint, and nobody kept the digests: here each differs from all others.
        np.arange(2 * len(table), dtype=np.uint64).view(np.uint8).reshape(-1, 16),
        columns.get("group"),
        columns.get("duplicates"),
    )
    vars(data)["fingerprint"] = manifest.fingerprint
    training = {"model": told.model, "dataset": told.dataset, "content": True, "weights": recipe["weights"]}
    training |= {"updates_per_epoch": scores.per_epoch, "schedule_epochs": recipe["schedule_epochs"]}
    return FinishedTrial(
        run_id, manifest, training, data, told.fingerprint_val, (recipe["seed"], told.model, manifest.trial)
    )


def _refuse_unlike(trials: Sequence[FinishedTrial]) -> None:
    """Refuse trials of other data, of other scored updates, with the same seeds, and the same training twice."""
    first, seen, seeds = trials[0], {}, {}
    for trial in trials:
        for what in ("fingerprint", "updates"):
            a, b = (getattr(each.manifest, what) for each in (first, trial))
            if a != b:
                raise ValueError(f"{first.name} and {trial.name} cannot be collected: their {what} differ, {a} and {b}")
        last = f"losses/updates={trial.manifest.updates[-1]:06d}.npy"
        other = seen.setdefault(trial.manifest.checksums[last]["sha256"], trial)
        if other is not trial:
            raise ValueError(
                f"{other.name} and {trial.name} have the same losses: they are one training; give each once"
            )
        if trial.seeds is not None and (other := seeds.setdefault(trial.seeds, trial)) is not trial:
            raise ValueError(
                f"{other.name} and {trial.name} have the same seeds, and shared luck would count as agreement; leave "
                "one of them out"
            )


def _training(trials: Sequence[FinishedTrial], given: dict[str, str | None]) -> RecordedTraining:
    """What is known of all trainings: the values that all trials share."""
    known: dict[str, object] = {}
    for name in trials[0].training:
        values = list(dict.fromkeys(trial.training[name] for trial in trials))
        known[name] = given.get(name) or (values[0] if len(values) == 1 else None)
        if known[name] is None and name in ("model", "dataset", "weights"):
            option = {"dataset": "name"}.get(name, name)
            hint = "; collect trials that start alike" if name == "weights" else f"; say which with {option}="
            raise ValueError(f"the trials have several {option}: {', '.join(map(str, values))}{hint}")
    updates, per_epoch = trials[0].manifest.updates, known["updates_per_epoch"]
    return RecordedTraining(
        **known,
        trials=len(trials),
        epochs=None if per_epoch is None else round(updates[-1] / per_epoch, 2),
        score_at=() if scored_each_epoch(updates, per_epoch) else updates,
    )


def _moment(updates: tuple[int, ...], per_epoch: int | None) -> int:
    if len(updates) > 1 and per_epoch is None:
        raise ValueError(
            f"moment is not given, and the end of epoch 5 is not known, since the trials say no updates_per_epoch; say "
            f"moment= one of {', '.join(map(str, updates))}"
        )
    return updates[0] if len(updates) == 1 else early_update(updates, per_epoch)


def _pictures(trials: Sequence[FinishedTrial]) -> StoredPictures:
    """All pictures that the trials kept."""
    files = {example_id: file for trial in trials for example_id, file in trial.data.images.files.items()}
    return StoredPictures(trials[0].data.example_ids, files)


def _log_data(run_id: str, training: RecordedTraining, data: Dataset, fingerprint: str) -> None:
    tracking.log_settings(run_id, training.settings())
    description = DataDescription(data.name, "train", "collected", fingerprint, len(data), data.num_classes)
    tracking.log_data(run_id, description)
    tags = {"fingerprint": fingerprint, "recipe_digest": training.digest(), "model": training.model}
    tags |= {"dataset": data.name} | ({} if training.weights == "none" else {"weights": training.weights})
    tracking.set_tags(run_id, {f"easiness.{name}": value for name, value in tags.items()})


def _manifest(
    run_id: str, trials: Sequence[FinishedTrial], training: RecordedTraining, data: Dataset, cut: dict[str, object]
) -> ScoreManifest:
    validated = {trial.fingerprint_val for trial in trials}
    manifest = ScoreManifest(
        run_id=run_id,
        dataset=data.name,
        fingerprint=trials[0].manifest.fingerprint,
        fingerprint_val=validated.pop() if len(validated) == 1 else None,
        source=None,
        limit=None,
        data_seed=None,
        examples=len(data),
        trained=len(data),
        skipped=(),
        class_names=data.class_names,
        model=training.model,
        recipe=training.settings(),
        recipe_digest=training.digest(),
        updates=trials[0].manifest.updates,
        trials=tuple(
            {"trial": trial.manifest.trial, "run_id": trial.run_id, "digest": trial.manifest.digest, "fold": None}
            for trial in trials
        ),
        code=tracking.code_versions(run_id),
        **cut,
    )
    return ScoreManifest.from_json(manifest.to_json(), run_id)  # lists where a reader gets lists
