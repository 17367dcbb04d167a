"""From the runs that were chosen to the blocks of a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import pandas as pd

from easiness import tracking
from easiness.analysis.matching.resampling import KINDS
from easiness.reporting.ablation_chapter import ablation_chapter
from easiness.reporting.ablation_claims import (
    hard_worth_more,
    many_easy_hurt,
    stepwise_beats_easy,
    stepwise_beats_random,
)
from easiness.reporting.blocks import Block, Gallery, Heading, Table, Text, Verdicts
from easiness.reporting.claims import Verdict, changing_sets, diverse_sets, shared_sets
from easiness.reporting.gallery import Examples, class_ends, disputed_section, suspicious, suspicious_section
from easiness.reporting.match_chapter import match_chapter
from easiness.reporting.score_chapter import score_chapter
from easiness.reporting.selection import Choice, PassedOver
from easiness.reporting.sources import AblationSource, MatchSource, ScoreSource, Source


@dataclass(frozen=True, eq=False)
class Report:
    """A page before it is written.

    Attributes
    ----------
    title : str
    blocks : list of Block
        In the order of the page.
    choice : Choice
        The runs behind it.
    """

    title: str
    blocks: list[Block]
    choice: Choice


@dataclass(frozen=True, eq=False)
class _Chapter:
    """All runs of the same data."""

    key: str
    title: str
    scores: list[ScoreSource]
    match: MatchSource | None
    ablations: list[AblationSource]


def assemble(choice: Choice, title: str) -> Report:
    """Put a report together.

    Parameters
    ----------
    choice : Choice
    title : str
        Of the page.

    Returns
    -------
    Report
    """
    chapters = _chapters(choice.taken)
    verdicts = {chapter.key: _verdicts(chapter) for chapter in chapters}
    blocks: list[Block] = []
    if not chapters:
        blocks.append(
            Text(
                "**There is nothing to show:** no finished score, match or ablate run was found. Make one "
                "with -e score."
            )
        )
    for chapter in chapters:
        blocks += [Heading(f"What holds on {chapter.title}", 2), Verdicts(verdicts[chapter.key])]
    for chapter in chapters:
        blocks += [Heading(chapter.title, 2), *_remarks(chapter), *_content(chapter)]
    links = {run.run_id: tracking.ui_address(run) for run in _all_runs(choice)}
    blocks += [Heading("Runs", 2), Text(_how_links_work())]
    if choice.taken:
        blocks.append(Table("runs", "Runs that this page is made of.", runs_table(choice.taken), links=links))
        blocks.append(
            Table("claims", "The verdicts above, as a table.", claims_table(verdicts), folded=True),
        )
    if choice.passed_over:
        caption = "Runs that were passed over, and why."
        blocks.append(Table("passed_over", caption, passed_over_table(choice.passed_over), links=links))
    return Report(title, [_linked(block, links) for block in blocks], choice)


def runs_table(sources: Sequence[Source]) -> pd.DataFrame:
    """One row per run that was taken: what it is and which code made it."""
    return pd.DataFrame(
        [
            {
                "kind": source.run.kind,
                "dataset": source.dataset,
                "model": source.run.tags.get("easiness.model", "–"),
                "name": source.run.name,
                "fingerprint": source.fingerprint[:12],
                "version": source.run.tags.get("easiness.version", "–"),
                "git_commit": source.run.tags.get("mlflow.source.git.commit", "–")[:10],
                "run_id": source.run.run_id,
            }
            for source in sources
        ]
    )


def passed_over_table(passed_over: Sequence[PassedOver]) -> pd.DataFrame:
    """One row per run that was passed over, with the reason."""
    return pd.DataFrame(
        [
            {"kind": each.run.kind or "–", "name": each.run.name, "reason": each.reason, "run_id": each.run.run_id}
            for each in passed_over
        ]
    )


def claims_table(verdicts: Mapping[str, Sequence[Verdict]]) -> pd.DataFrame:
    """One row per dataset and claim."""
    return pd.DataFrame(
        [{"dataset": key, **vars(verdict)} for key, verdicts_of_key in verdicts.items() for verdict in verdicts_of_key]
    )


def _chapters(sources: Sequence[Source]) -> list[_Chapter]:
    """Runs by dataset and fingerprint; of datasets of one name, the files' names carry the fingerprint."""
    groups = [(key, list(group)) for key, group in groupby(sources, lambda each: (each.dataset, each.fingerprint))]
    names = [dataset for (dataset, _), _ in groups]
    chapters = []
    for (dataset, fingerprint), group in groups:
        alone = names.count(dataset) == 1
        matches = [each for each in group if isinstance(each, MatchSource)]
        chapters.append(
            _Chapter(
                dataset if alone else f"{dataset}_{fingerprint[:8]}",
                dataset if alone else f"{dataset}, fingerprint {fingerprint[:8]}",
                [each for each in group if isinstance(each, ScoreSource)],
                matches[0] if matches else None,
                [each for each in group if isinstance(each, AblationSource)],
            )
        )
    return chapters


def _verdicts(chapter: _Chapter) -> list[Verdict]:
    tables = {} if chapter.match is None else chapter.match.tables
    return [
        *(shared_sets(tables.get("matching"), kind) for kind in KINDS),
        diverse_sets({} if chapter.match is None else chapter.match.order_tests),
        *(changing_sets(tables.get("moments"), kind) for kind in KINDS),
        *_worth(chapter.ablations),
    ]


def _worth(ablations: Sequence[AblationSource]) -> list[Verdict]:
    """Judge what examples are worth; of several ablations each says which it is."""
    judges = (hard_worth_more, many_easy_hurt, stepwise_beats_easy, stepwise_beats_random)
    verdicts = []
    # Without an ablation the claims stand there all the same.
    for accuracy, title in [(each.tables["accuracy"], each.title) for each in ablations] or [(None, "")]:
        for judge in judges:
            verdict = judge(accuracy)
            if len(ablations) > 1:
                verdict = replace(verdict, claim=f"{verdict.claim} ({title})")
            verdicts.append(verdict)
    return verdicts


def _content(chapter: _Chapter) -> list[Block]:
    blocks: list[Block] = []
    if chapter.scores:
        blocks += score_chapter(chapter.key, chapter.scores)
    if chapter.match is not None:
        blocks += match_chapter(chapter.key, chapter.match, _numbered_by(chapter.scores))
    for source in chapter.ablations:
        blocks += ablation_chapter(chapter.key, source)
    if chapter.scores:
        blocks += _gallery(chapter)
    return blocks


def _numbered_by(scores: Sequence[ScoreSource]) -> str:
    """What moments are numbered by: epochs, where every recipe was scored at the end of each."""
    return "epoch" if scores and not any(each.settings["recipe"]["score_at"] for each in scores) else "scored moment"


def _gallery(chapter: _Chapter) -> list[Block]:
    examples = Examples(chapter.scores, {} if chapter.match is None else chapter.match.thumbnails)
    found = suspicious(chapter.scores)
    shelves = [suspicious_section(examples, found)]
    if chapter.match is not None and "disagreement" in chapter.match.tables:
        shelves.append(disputed_section(examples, chapter.match.tables["disagreement"]))
    shelves += [class_ends(examples, source) for source in chapter.scores]
    blocks: list[Block] = [
        Heading("Gallery"),
        Text("Choose a picture to see how its easiness changed while the networks trained. Lower = easier."),
    ]
    if not examples.has_pictures:
        blocks.append(
            Text(
                "**There are no pictures:** these score runs were made by a version that kept none. The same "
                "score command "
                "again finds the finished trials, trains nothing, and keeps the pictures with the new run."
            )
        )
    caption = "Most suspicious labels, as a table: hard at the end of training for every model."
    return [*blocks, Gallery(shelves), Table(f"{chapter.key}_suspicious", caption, found, folded=True)]


def _remarks(chapter: _Chapter) -> list[Block]:
    """What a reader must know before the numbers: what is absent, and what was made of other runs than those shown."""
    remarks = []
    if not chapter.scores:
        remarks.append("no score run of these data was found, so there is no table of easiness and no gallery")
    if chapter.match is None:
        remarks.append("no match run was found, so nothing is said of what architectures share")
    elif chapter.scores:
        shown = {source.run.run_id for source in chapter.scores}
        other = [run["model"] for run in chapter.match.settings["runs"] if run["run_id"] not in shown]
        if other:
            remarks.append(f"the match run was made of other score runs than those shown here for {', '.join(other)}")
    if not chapter.ablations:
        remarks.append("no ablate run was found, so nothing is said of what examples are worth")
    return [Text(f"**Note:** {'; '.join(remarks)}.")] if remarks else []


def _all_runs(choice: Choice) -> list[tracking.RunRecord]:
    return [source.run for source in choice.taken] + [each.run for each in choice.passed_over]


def _linked(block: Block, links: Mapping[str, str]) -> Block:
    if isinstance(block, Table) and "run_id" in block.content and not block.links:
        return Table(block.name, block.caption, block.content, block.folded, dict(links))
    return block


def _how_links_work() -> str:
    address = tracking.public_address()
    if address.startswith("http"):
        return f"All numbers come from {address}; a run id leads to its page there."
    return "All numbers come from a local store; links to runs work while this is running: mlflow ui"
