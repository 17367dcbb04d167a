"""Decisions of a review: labels of a training set that are replaced, and examples that are left out of it."""

import difflib
import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from easiness.datasets.columns import ID, read_columns
from easiness.datasets.dataset import Dataset
from easiness.datasets.image_files import printable

LOG = logging.getLogger("easiness")

KINDS = ("keep", "remove", "relabel")
DECISIONS_SUFFIXES = (".csv",)

# Label of an example that is left out.
REMOVED = -1

_TEXT = ("file", "decision", "label", "given_label", "fingerprint")
_NEAREST = 5
# Files that a wrong name is compared with: those of its folder, or the first so many of all.
_COMPARED = 20_000


@dataclass(frozen=True, eq=False)
class Decisions:
    """Rows of one file, each column (n,), in its order; a column that the file lacks is None."""

    path: Path
    content: bytes  # of the file
    kinds: np.ndarray  # str, one of `KINDS`
    labels: np.ndarray  # str, name of the new class where it is to be relabelled, else empty
    files: np.ndarray | None  # str, `Dataset.sources`
    ids: np.ndarray | None  # int64, `Dataset.example_ids`
    given: np.ndarray | None  # str, name of the class that was judged
    fingerprint: str  # of the data that were judged; empty if the file does not say

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def sha256(self) -> str:
        """Checksum (hex) of the file."""
        return hashlib.sha256(self.content).hexdigest()

    def refusal(self, row: int, problem: str) -> ValueError:
        """Error that names the file, the row and the example."""
        example = self.ids[row] if self.files is None else printable(self.files[row])
        return ValueError(f"{self.path}, row {row + 1} ({example}): {problem}")


@dataclass(frozen=True, eq=False)
class Listing:
    """All examples that decisions may name: those of the whole training set, and the files of the validation set."""

    sources: np.ndarray  # (N,) str
    labels: np.ndarray  # (N,) int64
    class_names: tuple[str, ...]
    example_ids: np.ndarray | None  # (N,) int64; None where they are not known, or may be others
    sources_val: Sequence[str] | np.ndarray


def read_decisions(path: Path) -> Decisions:
    """Read the csv of a review: example_id, file, decision, label, given_label and fingerprint.

    It needs `decision`, `label`, and `file` or `example_id`. A ValueError if it is not such a file, has an example
    twice, or is of several data sets.
    """
    columns = read_columns(path, DECISIONS_SUFFIXES, "decisions", _TEXT)
    words = {name: columns.values.get(name) for name in _TEXT}
    missing = [name for name in ("decision", "label") if words[name] is None]
    if words["file"] is None and columns.ids is None:
        missing.append(f"file or {ID}")
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; give the decisions.csv of a review page")
    kinds = words["decision"]
    if not len(kinds):
        raise ValueError(f"{path} decides nothing: it has no rows")
    fingerprints = sorted(set([] if words["fingerprint"] is None else words["fingerprint"].tolist()))
    if len(fingerprints) > 1:
        short = ", ".join(fingerprint[:12] or "none" for fingerprint in fingerprints)
        raise ValueError(f"{path} has decisions on data of several fingerprints ({short}); give those of one review")
    decisions = Decisions(
        path,
        path.read_bytes(),
        kinds,
        words["label"],
        words["file"],
        columns.ids,
        words["given_label"],
        fingerprints[0] if fingerprints else "",
    )
    for row, (kind, label) in enumerate(zip(kinds, words["label"], strict=True)):
        if kind not in KINDS:
            raise decisions.refusal(row, f"decision is {kind!r}, and must be one of {', '.join(KINDS)}")
        if (kind == "relabel") != bool(label):
            raise decisions.refusal(row, f"label is {label!r} with decision {kind}; relabel alone has one")
    _refuse_repeated_files(decisions)
    return decisions


def _refuse_repeated_files(decisions: Decisions) -> None:
    counts = Counter([] if decisions.files is None else decisions.files.tolist())
    for file, _ in (item for item in counts.most_common(1) if item[1] > 1):
        rows = np.flatnonzero(decisions.files == file)
        said = " and ".join(f"{decisions.kinds[row]} {decisions.labels[row]}".rstrip() for row in rows[:2])
        raise decisions.refusal(rows[1], f"it is decided twice ({said}); decide every example once")


def decided_labels(decisions: Decisions, listing: Listing) -> np.ndarray:
    """(N,) int64 label of every listed example, `REMOVED` where it is to be left out.

    Examples are found by their file where there is that column, else by their id. What is decided of files in the
    validation set is left out with a warning: decisions are on training images. A ValueError for unknown files, ids and
    labels, with the nearest names, for an id that is another example's, or a label that is not the one that was judged.
    """
    labels_N = listing.labels.copy()
    row_of = {name: row for row, name in enumerate(_keys(decisions, listing))}
    label_of = {name: label for label, name in enumerate(listing.class_names)}
    names_val, in_val = set(listing.sources_val), 0
    known = row_of.keys() | names_val
    for number, key in enumerate(decisions.ids.tolist() if decisions.files is None else decisions.files.tolist()):
        name = key if decisions.files is None else _unquoted(key, known)
        if name in names_val and name not in row_of:
            in_val += 1
            continue
        if name not in row_of:
            raise decisions.refusal(number, f"it is not in these data; {_nearest_files(key, listing)}")
        row = row_of[name]
        _refuse_other_example(decisions, number, listing, row)
        if decisions.kinds[number] == "remove":
            labels_N[row] = REMOVED
        elif decisions.kinds[number] == "relabel":
            wanted = _unquoted(decisions.labels[number], label_of)
            if wanted not in label_of:
                near = difflib.get_close_matches(wanted, listing.class_names, _NEAREST, cutoff=0)
                raise decisions.refusal(number, f"label {wanted!r} is not a class; the nearest are {', '.join(near)}")
            labels_N[row] = label_of[wanted]
    if in_val:
        LOG.warning(
            "%s: %s of %s decisions are on validation images, which stay as they are",
            decisions.path,
            f"{in_val:,}",
            f"{len(decisions):,}",
        )
    return labels_N


def decide(
    train: Dataset, decisions: Decisions, whole: Dataset, sources_val: Sequence[str] | np.ndarray = ()
) -> Dataset:
    """Training set with the decided labels and without the removed examples.

    `train` is the part of the `whole` training set that is used. Decisions on the rest of it, and on files of the
    validation set, change nothing and are counted in a line. A ValueError as of `decided_labels`, or if a class loses
    its last example, or if the decisions were made for other data: another fingerprint is accepted, with a warning,
    where all decided files are there with the labels that were judged, since a review may have seen another part of the
    same images.
    """
    known = {train.fingerprint, whole.fingerprint}
    elsewhere = bool(decisions.fingerprint) and decisions.fingerprint not in known
    short = f"{decisions.fingerprint[:12]}, and these data have {train.fingerprint[:12]}"
    if elsewhere and (decisions.files is None or decisions.given is None):
        raise ValueError(f"{decisions.path} was made for data with fingerprint {short}; give the data that were judged")
    # Another split of the same files numbers them otherwise; then files and given labels tell.
    ids = None if elsewhere else whole.example_ids
    listing = Listing(whole.sources, whole.labels, whole.class_names, ids, sources_val)
    try:
        labels_N = decided_labels(decisions, listing)
    except ValueError as error:
        raise ValueError(f"{error} (made for data with fingerprint {short})" if elsewhere else error) from None
    if elsewhere:
        LOG.warning(
            "%s was made for data with fingerprint %s; used, since all its files are here, with the labels that were "
            "judged",
            decisions.path,
            short,
        )
    used_N, changed_N, removed_N = np.isin(whole.example_ids, train.example_ids), labels_N != whole.labels, labels_N < 0
    counts = [int((used_N & rows).sum()) for rows in (changed_N & ~removed_N, removed_N)]
    LOG.info(
        "%s: %s relabelled, %s removed; %s changes are of examples that are not in this part of the data",
        decisions.path,
        *(f"{count:,}" for count in (*counts, changed_N.sum() - sum(counts))),
    )
    return _relabelled(train, labels_N[used_N], decisions.path)


def _relabelled(train: Dataset, labels_N: np.ndarray, path: Path) -> Dataset:
    left = np.bincount(labels_N[labels_N != REMOVED], minlength=train.num_classes)
    emptied = np.flatnonzero((left == 0) & (np.bincount(train.labels, minlength=train.num_classes) > 0))
    if len(emptied):
        raise ValueError(f"{path} leaves no example of class {printable(train.class_names[emptied[0]])}; keep some")
    changed_N = labels_N != train.labels
    groups = None if train.groups is None else np.where(changed_N, "relabelled", train.groups)
    relabelled = replace(train, labels=np.where(labels_N == REMOVED, train.labels, labels_N), groups=groups)
    rows = np.flatnonzero(labels_N != REMOVED)
    return relabelled if len(rows) == len(train) else relabelled.subset(rows)


def _keys(decisions: Decisions, listing: Listing) -> list[object]:
    """Name of every listed example, as the rows of the file give it."""
    if decisions.files is not None:
        return listing.sources.tolist()
    if listing.example_ids is None:
        raise ValueError(f"{decisions.path} has no column file, by which images are found here")
    return listing.example_ids.tolist()


def _refuse_other_example(decisions: Decisions, number: int, listing: Listing, row: int) -> None:
    """Refuse a row whose id or given label is not that of the example which it names."""
    if decisions.files is not None and decisions.ids is not None and listing.example_ids is not None:
        said, found = decisions.ids[number], listing.example_ids[row]
        if said != found:
            raise decisions.refusal(
                number,
                f"{ID} is {said}, and that file is {found} here; take the data that were judged, or leave out the "
                f"column {ID} if the files are the same",
            )
    if decisions.given is not None:
        found = listing.class_names[listing.labels[row]]
        if found != _unquoted(decisions.given[number], (found,)):
            raise decisions.refusal(
                number, f"given_label is {decisions.given[number]!r}, and it is {found!r} here; judge it again"
            )


def _unquoted(text: str, known: object) -> str:
    """Text without the apostrophe by which tables keep spreadsheets from running it."""
    return text[1:] if text[:1] == "'" and text not in known and text[1:] in known else text


def _nearest_files(name: object, listing: Listing) -> str:
    if not isinstance(name, str):
        return f"its {len(listing.sources):,} examples have ids up to {listing.example_ids.max()}"
    folder = str(PurePosixPath(name).parent)
    sources = listing.sources.tolist()
    beside = [source for source in sources if str(PurePosixPath(source).parent) == folder]
    near = difflib.get_close_matches(name, (beside or sources)[:_COMPARED], _NEAREST, cutoff=0)
    return f"the nearest are {', '.join(map(printable, near))}"
