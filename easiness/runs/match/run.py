"""A match run: how much score runs share, between models, between moments, and with scores made elsewhere."""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from easiness import tracking
from easiness.analysis.matching.sides import MatchOptions
from easiness.analysis.scores import EASINESS, SCORES, Score, easiness
from easiness.analysis.sets import set_size
from easiness.datasets import Dataset
from easiness.figures import Figure, save
from easiness.machine import usable_cores
from easiness.runs.checks import at_least, at_most, existing, one_of, processors, unused
from easiness.runs.match.comparable import open_common_runs, open_matched_runs, scored_models
from easiness.runs.match.external import POLARITIES, SUFFIXES, read_external_scores
from easiness.runs.match.figures import disagreement_figures, matching_figures
from easiness.runs.match.page import write_page
from easiness.runs.match.pictures import look_at_classes, reopen_dataset, shown_classes
from easiness.runs.match.reading import SCORE_BY, Matching, match_title
from easiness.runs.match.tables import MatchingResults, match_models, metric_curves
from easiness.runs.match.verdict import NONE, shared_starts, verdicts
from easiness.runs.public import absolute, logged_run, public
from easiness.runs.score.reading import Scores
from easiness.runs.score.tables import trials_needed_table
from easiness.runs.score.thumbnails import write_thumbnails
from easiness.tracking import DataDescription, MatchManifest

LOG = logging.getLogger("easiness")

# Each is a set of every example for every model and moment.
MOST_DRAWS = 100_000


@public
def match(
    runs: tuple[str, ...] = (),
    common: tuple[str, ...] = (),
    fraction: float = 0.1,
    draws: int = 200,
    seed: int = 0,
    threads: int | None = None,
    against: str | Path | None = None,
    against_column: str | None = None,
    against_polarity: str = "higher_is_harder",
    class_name: str | None = None,
    dataset: str | None = None,
    data: str | Path | Dataset | None = None,
    score_by: str = EASINESS,
) -> Matching:
    """Match the easy and hard examples of score runs: between models, moments, and with scores made elsewhere.

    Parameters
    ----------
    runs : tuple of str
        Ids of score runs; empty: the latest finished one of every model in the experiment, on the data scored last.
    common : tuple of str
        Ids of score runs made with common_random_numbers=true: matched with each other alone, as a control.
    fraction : float
        Share of the examples in the easy set, and in the hard set.
    draws : int
        Reweightings of the trials behind each interval.
    seed : int
        Seed of reweightings, ties and permutations.
    threads : int, optional
        One per processor if not given; they change the speed, never the result.
    against : path, optional
        File of scores made elsewhere: npz, csv, parquet or npy.
    against_column : str, optional
        Which of its columns; the only one of numbers if not given.
    against_polarity : str
        `higher_is_harder` or `higher_is_easier`.
    class_name : str, optional
        Class of Fig. 1 and Fig. 2; if not given, dog and horse on cifar10, elsewhere the first class.
    dataset : str, optional
        Which data these are, as in `score`: for the pictures of torchvision's, Hugging Face's or your function's data.
        A stored run names none that would be opened.
    data : path, optional
        Folder, table or archive that holds the images, for the pictures; not needed for built-in data. From Python
        also a `Dataset`.
    score_by : str
        Score that sets are cut by: easiness, el2n, aum (sign turned) or forgetting; higher = harder in all.

    Returns
    -------
    Matching
        Tables and verdicts, as `read_matching` reads them.
    """
    set_size(fraction, 2)
    at_least("draws", draws, 2)
    at_most("draws", draws, MOST_DRAWS)
    at_least("seed", seed, 0)
    processors("threads", threads)
    score = _matched_score(score_by)
    one_of("against_polarity", against_polarity, POLARITIES)
    existing("against", against, SUFFIXES)
    if not isinstance(data, Dataset):
        existing("data", data)
    if against is None:
        unused("against_column", against_column, "against names no file")
        given = None if against_polarity == POLARITIES[0] else against_polarity
        unused("against_polarity", given, "against names no file")
    for each in (*runs, *common):
        tracking.run_of_kind(each, "score")
    threads = usable_cores() if threads is None else threads
    options = MatchOptions(fraction=fraction, draws=draws, seed=seed, threads=threads)
    with logged_run("match", "match") as run_id, tempfile.TemporaryDirectory() as temporary:
        scores = open_matched_runs(run_id, runs, one_is_enough=against is not None)
        first = next(iter(scores.values()))
        manifest, table = first.manifest, first.table
        classes = shown_classes(manifest.opened_as, manifest.class_names, class_name)
        external = None
        if against is not None:
            path = Path(against).expanduser()
            external = read_external_scores(path, table, column=against_column, polarity=against_polarity)
        images = _find_images(first, dataset, data)
        models = scored_models(scores, Path(temporary), score_by)
        is_papers = manifest.opened_as == "cifar10" and score_by == EASINESS
        papers = {name: run.model for name, run in scores.items() if is_papers}
        controls = open_common_runs(first, common)
        _log_runs(run_id, scores, score)
        luck = scored_models(controls, Path(temporary), score_by)
        more = {"paper_models": papers, "external": external, "common": luck, "score_by": score_by}
        results = match_models(models, table, options, **more)
        counted = {run.manifest.numbered_by for run in scores.values()}
        numbered_by = "epoch" if counted == {"epoch"} else "scored moment"
        figures, diversity = matching_figures(results, numbered_by, score.by), None
        if images is not None:
            tables = {
                name: run.table.assign(score=easiness(model.losses[model.updates.index(run.manifest.moment)]))
                for (name, run), model in zip(scores.items(), models, strict=True)
            }
            resolution = manifest.recipe["resolution"]
            look = {"fraction": fraction, "seed": seed, "resolution": resolution, "unit": score.unit}
            moments = {name: f"{run.moment_name}{score.by}" for name, run in scores.items()}
            class_figures, diversity = look_at_classes(images, tables, classes, moments, **look)
            figures |= class_figures | disagreement_figures(results.disagreements, images, score.by)
        matching = Matching(
            **vars(results),
            run_id=run_id,
            manifest=_manifest(scores, results, options, {"numbered_by": numbered_by, "score_by": score_by}),
            diversity=diversity,
        )
        for sentence in shared_starts(matching.manifest.runs):
            LOG.warning("%s", sentence)
        folder = Path(temporary, "artifacts")
        _write_artifacts(folder, matching, figures, images)
        matching = replace(matching, manifest=tracking.log_results(run_id, folder, matching.manifest))
        tracking.log_epochs(run_id, metric_curves(matching))
        points = "\n".join(f"- {sentence}" for sentence in matching.sentences)
        note = f"{matching.title}.\n\n{points}\n\nArtifacts: `preview/index.html`, `matching.csv`, `table1.csv`."
        tracking.set_tags(run_id, {"mlflow.note.content": note})
    return matching


def _matched_score(name: str) -> Score:
    one_of("score_by", name, tuple(SCORES))
    if SCORES[name].held_out:
        raise ValueError(
            f"score_by is {name!r}, which match cannot judge: its intervals and ceilings are about trials that measure "
            "every image, and a held-out loss is of a fold alone; take easiness, el2n, aum or forgetting"
        )
    return SCORES[name]


def _log_runs(run_id: str, scores: Mapping[str, Scores], score: Score) -> None:
    first = next(iter(scores.values())).manifest
    source, classes = first.source or "built in", len(first.class_names)
    data = DataDescription(first.dataset, "train", source, first.fingerprint, first.examples, classes)
    tracking.log_data(run_id, data)
    tags = {
        "mlflow.runName": match_title(scores, first.dataset, score),
        "easiness.fingerprint": first.fingerprint,
        "easiness.dataset": first.dataset,
        SCORE_BY: score.name,
        "easiness.score_runs": ",".join(run.run_id for run in scores.values()),
    }
    tracking.set_tags(run_id, tags)


def _find_images(scores: Scores, word: str | None, data: str | Path | Dataset | None) -> Dataset | None:
    """Open the images of a score run again; a warning says where they are not found, unless the command names them."""
    source, named = scores.manifest.source, word is not None or data is not None
    if not named and source is not None:  # a place that a manifest names may be a stranger's choice
        LOG.warning("no pictures; data=PLACE says where the images are, which were scored at %s", source)
        return None
    data = absolute(data) if isinstance(data, str) else data
    try:
        return reopen_dataset(scores.manifest, scores.table, data, word)
    except (OSError, ValueError) as error:
        if named:
            raise
        LOG.warning("no pictures, the images are not found here: %s; data=PLACE says where they are", error)
        return None


def _manifest(
    scores: Mapping[str, Scores], results: MatchingResults, options: MatchOptions, named: Mapping[str, str]
) -> MatchManifest:
    first = next(iter(scores.values())).manifest
    manifest = MatchManifest(
        dataset=first.dataset,
        fingerprint=first.fingerprint,
        class_names=first.class_names,
        fraction=options.fraction,
        seed=options.seed,
        draws=options.draws,
        **named,
        runs=tuple(
            {
                "run_id": run.run_id,
                "model": name,
                "updates": run.manifest.updates,
                "trials": run.trials,
                "weights": run.manifest.recipe.get("weights", NONE),
                "recorded": run.manifest.recorded,
            }
            for name, run in scores.items()
        ),
        moment_overlaps=results.overlaps["global"],
        moment_overlaps_per_class=results.overlaps["per_class"],
        lengths={name: _length(run) for name, run in scores.items()},
        verdict=tuple(verdicts(results.pairs)),
        beyond_noise=tuple(results.beyond_noise.to_dict("records")),
    )
    return MatchManifest.from_json(manifest.to_json(), "")  # arrays as lists, as a reader gets them


def _length(run: Scores) -> dict[str, float | None]:
    """Epochs up to the last scored moment, and those of the whole training; None where recorded trials do not say."""
    epochs = None if run.per_epoch is None else round(run.manifest.updates[-1] / run.per_epoch, 2)
    return {"epochs": epochs, "schedule_epochs": run.manifest.recipe["schedule_epochs"]}


def _write_artifacts(folder: Path, matching: Matching, figures: Mapping[str, Figure], dataset: Dataset | None) -> None:
    (folder / "figures").mkdir(parents=True)
    (folder / "preview").mkdir()
    tables = {
        "matching": matching.pairs,
        "sensitivity": matching.sensitivity,
        "repeats": matching.repeats,
        "trials_needed": trials_needed_table(matching.repeats),
        "moments": matching.moments,
        "table1": matching.table1,
        "external": matching.external,
        "common": matching.common,
        "disagreement": matching.disagreements,
        "diversity": matching.diversity,
    }
    for name, table in tables.items():
        if table is not None:
            (folder / f"{name}.csv").write_text(tracking.to_csv(table), encoding="utf-8")
    paths = {name: save(figure, folder / "figures" / f"{name}.png") for name, figure in figures.items()}
    write_page(folder / "preview" / "index.html", matching, paths)
    if dataset is not None:
        disputed = np.flatnonzero(np.isin(dataset.example_ids, matching.disagreements["example_id"]))
        write_thumbnails(folder / "preview" / "thumbnails.npz", dataset, disputed)
