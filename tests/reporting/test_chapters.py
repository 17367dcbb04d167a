from types import SimpleNamespace

import pandas as pd
import pytest

from easiness.reporting.chapters import judge_dataset, make_chapters
from easiness.runs.ablate.reading import Ablation
from easiness.runs.match.reading import Matching
from easiness.runs.score.reading import Scores

A, B = "a" * 64, "b" * 64


def result(kind, dataset, fingerprint, **more):
    """A result of which only what chapters look at is there."""
    made = object.__new__(kind)
    manifest = SimpleNamespace(dataset=dataset, fingerprint=fingerprint, **more.pop("manifest", {}))
    vars(made).update(manifest=manifest, **more)
    return SimpleNamespace(result=made)


def scores(dataset, fingerprint, images):
    return result(Scores, dataset, fingerprint, table=pd.DataFrame(index=range(images)))


def matching(dataset, fingerprint):
    pairs = pd.DataFrame({"set": [], "scope": []})
    moments = pairs.assign(updates_a=[], updates_b=[])
    return result(Matching, dataset, fingerprint, manifest={"lengths": {}}, results=None, pairs=pairs, moments=moments)


def ablation(dataset, fingerprint, images, weighting="rank"):
    rows = [("none", 0.0, 0.9, images)] + [(name, 0.5, 0.8, images // 2) for name in ("easy", "hard", "random")]
    rows = [(*row, seed) for row in rows for seed in (0, 1)]
    accuracy = pd.DataFrame(rows, columns=["strategy", "ratio", "accuracy", "images", "seed"])
    about = {"recipe": {"model": "net"}, "weighting": weighting, "score_by": "easiness", "offset": 0.05}
    about |= dict.fromkeys(("balanced", "equal_updates", "equal_epochs"), False)
    return result(Ablation, dataset, fingerprint, tables={"accuracy": accuracy}, manifest=about)


def test_data_of_one_name_are_told_by_their_size_or_else_by_their_fingerprint():
    chapters = make_chapters([scores("cifar10", A, 25_000), ablation("cifar10", B, 10_000), scores("other", A, 5)])
    assert [each.title for each in chapters] == ["cifar10, 25,000 images", "cifar10, 10,000 images", "other"]
    assert [each.key for each in chapters] == ["cifar10_aaaaaaaa", "cifar10_bbbbbbbb", "other"]
    same = make_chapters([scores("cifar10", A, 10), scores("cifar10", B, 10)])
    assert [each.title for each in same] == ["cifar10, fingerprint aaaaaaaa", "cifar10, fingerprint bbbbbbbb"]


def test_every_claim_is_judged_by_the_data_that_have_runs_for_it(monkeypatch):
    monkeypatch.setattr(Matching, "diversity", None, raising=False)
    chapters = make_chapters([matching("cifar10", A), scores("cifar10", A, 100), ablation("cifar10", B, 10)])
    verdicts = judge_dataset(chapters)
    assert len(verdicts) == 9
    assert [each.claim.rsplit("(", 1)[-1] for each in verdicts] == ["100 images)"] * 5 + ["10 images)"] * 4
    assert not any("no match run;" in each.number or "no ablate run" in each.number for each in verdicts)


@pytest.mark.parametrize("entries", [[], [scores("cifar10", A, 10)]])
def test_claims_without_a_run_say_which_is_missing(entries):
    numbers = [each.number for each in judge_dataset(make_chapters(entries))]
    assert len(numbers) == 9
    assert all("no match run" in number for number in numbers[:5])
    assert all("no ablate run" in number for number in numbers[5:])


def test_of_several_ablations_each_is_named():
    chapters = make_chapters([ablation("cifar10", A, 10), ablation("cifar10", A, 10, weighting="inverse")])
    claims = [each.claim for each in judge_dataset(chapters)[5:]]
    assert len(claims) == len(set(claims)) == 8
    assert sum("(net, inverse weights)" in claim for claim in claims) == 4
