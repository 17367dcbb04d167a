"""All that a matching finds, as tables: pairs, moments, outside scores, disagreement, reliability, and the verdict."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from easiness.analysis.matching.comparing import Match
from easiness.analysis.matching.disagreement import disagreement, noise_limit
from easiness.analysis.matching.pairs import match_external, match_moments, match_pairs, moment_overlaps
from easiness.analysis.matching.resampling import KINDS
from easiness.analysis.matching.sides import SCOPES, MatchOptions, ScoredModel
from easiness.analysis.reliability import ReliabilityCurve, reliability_curve
from easiness.analysis.scores import easiness
from easiness.recipes import published as paper
from easiness.runs.match.external import ExternalScores

# Examples of each pair in the table of disagreement.
DISAGREEING = 100

_JUDGED = ["a", "b", "set", "scope", "rate", "low", "high", "chance_given_classes", "corrected", "ceiling"]


@dataclass(frozen=True)
class MatchingResults:
    """What a matching finds. All rates are in [0, 1]; lower easiness = easier.

    Attributes
    ----------
    updates : dict of tuple of int
        By model: its T moments.
    pairs : pandas.DataFrame
        One row per pair of models, moment, set and scope: the fields of `Match`, corrected_low, corrected_high.
    moments : pandas.DataFrame
        The same columns: each model's first moment against its last.
    external : pandas.DataFrame or None
        The same columns: each model at every moment against outside scores.
    table1 : pandas.DataFrame
        model, set, scope, rate, low, high, chance_given_classes, corrected, and the paper's rate where it has one.
    disagreements : pandas.DataFrame
        The `DISAGREEING` examples on which each pair differs most: a, b, example_id, label, class_name, source, z
        (standard errors over trials; positive = harder for a), difference of mean relative ranks, rank_a, rank_b
        (1 = easiest). Pairs with a single trial on a side are left out.
    beyond_noise : pandas.DataFrame
        One row per pair: a, b, epoch, noise_limit (|z| that about one example reaches by luck alone), beyond_noise (how
        many reach it), n.
    reliability : dict of ReliabilityCurve
        By model, at its last moment.
    overlaps : dict
        By scope, model and set: (T, T) overlap of one model's sets at any two moments.
    """

    updates: dict[str, tuple[int, ...]]
    pairs: pd.DataFrame
    moments: pd.DataFrame
    external: pd.DataFrame | None
    table1: pd.DataFrame
    disagreements: pd.DataFrame
    beyond_noise: pd.DataFrame
    reliability: dict[str, ReliabilityCurve]
    overlaps: dict[str, dict[str, dict[str, np.ndarray]]]


def match_models(
    models: Sequence[ScoredModel],
    table: pd.DataFrame,
    options: MatchOptions,
    *,
    paper_models: Mapping[str, str],
    external: ExternalScores | None = None,
) -> MatchingResults:
    """Match models with each other, with themselves, and with outside scores.

    Parameters
    ----------
    models : sequence of ScoredModel
        Of the same N examples; a single one makes no pairs.
    table : pandas.DataFrame
        N rows: example_id, label, class_name, source.
    options : MatchOptions
    paper_models : mapping
        Architecture behind each model's name, for those that stand beside the paper's; empty on other data than its.
    external : ExternalScores, optional

    Returns
    -------
    MatchingResults
    """
    labels_N = table["label"].to_numpy()
    pairs = match_pairs(models, labels_N, options) if len(models) > 1 else []
    moments = [row for model in models for row in match_moments(model, labels_N, options=options)]
    outside = None
    if external is not None:
        outside = match_table(
            row
            for model in models
            for row in match_external(
                model,
                external.values,
                labels_N,
                name=external.name,
                higher_is_easier=external.higher_is_easier,
                options=options,
            )
        )
    return MatchingResults(
        {model.name: model.updates for model in models},
        match_table(pairs),
        match_table(moments),
        outside,
        table_1(moments, paper_models, options.fraction),
        *disagreement_tables(models, table),
        {model.name: reliability_curve(model.losses[-1], options.seed) for model in models},
        {
            scope: {
                model.name: _overlaps(model, labels_N if scope == "per_class" else None, options) for model in models
            }
            for scope in SCOPES
        },
    )


def _overlaps(model: ScoredModel, labels_N: np.ndarray | None, options: MatchOptions) -> dict[str, np.ndarray]:
    """(T, T) overlap of a model's sets at any two moments, by set; with labels they are cut from every class."""
    return {
        kind: moment_overlaps(model, kind, fraction=options.fraction, labels_N=labels_N, seed=options.seed)
        for kind in KINDS
    }


def match_table(rows: Sequence[Match]) -> pd.DataFrame:
    """Rows of a matching with the interval of the corrected rate; without rows, the columns alone."""
    columns = [field.name for field in dataclasses.fields(Match)]
    filled = [
        dataclasses.asdict(row) | dict(zip(("corrected_low", "corrected_high"), row.corrected_interval, strict=True))
        for row in rows
    ]
    return pd.DataFrame(filled, columns=[*columns, "corrected_low", "corrected_high"])


def table_1(moments: Sequence[Match], paper_models: Mapping[str, str], fraction: float) -> pd.DataFrame:
    """Table 1 of the paper: each model's first moment against its last, the paper's rate beside ours.

    Parameters
    ----------
    moments : sequence of Match
        From `match_moments`.
    paper_models : mapping
        Architecture behind each model's name; names that are missing get no rate of the paper, nor do sets that were
        cut in every class, which the paper has not.
    fraction : float
        Share of the examples in each set; where it is not the paper's, no rate of the paper stands beside ours.
    """
    columns = ("set", "scope", "rate", "low", "high", "chance_given_classes", "corrected")
    rows = []
    for row in moments:
        comparable = fraction == paper.FRACTION and row.scope == "global" and row.a in paper_models
        rate = paper.table_1(paper_models[row.a], row.set) if comparable else None
        rows.append({"model": row.a, **{name: getattr(row, name) for name in columns}, "paper": rate})
    return pd.DataFrame(rows, columns=["model", *columns, "paper"]).astype({"paper": np.float64})


def disagreement_tables(models: Sequence[ScoredModel], table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Examples on which each pair of models differs most at the last moment that both have, and what noise explains.

    Returns
    -------
    pandas.DataFrame, pandas.DataFrame
        `disagreements` and `beyond_noise` of `MatchingResults`.
    """
    parts, limits = [], []
    for a, b in combinations(models, 2):
        if min(a.trials, b.trials) < 2:
            continue
        moment = min(len(a.updates), len(b.updates)) - 1
        found = disagreement(a.losses[moment], b.losses[moment])
        limit = noise_limit(min(a.trials, b.trials), a.examples)
        beyond = int((np.abs(found.z_N) >= limit).sum())
        limits.append((a.name, b.name, moment + 1, limit, beyond, a.examples))
        rows = found.order_N[:DISAGREEING]
        part = table.iloc[rows][["example_id", "label", "class_name", "source"]]
        ranks = {f"rank_{side}": _ranks(model.losses[moment])[rows] for side, model in (("a", a), ("b", b))}
        names = {"a": [a.name] * len(rows), "b": [b.name] * len(rows)}
        parts.append(
            pd.DataFrame(
                names
                | {name: part[name].to_numpy() for name in part}
                | {"z": found.z_N[rows], "difference": found.difference_N[rows]}
                | ranks
            )
        )
    columns = ["a", "b", "example_id", "label", "class_name", "source", "z", "difference", "rank_a", "rank_b"]
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return found, pd.DataFrame(limits, columns=["a", "b", "epoch", "noise_limit", "beyond_noise", "n"])


def at_last_moment(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of each pair's last moment, with what it takes to judge them."""
    last = table.groupby(["a", "b"])["epoch"].transform("max")
    return table.loc[table["epoch"] == last, _JUDGED].sort_values(["scope", "set"], kind="stable")


def verdict(pairs: pd.DataFrame) -> list[dict[str, object]]:
    """Whether sets are shared beyond what luck and class mix give: one entry for each set and scope.

    Parameters
    ----------
    pairs : pandas.DataFrame
        From `match_models`.

    Returns
    -------
    list of dict
        set, scope, pairs, epoch (the last that all pairs have), lowest and highest of rate, chance_given_classes and
        corrected then, lowest corrected_low then, `beyond_chance` (whether the interval of every pair lies above
        chance, then and at all moments; None without intervals), and a sentence that says so.
    """
    entries = []
    for scope in SCOPES:
        for kind in KINDS:
            rows = pairs[(pairs["scope"] == scope) & (pairs["set"] == kind)]
            if len(rows):
                entries.append(_judge(rows, kind, scope))
    return entries


def _judge(rows: pd.DataFrame, kind: str, scope: str) -> dict[str, object]:
    by_pair = rows.groupby(["a", "b"])
    epoch = int(by_pair["epoch"].max().min())
    last = rows[rows["epoch"] == epoch]
    known = not rows["corrected_low"].isna().any()
    beyond = {"last": bool((last["corrected_low"] > 0).all()), "all": bool((rows["corrected_low"] > 0).all())}
    entry = {
        "set": kind,
        "scope": scope,
        "pairs": by_pair.ngroups,
        "epoch": epoch,
        **{f"{name}_{end}": float(getattr(last[name], end)()) for name in ("rate", "chance_given_classes", "corrected")
           for end in ("min", "max")},
        "corrected_low_min": float(last["corrected_low"].min()) if known else None,
        "beyond_chance": beyond if known else None,
    }  # fmt: skip
    if not known:
        judged = "no interval, since a side has one trial only"
    elif beyond["all"]:
        judged = f"intervals from {entry['corrected_low_min']:.2f} up: beyond chance in every pair, at every moment"
    elif beyond["last"]:
        judged = (
            f"intervals from {entry['corrected_low_min']:.2f} up: beyond chance in every pair, but not at all moments"
        )
    else:
        short = int((~(last["corrected_low"] > 0)).sum())
        judged = f"in {short} of {len(last)} pairs the interval reaches down to chance"
    where = "of all images" if scope == "global" else "of every class"
    rate, mixed, corrected = (_span(entry, name) for name in ("rate", "chance_given_classes", "corrected"))
    entry["sentence"] = (
        f"{kind} sets {where}: pairs share {rate} at moment {epoch} ({mixed} by chance, given the class mix), which is "
        f"{corrected} corrected; {judged}"
    )
    return entry


def _span(entry: dict[str, object], name: str) -> str:
    low, high = f"{entry[f'{name}_min']:.2f}", f"{entry[f'{name}_max']:.2f}"
    return low if low == high else f"{low} to {high}"


def _ranks(losses_MN: np.ndarray) -> np.ndarray:
    ranks_N = np.empty(losses_MN.shape[1], np.int64)
    ranks_N[np.argsort(easiness(losses_MN), kind="stable")] = np.arange(1, len(ranks_N) + 1)
    return ranks_N


def metric_curves(results: MatchingResults) -> list[dict[str, float]]:
    """Rates of every pair at every moment, as metrics for the tracking server to chart.

    Returns
    -------
    list of dict
        One per moment: `epoch`, and `<set>_<scope>_<measure>/<a> vs <b>`, which the UI groups by what stands before
        the stroke. What is unknown is left out.
    """
    measures = ("rate", "low", "high", "chance_given_classes", "corrected", "ceiling")
    tables = [results.pairs] if results.external is None else [results.pairs, results.external]
    by_epoch: dict[int, dict[str, float]] = {}
    for row in pd.concat(tables).to_dict("records") if any(map(len, tables)) else ():
        entry = by_epoch.setdefault(row["epoch"], {"epoch": row["epoch"]})
        pair = re.sub(r"[^\w. -]", "_", f"{row['a']} vs {row['b']}")
        for measure in measures:
            if math.isfinite(row[measure]):
                entry[f"{row['set']}_{row['scope']}_{measure}/{pair}"] = row[measure]
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def plain(value: object) -> object:
    """Arrays as lists, and numbers that json does not know as None.

    Examples
    --------
    >>> plain({"a": np.array([1.0, np.nan])})
    {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
