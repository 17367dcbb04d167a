"""Every figure of README, and those of the reports in docs/, is computed here from the tables where it comes from."""

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from easiness.datasets.planted import draw_planted

ROOT = Path(__file__).resolve().parents[1]
DENSENET, WIDE = "densenet_bc_16_8", "wide_resnet_10_1"


# --- what the figures are computed from -----------------------------------------------------------------------------


@cache
def table(report, name):
    return pd.read_csv(ROOT / "reports" / report / "tables" / f"cifar10_{name}.csv")


def rows(report, name, **where):
    """Rows of a report's table, in order of their rate, where they have one."""
    found = table(report, name)
    for column, value in where.items():
        found = found[found[column] == value]
    assert len(found), (report, name, where)
    return found.sort_values("rate") if "rate" in found else found


def rate(row):
    """`.54 [.42, .66]`"""
    return f"{plain(row.rate)} [{plain(row.low)}, {plain(row.high)}]"


def plain(value):
    return f"{value:.2f}".removeprefix("0")


def percent(value):
    return f"{100 * value:.0f}"


def points(value):
    return f"{100 * value:+.1f}".replace("-", "−")


def ends(name):
    """Pairs of networks that share least and most at the last moment, with their intervals."""
    found = rows("cifar10", "matching", set=name, scope="global")
    return rate(found.iloc[0]), rate(found.iloc[-1])


def rates(name):
    found = rows("cifar10", "matching", set=name, scope="global")["rate"]
    return percent(found.min()), percent(found.max())


def luck():
    return plain(rows("cifar10", "matching", scope="global")["chance_given_classes"].max())


def of_ceiling(name):
    found = rows("cifar10", "matching", set=name, scope="global")
    shares = found["rate"] / found["ceiling"]
    return percent(shares.min()), percent(shares.max())


def seeds(epoch, name):
    """Rates of WRN and DenseNet-BC with common seeds, and with their own."""
    where = {"a": DENSENET, "b": WIDE, "epoch": epoch, "set": name, "scope": "global"}
    common, own = rows("cifar10", "common", **where), rows("cifar10", "matching_all", **where)
    return next(common.itertuples()), next(own.itertuples())


def stays():
    row = rows("cifar10", "table1", model=WIDE, set="easy", scope="global").iloc[0]
    return rate(row), plain(row.ceiling)


def needed():
    found = rows("cifar10", "trials_needed", epoch=5, scope="global")["trials for 0.8"]
    numbers = [int(text.split()[0]) for text in found]
    return min(numbers), max(numbers)


def published():
    found = rows("cifar10", "external", set="hard", scope="global", b="el2n_epoch20")
    return rate(found.iloc[0]), rate(found.iloc[-1])


def removal():
    row = rows("cifar10-ablation", f"{WIDE}_inverse_weights_differences", strategy="easy", ratio=0.9).iloc[0]
    return points(row.difference), points(row.low), points(row.high)


def networks_and_images():
    """Networks, images, trials and epochs of the report of CIFAR-10."""
    models = table("cifar10", "models")
    (images,) = set(table("cifar10", "matching_all")["n"])
    ((trials, epochs),) = set(zip(models["trials"], models["epochs"], strict=True))
    return WORDS[len(models)].title(), f"{images:,}", WORDS[trials], WORDS[epochs]


def ablated():
    """Images and seeds of the report of the ablation."""
    (seeds,) = set(table("cifar10-ablation", f"{WIDE}_inverse_weights_differences")["seeds"])
    return f"{table('cifar10-ablation', 'class_counts')['examples'].sum():,}", WORDS[seeds]


def suspects():
    shown = pd.read_csv(ROOT / "docs" / "pictures" / "suspects.csv")
    return len(shown), (shown["drawn_as"] == "mislabelled").sum()


def planted():
    groups = draw_planted("train").groups
    return f"{len(groups):,}", f"{100 * np.mean(groups == 'mislabelled'):.1f}"


def verdicts(report, said):
    """Verdicts of a report on its ablation: how many are `said`, and how many there are."""
    claims = pd.read_csv(ROOT / "reports" / report / "tables" / "claims.csv")
    claims = claims[claims["place"].str.startswith("Fig. 4")]
    return WORDS[(claims["verdict"] == said).sum()], WORDS[len(claims)]


# --- text, and what stands for {} in it -----------------------------------------------------------------------------

WORDS = {3: "three", 4: "four", 5: "five", 10: "ten"}

README = {
    "most suspicious of {} drawn pictures": lambda: planted()[:1],
    "Of these {}, {} have a wrong label, as have {} % of all": lambda: (*suspects(), planted()[1]),
    "{} small networks on {} images of CIFAR-10, {} trials each, after {} epochs": networks_and_images,
    "share {} to {} of their easiest tenth and {} to {} of their hardest; luck gives {} at most": (
        lambda: (*ends("easy"), *ends("hard"), luck())
    ),
    "That is {} to {} % and {} to {} % of the *ceiling*": lambda: (*of_ceiling("easy"), *of_ceiling("hard")),
    "two networks share {} of their hardest tenth with common seeds, and {} with seeds of their own": (
        lambda: map(rate, seeds(1, "hard"))
    ),
    "After five epochs, {} and {}.": lambda: (plain(row.rate) for row in seeds(5, "hard")),
    "share only {} to {} of the hardest tenth": published,
    "keeps {} of its easiest tenth, where noise alone would leave {}.": stays,
    "on {} images with {} seeds": ablated,
    "where 90 % are removed, easy instead of random ones, accuracy differs by {} points [{}, {}]": removal,
    "it takes {} to {} of them until as many fresh ones are predicted to find .8": needed,
}

COMPARE = {
    "on {} images, share {} to {} % of their easiest and {} to {} % of their hardest tenth": (
        lambda: (networks_and_images()[1], *rates("easy"), *rates("hard"))
    ),
    "That is {} to {} % and {} to {} % of the ceiling": lambda: (*of_ceiling("easy"), *of_ceiling("hard")),
    "share {} with own seeds and {} with common ones after one epoch, the hard sets {} and {}.": (
        lambda: map(rate, (*reversed(seeds(1, "easy")), *reversed(seeds(1, "hard"))))
    ),
    "nothing of this is left: {} and {}, {} and {}.": (
        lambda: (plain(row.rate) for row in (*reversed(seeds(5, "easy")), *reversed(seeds(5, "hard"))))
    ),
}

PRUNE = {
    "has {} images, two epochs and {} seeds": ablated,
    "easy instead of random leaves {} points [{}, {}]": removal,
    'says "cannot tell" of {} of its {} claims': lambda: verdicts("cifar10-ablation", "cannot tell"),
}

PAGES = {"README.md": README, "docs/compare.md": COMPARE, "docs/prune.md": PRUNE}
TRACED = [(page, text) for page, claims in PAGES.items() for text in claims]

# Other numbers of README between its title and its commands: names, and what its words define.
NAMES = ("CIFAR-10", "95 % intervals", "EL2N scores (ResNet-18, 20 epochs)")


def spoken(text):
    """A page in one line, without code and without the targets of links."""
    text = re.sub(r"(?s)```.*?```|<[^>]+>", " ", text)
    return " ".join(re.sub(r"\]\([^)]*\)", "]", text).split())


@pytest.mark.parametrize(("page", "text"), TRACED, ids=lambda part: part[:40])
def test_a_figure_is_that_of_its_table(page, text):
    said, wanted = spoken((ROOT / page).read_text()), text.format(*PAGES[page][text]())
    assert wanted in said, f"{page} does not say: {wanted}"


def test_no_other_figure_stands_among_the_results_of_readme():
    results, _ = (ROOT / "README.md").read_text().split("## Two commands")
    left = spoken(results)
    for known in [text.format(*values()) for text, values in README.items()] + list(NAMES):
        left = left.replace(known, "")
    assert re.findall(r"\S*\d\S*", left) == []


# --- figures of docs/ stand beside the command or the report that they come from --------------------------------------

# Pages that are made by a command, which they name, and the list of options.
GENERATED = ("parameters.md", "calibration.md", "trials-needed.md", "label-errors.md", "campaign.md")
# What was measured: decimals, percentages, ranges, and numbers with a unit.
MEASURED = re.compile(r"(?<![\w.=\-])[+−]?(?:\d*\.\d+|\d[\d,]*(?= ?(?:%|s|min|ms|MB|GiB|GFLOP/s|images/s|points)\b))")
# Defaults and definitions, and what another publication says.
DEFINED = ("0.1", "0.05", "0.01", "10 %", "0.8", "0.9", "8 GiB", "90 %", "95 %", "5, 10 and 20 %", "up to 30.6")
SOURCE = re.compile(r"\./run\.sh|\./test\.sh|easiness \w|-P \w+=|python -m |reports/|tests/")


def sections(text):
    """Heading and text of every part of a page, with its code, in which a comment is no heading."""
    parts = re.split(r"(?ms)(^```.*?^```$)|^(#+ [^\n]*)$", text)
    found = [["", ""]]
    for plain, code, heading in zip(parts[::3], [*parts[1::3], ""], [*parts[2::3], ""], strict=True):
        found[-1][1] += plain + (code or "")
        if heading:
            found.append([heading, ""])
    return found


def measured(text):
    """Figures of a section that are not defaults, definitions, versions or code."""
    text = re.sub(r"(?s)```.*?```|`[^`]*`|<!--.*?-->", " ", text)
    text = re.sub(r"\]\([^)]*\)|(?:Python|torch|version|schema|arXiv) [\d.]+(?:(?:,| to| and| or) [\d.]+)*", " ", text)
    for words in DEFINED:
        text = text.replace(words, " ")
    return MEASURED.findall(text)


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_a_figure_of_docs_stands_beside_its_command_or_report(page):
    text = page.read_text()
    if page.name in GENERATED:
        assert SOURCE.search(text.split("\n## ")[0]), f"{page.name} does not say what made it"
        return
    for heading, part in sections(text):
        if found := measured(part):
            assert SOURCE.search(part), f"{page.name}, {heading}: where do {found} come from?"


def test_a_figure_without_a_source_is_seen():
    assert measured("It is 12.5 % faster, takes 3 s, and gives .963.") == ["12.5", "3", ".963"]
    assert measured("By default 0.1, with Python 3.11 to 3.13, `x=0.25`, trial 3, and 2,000 pictures.") == []
    assert not SOURCE.search("It is 12.5 % faster.")


def test_reports_name_the_runs_that_they_show():
    for report in ("cifar10", "cifar10-ablation"):
        runs = json.loads((ROOT / "reports" / report / "manifest.json").read_text())["runs"]
        assert all(re.fullmatch(r"[0-9a-f]{32}", run["run_id"]) and run["inputs"] for run in runs)
