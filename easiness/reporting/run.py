"""A report run: a page with tables and figures of finished runs, written into a folder and logged."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from easiness import tracking
from easiness.analysis.scores import EASINESS, SCORES
from easiness.figures.text_fit import file_name
from easiness.reporting.assembly import assemble
from easiness.reporting.selection import KINDS, PassedOver, Result, SelectedRun, select_runs
from easiness.reporting.writing import check_folder, write_report
from easiness.runs.ablate.reading import read_ablation
from easiness.runs.checks import one_of
from easiness.runs.match.reading import read_matching
from easiness.runs.public import logged_run, public
from easiness.runs.score.reading import load_scores
from easiness.tracking import RunRecord

_READERS = {"match": read_matching, "ablate": read_ablation}


@dataclass(frozen=True, eq=False)
class Report:
    """A report in its folder (index.html, figures, tables, manifest.json), and the runs that are in it and not."""

    run_id: str
    folder: Path
    selected: list[SelectedRun]
    passed_over: list[PassedOver]

    @property
    def page(self) -> Path:
        """The page."""
        return self.folder / "index.html"

    def summary(self) -> str:
        """Runs that were selected and passed over, and the place of the page, for a terminal."""
        nothing = "there is nothing to show: no finished score, match or ablate run was found"
        lines = [] if self.selected else [nothing]
        lines += [f"selected     {entry.run.kind:<7} {entry.run.run_id}  {entry.run.name}" for entry in self.selected]
        lines += [f"passed over  {entry.run.kind:<7} {entry.run.run_id}  {entry.reason}" for entry in self.passed_over]
        return "\n".join([*lines, f"\npage       {self.page.absolute()}", tracking.whereabouts(self.run_id)])

    def _repr_html_(self) -> str:
        address = self.page.absolute().as_uri()
        return f'<p><a href="{address}">{self.page}</a> of {len(self.selected)} runs</p>'


@public
def report(
    experiment: tuple[str, ...] = (),
    runs: tuple[str, ...] = (),
    name: str | None = None,
    folder: str | Path | None = None,
    score_by: str = EASINESS,
) -> Report:
    """Make a page with tables and figures from finished score, match and ablate runs; nothing is trained.

    Parameters
    ----------
    experiment : tuple of str
        Names of the experiments whose runs are shown; if none is given, the one that the report runs in.
    runs : tuple of str
        Ids of the runs to show instead: score, match and ablate runs.
    name : str, optional
        Name of the report's own folder; that of the first experiment if not given.
    folder : path, optional
        Folder of all reports; `reports` in the current folder if not given.
    score_by : str
        Score that the page shows: easiness, el2n, aum (sign turned), forgetting or heldout, of score and match runs;
        an ablation is shown whatever its score, and names it.

    Returns
    -------
    Report
        Its folder, and the runs that it is made of.
    """
    one_of("score_by", score_by, tuple(SCORES))
    if experiment and runs:
        raise ValueError(f"experiment is {','.join(experiment)!r} and runs names {len(runs)} runs; give one of the two")
    reports = check_report(name, folder)
    records = tracking.runs_by_id(runs) or [run for each in experiment for run in tracking.runs_of_kind(each, KINDS)]
    with logged_run("report", "report") as run_id:
        own = tracking.experiment_of(run_id)
        if not (experiment or runs):
            records = tracking.runs_of_kind(own, KINDS)
        name = name or file_name((*experiment, own)[0])
        latest_first = sorted(records, key=lambda run: -run.started)
        read = partial(_read, score_by=score_by)
        selection = select_runs(latest_first, read, named=bool(runs), score_by=score_by)
        place = reports / name
        write_report(place, assemble(selection, f"Easy and hard examples{SCORES[score_by].by}: {name}"))
        tracking.log_folder(run_id, place)
        lines = [f"- {entry.run.kind}: {entry.run.name} ({entry.run.run_id})" for entry in selection.selected]
        note = "Artifacts: `index.html`, `tables/`, `figures/`, `scores/`, `manifest.json`.\n\n" + "\n".join(
            lines or ["No runs."]
        )
        tracking.set_tags(
            run_id, {"mlflow.runName": f"report {name}{SCORES[score_by].by}", "mlflow.note.content": note}
        )
    return Report(run_id, place, selection.selected, selection.passed_over)


def check_report(name: str | None, folder: str | Path | None = None) -> Path:
    """Folder of all reports; refuse a name that is not that of a folder in it, or of one that holds something else."""
    reports = Path(folder or "reports").expanduser()
    if name is not None and name != file_name(name):
        raise ValueError(
            f"name is {name!r}, and must be letters, digits, dots, dashes and underscores, 100 at most; "
            f"{file_name(name)} would do"
        )
    if reports.exists() and not reports.is_dir():
        raise NotADirectoryError(f"folder is {reports}, and is not a folder")
    if name is not None:
        check_folder(reports / name)
    return reports


def _read(run: RunRecord, score_by: str = EASINESS) -> Result:
    """Read all that a report shows of a run, so that what is missing or damaged is known before the page is made."""
    result = load_scores(run.run_id).by(score_by) if run.kind == "score" else _READERS[run.kind](run.run_id)
    for name in ("thumbnails", "predicted_MN", "pictures"):
        getattr(result, name, None)
    return result
