"""Make the page, the tables and the figures of an experiment from what its runs left on the tracking server."""

import re
from pathlib import Path

from easiness import tracking
from easiness.commandline import command
from easiness.reporting import Report, assemble, write_report
from easiness.reporting.selection import KINDS, choose
from easiness.reporting.sources import read_source

REPORTS = Path("reports")


def report(experiment: tuple[str, ...] = (), runs: tuple[str, ...] = (), name: str | None = None) -> None:
    """Make a page with tables and figures from finished score, match and ablate runs; nothing is trained.

    Parameters
    ----------
    experiment : tuple of str
        Names of the experiments whose runs are shown; the one that the report runs in, where none is given.
    runs : tuple of str
        Ids of the runs to show instead: score, match and ablate runs.
    name : str, optional
        Of the folder in reports/; that of the first experiment where none is given.
    """
    if experiment and runs:
        raise ValueError(f"experiment is {','.join(experiment)!r} and runs names {len(runs)} runs; give one of the two")
    with tracking.tracked_run("report", "report") as run_id:
        experiments = experiment or (tracking.experiment_of(run_id),)
        name = name or re.sub(r"[^\w.-]+", "-", experiments[0]).strip("-.") or "report"
        if not re.fullmatch(r"[\w-][\w.-]*", name):
            raise ValueError(f"name is {name!r}, and must be letters, digits, dots, dashes and underscores")
        found = tracking.runs_by_id(runs) or [run for each in experiments for run in tracking.runs_of_kind(each, KINDS)]
        choice = choose(sorted(found, key=lambda run: -run.started), read_source, named=bool(runs))
        made = assemble(choice, f"Easy and hard examples: {name}")
        write_report(REPORTS / name, made)
        tracking.log_folder(run_id, REPORTS / name)
        tracking.set_tags(run_id, {"mlflow.runName": f"report {name}", "mlflow.note.content": note(made)})
    say(run_id, made, REPORTS / name)


def note(made: Report) -> str:
    """Description that the UI shows on the run's first page."""
    lines = [f"- {source.run.kind}: {source.run.name} ({source.run.run_id})" for source in made.choice.taken]
    return "Artifacts: `index.html`, `tables/`, `figures/`, `manifest.json`.\n\n" + "\n".join(lines or ["No runs."])


def say(run_id: str, made: Report, folder: Path) -> None:
    """Print what was taken, what was passed over, and where the page is."""
    if not made.choice.taken:
        print("there is nothing to show: no finished score, match or ablate run was found")
    for source in made.choice.taken:
        print(f"taken        {source.run.kind:<7} {source.run.run_id}  {source.run.name}")
    for each in made.choice.passed_over:
        print(f"passed over  {each.run.kind:<7} {each.run.run_id}  {each.reason}")
    print(f"\npage       {folder.absolute() / 'index.html'}\nrun id     {run_id}")
    print(f"artifacts  {tracking.artifact_place(run_id)}\nopen       {tracking.how_to_open()}")


if __name__ == "__main__":
    command(report)
