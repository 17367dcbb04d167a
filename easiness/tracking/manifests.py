"""Typed manifests: the json files that describe the contents of a run. docs/contract.md describes the fields."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from easiness.files import Checksum
from easiness.tracking.contract import SCHEMA

# Tag of a run with the SHA-256 of its manifest, which has those of all else: set last, it says that all is there.
SEAL = "easiness.manifest"


def to_json(value: object) -> str:
    """Json of nested data: arrays as lists, numbers that json does not know as null."""
    return json.dumps(_plain(value), indent=1, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Base of all manifests; `FILE` is the artifact, whose keys are the fields in their order.

    `checksums` has the size and the SHA-256 of every other artifact of the run, by its path.
    """

    FILE: ClassVar[str]

    schema: int = SCHEMA
    checksums: dict[str, Checksum] = field(default_factory=dict)

    def to_json(self) -> str:
        """Text of the file."""
        return to_json({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    @classmethod
    def from_json(cls, text: str, run_id: str) -> Self:
        """Read the text of the file; lists become tuples, but for those in nested data."""
        where = f"{cls.FILE} of run {run_id}"
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{where} is not json: {error}") from error
        schema = content.get("schema") if isinstance(content, dict) else None
        if schema != SCHEMA:
            raise ValueError(f"{where} has schema {schema}, and this version reads {SCHEMA}; make the run again")
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in names if name not in content]
        unknown = [name for name in content if name not in names]
        wrong = ((f"lacks {', '.join(missing)}", missing), (f"has unknown {', '.join(unknown)}", unknown))
        if missing or unknown:
            problems = " and ".join(problem for problem, names in wrong if names)
            raise ValueError(f"{where} {problems}; make the run again with this version")
        if not _are_checksums(content["checksums"]):
            raise ValueError(f"{where} has checksums that are none, or of files outside; make the run again")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in content.items()})


def _are_checksums(value: object) -> bool:
    """Whether these are checksums by path, each within the artifacts of the run."""
    return isinstance(value, dict) and all(
        not {"", ".", ".."} & set(path.split("/")) and isinstance(entry, dict) and set(entry) == {"bytes", "sha256"}
        for path, entry in value.items()
    )


@dataclass(frozen=True, kw_only=True)
class TrialManifest(Manifest):
    """Arrays of one trial: the `digest` of recipe, number and data that it is known by, and its scored `updates`."""

    FILE: ClassVar[str] = "trial.json"

    digest: str
    trial: int
    fingerprint: str
    updates: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class WeightsManifest(Manifest):
    """Network whose final weights a trial left as `WEIGHTS`, and the images that it knows.

    The normalization is one that needs no other images: that of `Recipe`, `channel` as `fixed` with its values.
    """

    FILE: ClassVar[str] = "weights/manifest.json"
    WEIGHTS: ClassVar[str] = "weights/model.pt"

    model: str
    class_names: tuple[str, ...]
    resolution: int
    normalization: str
    colour_mean: tuple[float, ...]
    colour_std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class RecordManifest(Manifest):
    """Training of another program whose losses were recorded, beside the `TrialManifest` of their arrays.

    `EXAMPLES` is the table of its examples, `PICTURES` has some of them where images were given; `content` says whether
    the fingerprint covers the images; numbers of the training are None where they are not known.
    """

    FILE: ClassVar[str] = "recorded.json"
    EXAMPLES: ClassVar[str] = "examples.parquet"
    PICTURES: ClassVar[str] = "thumbnails.npz"

    dataset: str
    class_names: tuple[str, ...]
    content: bool
    model: str
    weights: str
    updates_per_epoch: int | None
    schedule_epochs: int | None


@dataclass(frozen=True, kw_only=True)
class ScoreManifest(Manifest):
    """Contents and origin of the arrays of a score run.

    `dataset` is what people call the data, and `opened_as` the word of the option `dataset` that opened them;
    `source` and `limit` are as they were asked for, None for the default; `data_seed` is the seed of the data, None
    where they were given as they are; each trial trained on `trained` of the
    `examples` (all but a fold; the fewest, where folds differ in size); `skipped` are files that could not be read;
    `recipe` is `Recipe.settings()`, or `RecordedTraining.settings()` where trainings were recorded, whose
    `fingerprint_val` is None; `updates` are the T scored moments, and `moment` the one of the table; each of M
    `trials` has its number `trial`, `run_id`, `digest`, and the `fold` that it left out (None without folds);
    `label_changes` has the SHA-256 of the `decisions.csv` that the labels follow, and the `flips` made on purpose,
    where there are such; `code` is from `code_versions`.
    """

    FILE: ClassVar[str] = "scores/manifest.json"

    run_id: str
    polarity: str = "lower_is_easier"
    dataset: str
    fingerprint: str
    fingerprint_val: str | None
    opened_as: str = "arrays"
    source: str | None
    limit: int | None
    data_seed: int | None
    order: str = "row i of every array is row i of the table; example_id is the row in the whole dataset"
    examples: int
    trained: int
    skipped: tuple[str, ...]
    class_names: tuple[str, ...]
    model: str
    recipe: dict
    recipe_digest: str
    updates: tuple[int, ...]
    moment: int
    fraction: float
    per_class: bool
    allow_outliers: bool
    trials: tuple[dict, ...]
    label_changes: dict = field(default_factory=dict)
    code: dict

    @property
    def folds(self) -> int:
        """Number of folds K, of which trial m left out m mod K; 0 where every trial trained on all examples."""
        return self.recipe["folds"]

    @property
    def recorded(self) -> bool:
        """Whether the trials are recordings of another program's trainings."""
        return self.recipe.get("recorded", False)

    @property
    def trial_runs(self) -> list[str]:
        """Run ids of the M trials."""
        return [trial["run_id"] for trial in self.trials]

    @property
    def numbered_by(self) -> str:
        """Unit of the scored moments: `epoch`, or `scored moment` where the recipe chose them."""
        return "scored moment" if self.recipe["score_at"] else "epoch"


@dataclass(frozen=True, kw_only=True)
class MatchManifest(Manifest):
    """Runs that were matched, and the results that programs read.

    `score_by` names the score that sets were cut by, see `easiness.analysis.scores.SCORES`; `numbered_by` is the unit
    of the moments in the tables; each of `runs` has `run_id`, `model` (its name in the tables), `updates`, `trials`,
    the `weights` that these start from, and whether they were `recorded`; overlaps are (T, T) by model and set;
    `lengths` has by model the `epochs` up to the last moment and the `schedule_epochs` of a whole training, None where
    they are not known; `verdict` is from `verdicts`, `beyond_noise` from `disagreement_tables`.
    """

    FILE: ClassVar[str] = "matching.json"

    kind: str = "match"
    dataset: str
    fingerprint: str
    class_names: tuple[str, ...]
    fraction: float
    seed: int
    draws: int
    score_by: str
    numbered_by: str
    runs: tuple[dict, ...]
    moment_overlaps: dict
    moment_overlaps_per_class: dict
    lengths: dict
    verdict: tuple[dict, ...]
    beyond_noise: tuple[dict, ...]


@dataclass(frozen=True, kw_only=True)
class AblationManifest(Manifest):
    """Removals of an ablation, the training of its arms, and the costs.

    `recipe` is that of the arms. `score_by` names the score that examples were removed by, `score_title` in words;
    `scores_recipe` is that of the networks of the score run `scores`, whose score was taken after `moment` updates; of
    several, one for each seed, it is that of the first. Where `score_by` is `file`, `scores` is empty and both are
    None, `score_title` is the column, and `scores_file` and `scores_sha256` say which file. Strategies to ratios are as
    in `Plan`, the ratios above 0; `summary` says in words what each ratio costs; `label_changes` and `code` are as in
    `ScoreManifest`.
    """

    FILE: ClassVar[str] = "ablation.json"

    run_id: str
    polarity: str = "lower_is_easier"
    kind: str = "ablate"
    dataset: str
    fingerprint: str
    fingerprint_val: str
    class_names: tuple[str, ...]
    recipe: dict
    score_by: str
    score_title: str
    scores: tuple[str, ...]
    scores_recipe: dict | None
    moment: int | None
    scores_file: str | None
    scores_sha256: str | None
    strategies: tuple[str, ...]
    seeds: int
    weighting: str
    offset: float
    balanced: bool
    allow_empty: bool
    equal_updates: bool
    equal_epochs: bool
    seed: int
    ratios: tuple[float, ...]
    summary: tuple[str, ...]
    label_changes: dict = field(default_factory=dict)
    code: dict
