"""Error rates of verdicts: a share of them measured anew, with limits that follow from the error of so few draws."""

import math
import re
from pathlib import Path

import pytest

from easiness.benchmarks import calibration, verdict_rates
from easiness.benchmarks.verdict_rates import Rate, measure, section, settings
from easiness.reporting.rules import RULES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "calibration.md"
FALSE = 0.025  # share of cases in which a claim may be said to hold where it is not true

# What a rule's "found" is about, among the lines of docs/calibration.md.
EFFECTS = {
    "shared": "true difficulties correlate by 0.5",
    "changing": "true difficulties correlate by 0.8",
    "diverse": "both steps of 0.05",
} | dict.fromkeys(("hard", "many", "stepwise_easy", "stepwise_random"), "one point, 5 seeds")


def error(share, draws):
    """How far a share may be off by luck, once in 2,000 runs."""
    return 3.3 * math.sqrt(share * (1 - share) / draws)


def named(rule, drawn):
    [setting] = [setting for setting in settings() if (setting.rule, setting.drawn) == (rule, drawn)]
    return setting


def documented():
    """Lines of the page: rule, drawn, whether the claim is true, number of verdicts, share that holds."""
    text = PAGE.read_text(encoding="utf-8").split("## Verdicts")[1]
    return [
        (rule, drawn, true == "yes", int(count), float(holds))
        for rule, drawn, true, count, holds in re.findall(
            r"\| (\w+) \| (.+?) \| (yes|no) \| (\d+) \| ([\d.]+) \| [\d.]+ \|", text
        )
    ]


@pytest.mark.parametrize(
    ("rule", "drawn", "draws"),
    [
        ("shared", "unrelated rankings, bimodal", 500),
        ("changing", "unchanged, log-normal, noise 1.5 to 0.5", 500),
        ("diverse", "easy alone differs", 60),
        ("diverse", "contrast alone differs, by factors of 2", 60),
        ("hard", "hard as easy, 3 points below random, 5 seeds", 200),
        ("many", "equal arms, 5 seeds", 200),
        ("stepwise_easy", "equal arms, 5 seeds", 200),
        ("stepwise_random", "equal arms, 5 seeds", 200),
    ],
)
def test_what_is_not_there_is_hardly_ever_said_to_hold(rule, drawn, draws):
    rate = measure(named(rule, drawn), draws, seed=1)
    # Easy and hard sets of one drawing are two verdicts, and depend on each other.
    assert rate.holds <= FALSE + error(FALSE, rate.verdicts / (2 if rule in ("shared", "changing") else 1))


@pytest.mark.parametrize("rule", RULES)
def test_what_is_there_is_found_as_often_as_the_page_says(rule):
    setting = named(rule, EFFECTS[rule])
    rate = measure(setting, 150 if setting.slow else 60, seed=1)
    found = RULES[rule].found
    assert abs(rate.holds - found) <= error(min(max(found, 0.1), 0.9), 15 if setting.slow else 60)


def test_rules_carry_the_rates_that_the_page_documents():
    lines = documented()
    assert [line[:3] for line in lines] == [(each.rule, each.drawn, each.is_there) for each in settings()]
    for name, rule in RULES.items():
        of_rule = [line for line in lines if line[0] == name]
        [found] = [line[4] for line in of_rule if line[1] == EFFECTS[name]]
        assert rule.found == pytest.approx(found, abs=0.0006)
        # Settings of one kind, such as three shapes of losses, are counted together.
        kinds = {line[1].split(",")[0] for line in of_rule if not line[2]}
        shares = []
        for kind in kinds:
            verdicts = {line[1]: line[3] for line in of_rule if line[1].split(",")[0] == kind}
            held = sum(line[3] * line[4] for line in of_rule if line[1] in verdicts)
            shares.append(held / sum(verdicts.values()))
        assert rule.false == pytest.approx(max(shares), abs=0.0006)
        assert rule.false <= FALSE + error(FALSE, 600)


def test_section_has_a_line_for_every_setting():
    setting = named("many", "equal arms, 5 seeds")
    text = section([Rate(setting, 1000, 0.0123, 0.02)], "python", "today")
    assert text.startswith("## Verdicts\n\n`python`, today.")
    assert "| many | equal arms, 5 seeds | no | 1000 | 0.012 | 0.020 |" in text


def test_section_is_printed(monkeypatch, capsys):
    few = [named("many", "equal arms, 5 seeds"), named("shared", "unrelated rankings, Gaussian")]
    monkeypatch.setattr(calibration, "settings", lambda: few)
    calibration.main(["verdicts", "--draws", "5"])
    text = capsys.readouterr().out
    assert text.startswith("## Verdicts\n\n`python -m easiness.benchmarks.calibration verdicts --draws 5`")
    assert "| many | equal arms, 5 seeds | no | 5 |" in text
    assert "| shared | unrelated rankings, Gaussian | no | 2 |" in text  # one drawing, easy and hard


def test_every_draw_is_another_and_the_same_again():
    setting = named("stepwise_random", "one point, 5 seeds")
    assert measure(setting, 20) == measure(setting, 20)
    assert {verdict_rates.measure(setting, 8, seed).holds for seed in range(6)} != {0.0}
