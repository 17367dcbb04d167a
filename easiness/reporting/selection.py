"""Selection of the runs that a report is made of, and of those that it passes over, with reasons."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zipfile import BadZipFile

from easiness.analysis.scores import EASINESS
from easiness.runs.ablate.reading import Ablation
from easiness.runs.match.reading import SCORE_BY, Matching
from easiness.runs.score.reading import Scores
from easiness.tracking import FLIPS, RunRecord, TrackingError

KINDS = ("score", "match", "ablate")

Result = Scores | Matching | Ablation

# What readers of json, csv, npy, npz and parquet raise at a damaged file, and readers of its content after them.
_DAMAGED = (ValueError, LookupError, TypeError, EOFError, OSError, BadZipFile)


@dataclass(frozen=True, eq=False)
class SelectedRun:
    """A run that is in the report, and what it found."""

    run: RunRecord
    result: Result


@dataclass(frozen=True)
class PassedOver:
    """A run that is not in the report, and the reason."""

    run: RunRecord
    reason: str


@dataclass(frozen=True)
class Selection:
    """Runs of a report by dataset, fingerprint, kind and model, and the others in the order they were found."""

    selected: list[SelectedRun]
    passed_over: list[PassedOver]


def select_runs(
    runs: Sequence[RunRecord], read: Callable[[RunRecord], Result], *, named: bool, score_by: str = EASINESS
) -> Selection:
    """Select the latest readable run of every kind, model and dataset, and each variant of an ablation.

    Parameters
    ----------
    runs : sequence of RunRecord
        The latest first; what is there twice counts once.
    read : callable
        Reads what a run left; FileNotFoundError says what is missing, most other errors what is damaged. A
        TrackingError is passed on: nothing can be said of that run.
    named : bool
        Whether a person named these runs: then all data are shown. Otherwise each dataset is shown with one
        fingerprint, the one that most finished runs have, and of several the latest.
    score_by : str
        Score that is shown: a matching by another one is passed over.
    """
    runs = list({run.run_id: run for run in runs}.values())
    reasons = {run.run_id: reason for run in runs if (reason := _unfit(run, score_by))}
    if not named:
        reasons |= _of_other_data([run for run in runs if run.run_id not in reasons])
    selected: dict[tuple[str, ...], SelectedRun] = {}
    for run in runs:
        if run.run_id in reasons:
            continue
        # Only ablations come in variants; of the others an older one need not be read.
        newer = selected.get((*_key(run), ""))
        try:
            result = newer.result if newer else read(run)
        except TrackingError:
            raise
        except FileNotFoundError as error:
            reasons[run.run_id] = f"an artifact is missing: {error}"
            continue
        except _DAMAGED as error:
            reasons[run.run_id] = f"an artifact cannot be read: {str(error) or type(error).__name__}"
            continue
        newer = selected.setdefault((*_key(run), getattr(result, "variant", "")), SelectedRun(run, result))
        if newer.run is not run:
            what = "data" if run.kind == "match" else "model"
            reasons[run.run_id] = f"older than run {newer.run.run_id} of the same {what}"
    return Selection(
        [selected[key] for key in sorted(selected)],
        [PassedOver(run, reasons[run.run_id]) for run in runs if run.run_id in reasons],
    )


def _unfit(run: RunRecord, score_by: str) -> str | None:
    if run.kind not in KINDS:
        return f"it is of kind {run.kind or 'unknown'!r}, and a report shows {', '.join(KINDS)}"
    if run.status != "FINISHED":
        return f"unfinished: its status is {run.status}"
    if run.kind == "score" and "easiness.common_random_numbers" in run.tags:
        return "made with common random numbers: a control, which match shows with common=ID,ID"
    if FLIPS in run.tags:
        return f"labels were flipped on purpose ({run.tags[FLIPS]}): a test of how well they are found"
    other = run.tags.get(SCORE_BY, EASINESS)
    if run.kind == "match" and other != score_by:
        return f"its sets are cut by {other}, and this page is by {score_by}; score_by={other} shows it"
    return None if run.fingerprint else "it does not say of which data it is"


def _of_other_data(runs: Sequence[RunRecord]) -> dict[str, str]:
    """Reasons of the runs whose fingerprint most runs of their dataset do not have."""
    shown: dict[str, str] = {}
    # Counted in the order of the runs, the latest first, so that it wins a tie.
    for (dataset, fingerprint), _ in Counter((run.dataset, run.fingerprint) for run in runs).most_common():
        shown.setdefault(dataset, fingerprint)
    return {
        run.run_id: f"other data: fingerprint {run.fingerprint[:12]}, and most runs of {run.dataset} have "
        f"{shown[run.dataset][:12]}; runs=ID,ID shows it"
        for run in runs
        if run.fingerprint != shown[run.dataset]
    }


def _key(run: RunRecord) -> tuple[str, ...]:
    # One matching holds all models of its data.
    model = "" if run.kind == "match" else run.model
    return (run.dataset, run.fingerprint, str(KINDS.index(run.kind)), model)
