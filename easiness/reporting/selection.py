"""Which runs a report is made of, and which it passes over and why."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zipfile import BadZipFile

from easiness.reporting.sources import Source
from easiness.tracking import RunRecord, TrackingError

KINDS = ("score", "match", "ablate")

# What readers of json, csv, npy, npz and parquet raise at a damaged file, and readers of its content after them.
_DAMAGED = (ValueError, LookupError, TypeError, EOFError, OSError, BadZipFile)


@dataclass(frozen=True)
class PassedOver:
    """A run that is not in the report, and the reason."""

    run: RunRecord
    reason: str


@dataclass(frozen=True)
class Choice:
    """What a report is made of.

    Attributes
    ----------
    taken : list of Source
        By dataset, fingerprint, kind and model.
    passed_over : list of PassedOver
        In the order of the runs.
    """

    taken: list[Source]
    passed_over: list[PassedOver]


def choose(runs: Sequence[RunRecord], read: Callable[[RunRecord], Source], *, named: bool) -> Choice:
    """Take the latest readable run of every kind, model and dataset.

    Parameters
    ----------
    runs : sequence of RunRecord
        The latest first; what is there twice counts once.
    read : callable
        Fetches what a run left; FileNotFoundError says what is missing, most other errors what is damaged.
    named : bool
        Whether a person named these runs: then all data are shown. Otherwise each dataset is shown with one
        fingerprint, the one that most finished runs have, and of several the latest.

    Returns
    -------
    Choice

    Raises
    ------
    TrackingError
        If the server does not give what a run left: nothing can be said of that run.
    """
    runs = list({run.run_id: run for run in runs}.values())
    reasons: dict[str, str] = {}
    candidates = []
    for run in runs:
        if run.kind not in KINDS:
            reasons[run.run_id] = f"it is of kind {run.kind or 'unknown'!r}, and a report shows {', '.join(KINDS)}"
        elif run.status != "FINISHED":
            reasons[run.run_id] = f"unfinished: its status is {run.status}"
        elif "easiness.fingerprint" not in run.tags:
            reasons[run.run_id] = "it does not say of which data it is"
        else:
            candidates.append(run)
    if not named:
        shown = _fingerprint_of_each_dataset(candidates)
        for run in candidates:
            wanted = shown[_dataset(run)]
            if _fingerprint(run) != wanted:
                reasons[run.run_id] = (
                    f"other data: fingerprint {_fingerprint(run)[:12]}, and most runs of {_dataset(run)} have "
                    f"{wanted[:12]}; runs=ID,ID shows it"
                )
    taken: dict[tuple[str, ...], Source] = {}
    for run in candidates:
        if run.run_id in reasons:
            continue
        # What has no variants need not be read to know that it is older.
        newer = taken.get((*_key(run), ""))
        try:
            source = newer or read(run)
            variant = source.variant
        except TrackingError:
            raise
        except FileNotFoundError as error:
            reasons[run.run_id] = f"an artifact is missing: {error}"
            continue
        except _DAMAGED as error:
            reasons[run.run_id] = f"an artifact cannot be read: {str(error) or type(error).__name__}"
            continue
        newer = taken.setdefault((*_key(run), variant), source)
        if newer.run is not run:
            what = "data" if run.kind == "match" else "model"
            reasons[run.run_id] = f"older than run {newer.run.run_id} of the same {what}"
    return Choice(
        [taken[key] for key in sorted(taken)],
        [PassedOver(run, reasons[run.run_id]) for run in runs if run.run_id in reasons],
    )


def _fingerprint_of_each_dataset(runs: Sequence[RunRecord]) -> dict[str, str]:
    counts = Counter((_dataset(run), _fingerprint(run)) for run in runs)
    shown: dict[str, str] = {}
    for run in runs:  # the latest first, so that it wins a tie
        dataset = _dataset(run)
        best = shown.setdefault(dataset, _fingerprint(run))
        if counts[dataset, _fingerprint(run)] > counts[dataset, best]:
            shown[dataset] = _fingerprint(run)
    return shown


def _key(run: RunRecord) -> tuple[str, ...]:
    order = str(KINDS.index(run.kind))
    # One matching holds all models of its data.
    model = "" if run.kind == "match" else run.tags.get("easiness.model", "")
    return (_dataset(run), _fingerprint(run), order, model)


def _dataset(run: RunRecord) -> str:
    return run.tags.get("easiness.dataset", "unknown")


def _fingerprint(run: RunRecord) -> str:
    return run.tags["easiness.fingerprint"]
