"""Tables of a matching: the paper's column, disagreement, what is charted."""

import numpy as np
import pandas as pd
import pytest

from easiness.analysis.matching.pairs import moment_overlaps
from easiness.analysis.matching.sides import MatchOptions, ScoredModel
from easiness.runs.match.figures import matching_figures
from easiness.runs.match.tables import (
    MatchingResults,
    disagreement_tables,
    match_models,
    match_table,
    metric_curves,
)
from easiness.runs.match.verdict import verdicts
from easiness.runs.score.tables import needed_in_words, trials_needed_table

COUNT = 400
QUICK = MatchOptions(draws=30, splits=4, threads=1)


def make_models(names=("a", "b"), *, moments=2, trials=4, shared=2.0, seed=0):
    rng = np.random.default_rng(seed)
    common_N = shared * rng.normal(size=COUNT)
    return [
        ScoredModel(
            name,
            tuple(range(10, 10 * moments + 1, 10)),
            list((common_N + rng.normal(size=COUNT) + rng.normal(size=(moments, trials, COUNT))).astype(np.float32)),
        )
        for name in names
    ]


def make_table():
    labels = np.arange(COUNT) % 4
    return pd.DataFrame(
        {
            "example_id": np.arange(COUNT) * 3,
            "label": labels,
            "class_name": [f"class {k}" for k in labels],
            "source": [f"file#{row}" for row in range(COUNT)],
        }
    )


def match(models, **more) -> MatchingResults:
    return match_models(models, make_table(), QUICK, paper_models=more.pop("paper_models", {}), **more)


def test_the_paper_stands_beside_global_sets_of_its_siblings():
    names = ("net", "densenet_bc_40_12 (0123)")
    models = {"net": "net", "densenet_bc_40_12 (0123)": "densenet_bc_40_12"}
    table1 = match(make_models(names), paper_models=models).table1
    known = table1[table1["paper"].notna()]
    assert list(zip(known["model"], known["set"], known["scope"], known["paper"], strict=True)) == [
        (names[1], "easy", "global", 0.24),
        (names[1], "hard", "global", 0.279),
    ]
    assert len(table1) == 8


def test_sets_of_another_share_have_no_rate_of_the_paper_beside_them():
    models = make_models(("net",), trials=1)
    fifth = MatchOptions(fraction=0.2, draws=2, splits=1, threads=1)
    table1 = match_models(models, make_table(), fifth, paper_models={"net": "densenet_bc_40_12"}).table1
    assert table1["paper"].isna().all()


def test_any_two_moments_are_matched_globally_and_in_every_class():
    results = match(make_models(("a", "b"), trials=2))
    assert list(results.overlaps) == ["global", "per_class"]
    labels_N = make_table()["label"].to_numpy()
    for scope, labels in (("global", None), ("per_class", labels_N)):
        for model in make_models(("a", "b"), trials=2):
            for kind, matrix_TT in results.overlaps[scope][model.name].items():
                np.testing.assert_array_equal(matrix_TT, moment_overlaps(model, kind, labels_N=labels))
    drawn = matching_figures(results, "epoch")
    heatmaps = {name for name in drawn if name.startswith("heatmap_")}
    assert heatmaps == {
        f"heatmap_{scope}_{kind}_{model}"
        for scope in ("global", "per_class") for kind in ("easy", "hard") for model in "ab"
    }  # fmt: skip


def test_one_model_has_no_pairs_and_the_columns_are_there():
    results = match(make_models(("a",)))
    assert results.pairs.empty
    assert results.sensitivity.empty
    assert not {name for name in matching_figures(results, "epoch") if name.startswith("sensitivity")}
    assert list(results.pairs) == list(match_table([])) == list(results.moments)
    assert verdicts(results.pairs) == []
    assert metric_curves(results) == []


def test_few_metrics_under_stable_names_are_means_over_pairs():
    results = match(make_models(("a", "b", "c/d (01ab)")))
    first, second = metric_curves(results)
    assert (first["epoch"], second["epoch"]) == (1, 2)
    names = {f"{name}_{kind}" for name in ("overlap", "of_ceiling", "corrected", "chance") for kind in ("easy", "hard")}
    assert set(second) == {"epoch", "rank_correlation", *names}
    rows = results.pairs.query("epoch == 2 and set == 'hard' and scope == 'global'")
    assert len(rows) == 3
    assert second["overlap_hard"] == pytest.approx(rows["rate"].mean())
    assert second["of_ceiling_hard"] == pytest.approx((rows["rate"] / rows["ceiling"]).mean())
    assert second["chance_hard"] == pytest.approx(rows["chance_given_classes"].mean())
    assert second["rank_correlation"] == pytest.approx(rows["rank_correlation"].mean())


def test_what_is_charted_leaves_out_the_unknown():
    _, second = metric_curves(match(make_models(trials=1)))
    assert "overlap_hard" in second
    assert not [name for name in second if name.startswith("of_ceiling")]


def test_disagreement_beyond_noise_is_counted():
    models = make_models(trials=6)
    planted = [17, 40, 77]
    for name, sign in (("a", -1), ("b", 1)):
        model = next(each for each in models if each.name == name)
        for losses_MN in model.losses:
            losses_MN[:, planted] = sign * 50
    table, beyond = disagreement_tables(models, make_table())
    assert list(table["example_id"][:3]) == [3 * row for row in planted]
    assert (table["z"][:3] < 0).all()  # harder for b
    assert (table["rank_a"][:3] <= 3).all()
    assert (table["rank_b"][:3] > COUNT - 3).all()
    (row,) = beyond.to_dict("records")
    assert (row["a"], row["b"], row["epoch"], row["n"]) == ("a", "b", 2, COUNT)
    assert row["beyond_noise"] >= 3
    assert row["beyond_noise"] == (np.abs(table["z"]) >= row["noise_limit"]).sum()


def test_pairs_without_trial_noise_make_no_disagreement():
    one, _ = make_models(trials=1)
    _, four = make_models()
    table, beyond = disagreement_tables([one, four], make_table())
    assert table.empty
    assert beyond.empty


def test_every_pair_stands_at_every_cut_and_at_the_run_s_own_as_in_the_pairs():
    results = match(make_models(("a", "b", "c")))
    table = results.sensitivity
    assert len(table) == 2 * 2 * 3 * 2 * 4  # moments, scopes, pairs, sets, measures
    own = table[(table["measure"] == "matching rate") & (table["fraction"] == QUICK.fraction)]
    key = ["a", "b", "epoch", "set", "scope"]
    both = own.merge(results.pairs, on=key, suffixes=("", "_pairs"), validate="1:1")
    assert len(both) == len(results.pairs)
    for name in ("rate", "chance_given_classes", "corrected", "ceiling", "updates_a"):
        np.testing.assert_array_equal(both[name], both[f"{name}_pairs"])
    ranked = table[table["measure"] == "rank-biased overlap"]
    assert ranked["ceiling"].isna().all()
    assert ranked["rate"].between(0, 1).all()
    assert {"sensitivity_global", "sensitivity_per_class"} <= matching_figures(results, "epoch").keys()


def test_trials_needed_stand_for_every_moment_and_set_or_it_is_said_that_they_cannot_be_told():
    for trials in (4, 3):
        results = match(make_models(("a", "b"), trials=trials))
        needed = trials_needed_table(results.repeats)
        assert len(needed) == 2 * 2 * 2 * 2  # models, moments, scopes, sets
        assert (needed["measured"] == trials).all()
        drawn = {name for name in matching_figures(results, "epoch") if name.startswith("trials")}
        assert drawn == ({"trials_a", "trials_b"} if trials == 4 else set())
        words = needed_in_words(needed)
        if trials == 3:
            assert (words[["trials for 0.8", "trials for 0.9"]] == "cannot be told").all(axis=None)
        assert needed["overlap"].notna().all() == (trials == 4)
