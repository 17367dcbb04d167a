"""Assembly of a report: from the selected runs to the blocks of a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import pandas as pd

from easiness import tracking
from easiness.reporting.ablation_chapter import ablation_chapter
from easiness.reporting.blocks import Block, Gallery, Heading, Table, Text, Verdicts
from easiness.reporting.chapters import Chapter, judge_dataset, make_chapters
from easiness.reporting.claims import Verdict
from easiness.reporting.gallery import Examples, class_ends, disputed_section, suspicious, suspicious_section
from easiness.reporting.match_chapter import match_chapter
from easiness.reporting.planted_section import planted_section
from easiness.reporting.score_chapter import score_chapter
from easiness.reporting.selection import PassedOver, SelectedRun, Selection


@dataclass(frozen=True, eq=False)
class ReportPage:
    """A page before it is written: its blocks in order, and the runs behind it."""

    title: str
    blocks: list[Block]
    selection: Selection


def assemble(selection: Selection, title: str) -> ReportPage:
    """Put a report together."""
    chapters = make_chapters(selection.selected)
    datasets = {name: list(group) for name, group in groupby(chapters, lambda chapter: chapter.dataset)}
    verdicts = {name: judge_dataset(of_name) for name, of_name in datasets.items()}
    blocks: list[Block] = []
    if not chapters:
        nothing = "no finished score, match or ablate run was found. Make one with -e score."
        blocks.append(Text(f"**There is nothing to show:** {nothing}"))
    for name, of_name in datasets.items():
        for chapter in of_name:
            blocks += planted_section(chapter.title, chapter.key, chapter.scores)
        blocks += [Heading(f"What holds on {name}", 2), Verdicts(verdicts[name])]
    for chapter in chapters:
        blocks += [Heading(chapter.title, 2), *_remarks(chapter), *_content(chapter)]
    blocks += [Heading("Runs", 2), Text(_how_links_work())]
    if selection.selected:
        blocks.append(Table("runs", "Runs that this page is made of.", runs_table(selection.selected)))
        blocks.append(Table("claims", "The verdicts above, as a table.", claims_table(verdicts), folded=True))
    if selection.passed_over:
        caption = "Runs that were passed over, and why."
        blocks.append(Table("passed_over", caption, passed_over_table(selection.passed_over)))
    runs = [entry.run for entry in (*selection.selected, *selection.passed_over)]
    links = {run.run_id: tracking.ui_address(run) for run in runs}
    return ReportPage(title, [_linked(block, links) for block in blocks], selection)


def runs_table(selected: Sequence[SelectedRun]) -> pd.DataFrame:
    """One row per selected run: what it is and which code made it."""
    return pd.DataFrame(
        [
            {
                "kind": entry.run.kind,
                "dataset": entry.result.manifest.dataset,
                "model": entry.run.tags.get("easiness.model", "–"),
                "name": entry.run.name,
                "fingerprint": entry.result.manifest.fingerprint[:12],
                "version": entry.run.tags.get("easiness.version", "–"),
                "git_commit": entry.run.tags.get("mlflow.source.git.commit", "–")[:10],
                "run_id": entry.run.run_id,
            }
            for entry in selected
        ]
    )


def passed_over_table(passed_over: Sequence[PassedOver]) -> pd.DataFrame:
    """One row per run that was passed over, with the reason."""
    return pd.DataFrame(
        [
            {"kind": entry.run.kind or "–", "name": entry.run.name, "reason": entry.reason, "run_id": entry.run.run_id}
            for entry in passed_over
        ]
    )


def claims_table(verdicts: Mapping[str, Sequence[Verdict]]) -> pd.DataFrame:
    """One row per dataset and claim."""
    return pd.DataFrame(
        [{"dataset": key, **vars(verdict)} for key, verdicts_of_key in verdicts.items() for verdict in verdicts_of_key]
    )


def _content(chapter: Chapter) -> list[Block]:
    blocks: list[Block] = []
    if chapter.scores:
        blocks += score_chapter(chapter.key, chapter.scores)
    if chapter.matching is not None:
        blocks += match_chapter(chapter.key, chapter.matching)
    for ablation in chapter.ablations:
        blocks += ablation_chapter(chapter.key, ablation)
    return [*blocks, *_gallery(chapter)] if chapter.scores else blocks


def _gallery(chapter: Chapter) -> list[Block]:
    matching, title = chapter.matching, chapter.scores[0].score.title
    examples = Examples(chapter.scores, matching.thumbnails if matching else {})
    suspects = suspicious(chapter.scores)
    sections = [suspicious_section(examples, suspects)]
    if matching is not None and len(matching.disagreements):
        sections.append(disputed_section(examples, matching.disagreements))
    sections += [class_ends(examples, scores) for scores in chapter.scores]
    caption = "Most suspicious labels, as a table: hard at the end of training for every model."
    return [
        Heading("Gallery"),
        Text(f"Choose a picture to see how its {title} changed while the networks trained. Lower = easier."),
        Gallery(sections),
        Table(f"{chapter.key}_suspicious", caption, suspects, folded=True),
    ]


def _remarks(chapter: Chapter) -> list[Block]:
    """What a reader must know before the numbers: what is absent, and what was made of other runs than those shown."""
    remarks = []
    if not chapter.scores:
        remarks.append("no score run of these data was found, so there is no table of easiness and no gallery")
    if chapter.matching is None:
        remarks.append("no match run was found, so nothing is said of what architectures share")
    elif chapter.scores:
        shown = {scores.run_id for scores in chapter.scores}
        other = [run["model"] for run in chapter.matching.manifest.runs if run["run_id"] not in shown]
        if other:
            remarks.append(f"the match run was made of other score runs than those shown here for {', '.join(other)}")
    if not chapter.ablations:
        remarks.append("no ablate run was found, so nothing is said of what examples are worth")
    return [Text(f"**Note:** {'; '.join(remarks)}.")] if remarks else []


def _linked(block: Block, links: Mapping[str, str]) -> Block:
    has_runs = isinstance(block, Table) and "run_id" in block.content
    return replace(block, links=dict(links)) if has_runs else block


def _how_links_work() -> str:
    address = tracking.public_address()
    if address.startswith("http"):
        return f"All numbers come from {address}; a run id leads to its page there."
    return "All numbers come from a local store; links to runs work while this is running: mlflow ui"
