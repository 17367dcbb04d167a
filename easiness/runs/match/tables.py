"""Tables of a matching: pairs, other cuts, moments, outside scores, Table 1, disagreement, trials needed."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from easiness.analysis.matching.comparing import Match
from easiness.analysis.matching.disagreement import disagreement
from easiness.analysis.matching.pairs import match_external, match_moments, match_pairs, moment_overlaps
from easiness.analysis.matching.resampling import KINDS
from easiness.analysis.matching.sensitivity import Sensitivity, match_at_fractions
from easiness.analysis.matching.sides import MatchOptions, ScoredModel
from easiness.analysis.matching.trials_needed import predict_repeats
from easiness.analysis.scores import EASINESS, easiness
from easiness.recipes import published as paper
from easiness.runs.match.external import ExternalScores
from easiness.runs.score.tables import repeat_table

# Examples of each pair in the table of disagreement.
DISAGREEING = 100

_DISAGREEMENT = ["a", "b", "example_id", "label", "class_name", "source", "z", "difference", "rank_a", "rank_b"]
_BEYOND_NOISE = ["a", "b", "epoch", "noise_limit", "beyond_noise", "by_luck", "n"]
_JUDGED = ["a", "b", "set", "scope", "rate", "low", "high", "chance_given_classes", "corrected", "ceiling"]


@dataclass(frozen=True, eq=False, kw_only=True)
class MatchingResults:
    """Tables and numbers of a matching. All rates are in [0, 1]; lower easiness = easier.

    Attributes
    ----------
    updates : dict of tuple of int
        T moments of each model.
    pairs : pandas.DataFrame
        One row per pair of models, moment, set and scope: the fields of `Match`, corrected_low, corrected_high, and
        score, the name of the score that sets were cut by.
    sensitivity : pandas.DataFrame
        One row per pair, moment, set, scope, measure and fraction: the fields of `Sensitivity`.
    moments, external : pandas.DataFrame
        The same columns: each model's first moment against its last, and against outside scores at every moment.
    common : pandas.DataFrame or None
        The same columns: pairs of architectures whose trials had common random numbers, a control with shared luck.
    table1 : pandas.DataFrame
        model, set, scope, rate, low, high, chance_given_classes, corrected, ceiling, and the paper's rate where it has
        one.
    disagreements : pandas.DataFrame
        The `DISAGREEING` examples on which each pair differs most: a, b, example_id, label, class_name, source, z
        (standard errors over trials; positive = harder for a), difference of mean relative ranks, rank_a, rank_b
        (1 = easiest). Pairs with a single trial on a side are left out.
    beyond_noise : pandas.DataFrame
        One row per pair: a, b, epoch, noise_limit (of |z|), beyond_noise (how many reach it), by_luck (how many do, on
        average, when trials are permuted between the two), n.
    repeats : pandas.DataFrame
        What so many trials of one model share with as many fresh ones, at every moment, from `repeat_table`.
    overlaps : dict
        By scope, model and set: (T, T) overlap of one model's sets at any two moments.
    """

    updates: dict[str, tuple[int, ...]]
    pairs: pd.DataFrame
    sensitivity: pd.DataFrame
    moments: pd.DataFrame
    external: pd.DataFrame | None
    common: pd.DataFrame | None
    table1: pd.DataFrame
    disagreements: pd.DataFrame
    beyond_noise: pd.DataFrame
    repeats: pd.DataFrame
    overlaps: dict[str, dict[str, dict[str, np.ndarray]]]


def match_models(
    models: Sequence[ScoredModel],
    table: pd.DataFrame,
    options: MatchOptions,
    *,
    paper_models: Mapping[str, str],
    external: ExternalScores | None = None,
    common: Sequence[ScoredModel] = (),
    score_by: str = EASINESS,
) -> MatchingResults:
    """Match models with each other, with themselves, and with outside scores.

    Parameters
    ----------
    models : sequence of ScoredModel
        A single one makes no pairs.
    table : pandas.DataFrame
        N rows: example_id, label, class_name, source.
    options : MatchOptions
    paper_models : mapping
        Architecture behind each model's name, for those that stand beside the paper's; empty on other data than its.
    external : ExternalScores, optional
    common : sequence of ScoredModel
        Of trials with common random numbers, matched with each other alone.
    score_by : str
        Name of the score that the models hold.
    """
    labels_N = table["label"].to_numpy()
    moments = [row for model in models for row in match_moments(model, labels_N, options=options)]
    cuts = (("global", None), ("per_class", labels_N))
    disagreements, beyond_noise = disagreement_tables(models, table)
    pairs = match_pairs(models, labels_N, options) if len(models) > 1 else []
    outside = None
    if external is not None:
        name, easier = external.name, external.higher_is_easier
        against = {"name": name, "higher_is_easier": easier, "options": options}
        outside = [row for model in models for row in match_external(model, external.values, labels_N, **against)]
    return MatchingResults(
        updates={model.name: model.updates for model in models},
        pairs=match_table(pairs, score_by),
        sensitivity=sensitivity_table(match_at_fractions(models, labels_N, options, pairs)),
        moments=match_table(moments, score_by),
        external=None if outside is None else match_table(outside, score_by),
        common=match_table(match_pairs(common, labels_N, options), score_by) if common else None,
        table1=table_1(moments, paper_models, options.fraction),
        disagreements=disagreements,
        beyond_noise=beyond_noise,
        repeats=repeat_table([row for model in models for row in predict_repeats(model, labels_N, options)]),
        overlaps={scope: {model.name: _overlaps(model, labels, options) for model in models} for scope, labels in cuts},
    )


def _overlaps(model: ScoredModel, labels_N: np.ndarray | None, options: MatchOptions) -> dict[str, np.ndarray]:
    cut = {"fraction": options.fraction, "seed": options.seed, "labels_N": labels_N}
    return {kind: moment_overlaps(model, kind, **cut) for kind in KINDS}


def match_table(rows: Sequence[Match], score_by: str = EASINESS) -> pd.DataFrame:
    """Rows of a matching by a score, with the interval of the corrected rate; without rows, the columns alone."""
    columns = [field.name for field in dataclasses.fields(Match)]
    filled = [
        dataclasses.asdict(row) | dict(zip(("corrected_low", "corrected_high"), row.corrected_interval, strict=True))
        for row in rows
    ]
    return pd.DataFrame(filled, columns=[*columns, "corrected_low", "corrected_high"]).assign(score=score_by)


def sensitivity_table(rows: Sequence[Sensitivity]) -> pd.DataFrame:
    """Rows at all cuts; the ceiling of rank-biased overlap is NaN. Without rows, the columns alone."""
    columns = [field.name for field in dataclasses.fields(Sensitivity)]
    return pd.DataFrame([vars(row) for row in rows], columns=columns).astype({"ceiling": np.float64})


def table_1(moments: Sequence[Match], paper_models: Mapping[str, str], fraction: float) -> pd.DataFrame:
    """Table 1 of the paper: each model's first moment against its last, the paper's rate beside ours.

    It stands beside sets of the paper's own fraction, cut from all images, of models in `paper_models`.
    """
    columns = ("set", "scope", "rate", "low", "high", "chance_given_classes", "corrected", "ceiling")
    rows = []
    for row in moments:
        comparable = fraction == paper.FRACTION and row.scope == "global" and row.a in paper_models
        rate = paper.table_1(paper_models[row.a], row.set) if comparable else None
        rows.append({"model": row.a, **{name: getattr(row, name) for name in columns}, "paper": rate})
    return pd.DataFrame(rows, columns=["model", *columns, "paper"]).astype({"paper": np.float64})


def disagreement_tables(models: Sequence[ScoredModel], table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`disagreements` and `beyond_noise` of `MatchingResults`, at the last moment that both of a pair have."""
    tables, limits = [], []
    for a, b in combinations(models, 2):
        if min(a.trials, b.trials) < 2:
            continue
        moment = min(len(a.updates), len(b.updates)) - 1
        apart = disagreement(a.losses[moment], b.losses[moment])
        limits.append((a.name, b.name, moment + 1, apart.limit, apart.beyond, apart.by_luck, a.examples))
        rows = apart.order_N[:DISAGREEING]
        rank_a, rank_b = (rankdata(easiness(model.losses[moment]), method="ordinal")[rows] for model in (a, b))
        columns = {"z": apart.z_N[rows], "difference": apart.difference_N[rows], "rank_a": rank_a, "rank_b": rank_b}
        tables.append(table.iloc[rows].assign(a=a.name, b=b.name, **columns)[_DISAGREEMENT])
    disagreements = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=_DISAGREEMENT)
    return disagreements, pd.DataFrame(limits, columns=_BEYOND_NOISE)


def at_last_moment(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of each pair's last moment, with what it takes to judge them."""
    last = table.groupby(["a", "b"])["epoch"].transform("max")
    return table.loc[table["epoch"] == last, _JUDGED].sort_values(["scope", "set"], kind="stable")


def last_common_moment(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the last moment that all pairs have."""
    return table[table["epoch"] == table.groupby(["a", "b"])["epoch"].max().min()]


def metric_curves(results: MatchingResults) -> list[dict[str, float]]:
    """Metrics of every moment, its `epoch`, for the tracking server to chart: sets of all images, means over pairs.

    overlap, of_ceiling (of what could be shared), corrected and chance (given the class mix) of easy and of hard sets,
    and rank_correlation; with outside scores against_overlap and against_rank_correlation. Single pairs are in the
    tables: a metric of each would be a chart of its own. What is unknown is left out.
    """
    by_epoch: dict[int, dict[str, float]] = {}
    for prefix, table, wanted in (
        ("", results.pairs, ("overlap", "of_ceiling", "corrected", "chance")),
        ("against_", results.external, ("overlap",)),
    ):
        if table is None or table.empty:
            continue
        rows = table[table["scope"] == "global"]
        rows = rows.assign(
            overlap=rows["rate"], of_ceiling=rows["rate"] / rows["ceiling"], chance=rows["chance_given_classes"]
        )
        for (epoch, kind), means in rows.groupby(["epoch", "set"])[[*wanted, "rank_correlation"]].mean().iterrows():
            entry = by_epoch.setdefault(int(epoch), {"epoch": int(epoch)})
            numbers = {f"{prefix}{name}_{kind}": means[name] for name in wanted}
            numbers[f"{prefix}rank_correlation"] = means["rank_correlation"]
            entry |= {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]
