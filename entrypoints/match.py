"""Match the easy and hard examples of architectures: how much is shared beyond luck and class mix."""

import os
import tempfile
from pathlib import Path

import numpy as np

from easiness import tracking
from easiness.analysis.matching.sides import MatchOptions
from easiness.analysis.sets import set_size
from easiness.commandline import caller_path, command
from easiness.datasets import Dataset
from easiness.runs.match.external import read_external_scores
from easiness.runs.match.figures import disagreement_figures, matching_figures
from easiness.runs.match.files import matching_summary, write_matching
from easiness.runs.match.pictures import look_at_classes, reopen_dataset, shown_classes
from easiness.runs.match.results import MatchingResults, at_last_moment, match_models, metric_curves
from easiness.runs.match.runs import (
    log_matched_runs,
    model_names,
    numbered_by,
    open_matched_runs,
    paper_models,
    scored_models,
)
from easiness.runs.score.thumbnails import write_thumbnails


def match(
    runs: tuple[str, ...] = (),
    fraction: float = 0.1,
    draws: int = 200,
    seed: int = 0,
    threads: int | None = None,
    against: str | None = None,
    against_column: str | None = None,
    against_polarity: str = "higher_is_harder",
    class_name: str | None = None,
    data: str | None = None,
) -> None:
    """Match the easy and hard examples of score runs: between models, moments, and with scores made elsewhere.

    Parameters
    ----------
    runs : tuple of str
        Ids of score runs; empty: the latest finished one of every model in the experiment, on the data scored last.
    fraction : float
        Share of the examples in the easy set, and in the hard set.
    draws : int
        Reweightings of the trials behind each interval.
    seed : int
        Of reweightings, ties and permutations.
    threads : int, optional
        One per processor where none are given; they change the speed, never the result.
    against : str, optional
        File of scores made elsewhere: npz, csv or parquet.
    against_column : str, optional
        Which of its columns; the only one of numbers where none is given.
    against_polarity : str
        `higher_is_harder` or `higher_is_easier`.
    class_name : str, optional
        Class of Fig. 1 and Fig. 2; dog and horse on cifar10, elsewhere the first class, where none is given.
    data : str, optional
        Archive or folder that holds the images; where they were when they were scored, where none is given.
    """
    threads = (os.cpu_count() or 1) if threads is None else threads
    options = MatchOptions(fraction=fraction, draws=draws, seed=seed, threads=threads)
    with tracking.tracked_run("match", "match") as run_id, tempfile.TemporaryDirectory() as place:
        scores = open_matched_runs(run_id, runs, one_is_enough=against is not None)
        manifest, table = scores[0].manifest, scores[0].table
        set_size(fraction, len(table))
        classes = shown_classes(manifest["dataset"], tuple(manifest["class_names"]), class_name)
        external = None
        if against is not None:
            path = caller_path(against)
            external = read_external_scores(path, table, column=against_column, polarity=against_polarity)
        dataset = find_pictures(manifest, table["example_id"].to_numpy(), data)
        title = log_matched_runs(run_id, scores)
        results = match_models(
            scored_models(scores, Path(place)), table, options, paper_models=paper_models(scores), external=external
        )
        drawn, measured = matching_figures(results, numbered_by(scores)), {}
        if dataset is not None:
            look = {"fraction": fraction, "seed": seed, "resolution": manifest["recipe"]["resolution"]}
            tables = dict(zip(model_names(scores), (each.table for each in scores), strict=True))
            class_figures, measured = look_at_classes(dataset, tables, classes, **look)
            drawn |= class_figures | disagreement_figures(results.disagreements, dataset)
        summary = matching_summary(results, options, scores)
        folder = Path(place, "artifacts")
        write_matching(folder, results, drawn, measured, summary, title)
        if dataset is not None:
            disputed = np.flatnonzero(np.isin(dataset.example_ids, results.disagreements["example_id"]))
            write_thumbnails(folder / "preview" / "thumbnails.npz", dataset, disputed)
        tracking.log_folder(run_id, folder)
        tracking.log_epochs(run_id, metric_curves(results))
        sentences = [entry["sentence"] for entry in summary["verdict"]]
        tracking.set_tags(run_id, {"mlflow.note.content": note(title, sentences)})
        say(run_id, results, sentences)


def find_pictures(manifest: dict[str, object], example_ids: np.ndarray, data: str | None) -> Dataset | None:
    """Open the images of a score run again; without `data`, a line says so where they are not to be found."""
    source = data or manifest["source"]
    try:
        return reopen_dataset(manifest, example_ids, None if source is None else caller_path(source))
    except (OSError, ValueError) as error:
        if data is not None:
            raise
        print(f"no pictures, the images are not found here: {error}; data=PLACE says where they are")
        return None


def note(title: str, sentences: list[str]) -> str:
    """Description that the UI shows on the run's first page."""
    points = "\n".join(f"- {sentence}" for sentence in sentences)
    return f"{title}.\n\n{points}\n\nArtifacts: `preview/index.html`, `matching.csv`, `table1.csv`."


def say(run_id: str, results: MatchingResults, sentences: list[str]) -> None:
    """Print what a person wants to know next."""
    tables = {
        "matching rates at the last moment": at_last_moment(results.pairs),
        "first moment against the last (Table 1)": results.table1,
    }
    if results.external is not None:
        tables["against outside scores, at the last moment"] = at_last_moment(results.external)
    for name, table in tables.items():
        if len(table):
            print(f"\n{name}:\n{table.to_string(index=False, float_format='{:.3f}'.format, na_rep='')}")
    if sentences:
        print("\n" + "\n".join(sentences))
    print(f"\nrun id     {run_id}")
    print(f"artifacts  {tracking.artifact_place(run_id)}")
    print(f"open       {tracking.how_to_open()}")


if __name__ == "__main__":
    command(match)
