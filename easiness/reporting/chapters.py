"""Chapters of a report, one for all runs of the same data, and what they say of the paper's claims."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import pandas as pd

from easiness.analysis.matching.resampling import KINDS
from easiness.reporting.ablation_claims import (
    hard_worth_more,
    many_easy_hurt,
    stepwise_beats_easy,
    stepwise_beats_random,
)
from easiness.reporting.claims import Verdict, changing_sets, diverse_sets, shared_sets
from easiness.reporting.selection import Result, SelectedRun
from easiness.runs.ablate.reading import Ablation
from easiness.runs.match.reading import Matching
from easiness.runs.score.reading import Scores


@dataclass(frozen=True, eq=False)
class Chapter:
    """All runs of the same data; `key` begins the names of its files, `part` tells it from others of its dataset."""

    dataset: str
    part: str
    key: str
    scores: list[Scores]
    matching: Matching | None
    ablations: list[Ablation]

    @property
    def title(self) -> str:
        """Dataset, and which part of it where others are on the page, too."""
        return f"{self.dataset}, {self.part}" if self.part else self.dataset


def make_chapters(selected: Sequence[SelectedRun]) -> list[Chapter]:
    """Runs by dataset and fingerprint; of datasets of one name, titles say how large they are and files which."""
    groups = [(data, list(group)) for data, group in groupby((entry.result for entry in selected), _data)]
    names = [dataset for (dataset, _), _ in groups]
    sizes = [(dataset, _images(results)) for (dataset, _), results in groups]
    chapters = []
    for (dataset, fingerprint), results in groups:
        part, key = "", dataset
        if names.count(dataset) > 1:
            size, key = _images(results), f"{dataset}_{fingerprint[:8]}"
            told = size is not None and sizes.count((dataset, size)) == 1
            part = f"{size:,} images" if told else f"fingerprint {fingerprint[:8]}"
        chapters.append(
            Chapter(
                dataset,
                part,
                key,
                [result for result in results if isinstance(result, Scores)],
                next((result for result in results if isinstance(result, Matching)), None),
                [result for result in results if isinstance(result, Ablation)],
            )
        )
    return chapters


def judge_dataset(chapters: Sequence[Chapter]) -> list[Verdict]:
    """Verdicts on every claim by the chapters of one dataset that have runs for it; without any, the claim says so."""
    matched = [chapter for chapter in chapters if chapter.matching is not None]
    ablated = [(chapter, ablation) for chapter in chapters for ablation in chapter.ablations]
    verdicts = []
    for chapter in matched:
        verdicts += [_named(verdict, chapter.part) for verdict in _matching_verdicts(chapter.matching)]
    for chapter, ablation in ablated:
        which = ablation.title if len(ablated) > 1 or ablation.by else ""
        names = ", ".join(name for name in (chapter.part, which) if name)
        verdicts += [_named(verdict, names) for verdict in _ablation_verdicts(ablation)]
    return [*([] if matched else _matching_verdicts(None)), *verdicts, *([] if ablated else _ablation_verdicts(None))]


def _data(result: Result) -> tuple[str, str]:
    return result.manifest.dataset, result.manifest.fingerprint


def _images(results: Sequence[Result]) -> int | None:
    """Number of training images, as far as a score run or an ablation of them says."""
    for result in results:
        if isinstance(result, Scores):
            return len(result.table)
        if isinstance(result, Ablation):
            accuracy: pd.DataFrame = result.tables["accuracy"]
            return int(accuracy["images"].max())
    return None


def _matching_verdicts(matching: Matching | None) -> list[Verdict]:
    lengths = matching.manifest.lengths if matching else {}
    return [
        *(shared_sets(matching and matching.pairs, kind) for kind in KINDS),
        diverse_sets(matching and matching.diversity),
        *(changing_sets(matching and matching.moments, kind, lengths) for kind in KINDS),
    ]


def _ablation_verdicts(ablation: Ablation | None) -> list[Verdict]:
    judges = (hard_worth_more, many_easy_hurt, stepwise_beats_easy, stepwise_beats_random)
    return [judge(ablation and ablation.tables["accuracy"]) for judge in judges]


def _named(verdict: Verdict, which: str) -> Verdict:
    return replace(verdict, claim=f"{verdict.claim} ({which})") if which else verdict
