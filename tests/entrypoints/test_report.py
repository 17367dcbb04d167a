"""The entry point `report` in this process: what it writes, and that it writes the same again."""

import hashlib
import html
import json
import re
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest

from easiness import load_scores, tracking
from easiness.commandline import command
from easiness.reporting.page import LARGEST
from entrypoints.match import match
from entrypoints.report import report
from tests.browser import Browser, find_chromium
from tests.conftest import fresh_store
from tests.tiny_reports import log_ablation, log_scores
from tests.tiny_scores import tiny_planted


def call(*words, function=report):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [function.__name__, *words])
        command(function)


def call_wrongly(capsys, *words):
    """The one line on standard error of a call that must fail, and marks its run FAILED."""
    with pytest.raises(SystemExit) as ended:
        call(*words)
    assert ended.value.code == 2
    runs = mlflow.MlflowClient().search_runs(["0"], "tags.`easiness.kind` = 'report'")
    assert {run.info.status for run in runs} <= {"FAILED"}
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    return line


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(empty_store, tmp_path_factory):
    """A report of two score runs, their matching and an ablation, in a store of this module's own."""
    folder = tmp_path_factory.mktemp("report")
    dataset = tiny_planted()
    with fresh_store(empty_store, folder):
        scores = {name: log_scores(folder, dataset, name, seed) for seed, name in enumerate(("ant", "bee"))}
        call("--draws=20", "--threads=1", function=match)
        ablation = log_ablation(folder, dataset, "ant", scores["ant"])
        call("--name=all")
        yield SimpleNamespace(folder=folder / "reports" / "all", scores=scores, ablation=ablation, dataset=dataset)


def test_a_report_is_complete(made):
    names = set(files_of(made.folder))
    assert {"index.html", "manifest.json"} <= names
    for stem in (
        "models",
        "class_counts",
        "matching",
        "table1",
        "suspicious",
        "disagreement",
        "sensitivity",
        "trials_needed",
    ):
        assert {f"tables/planted_{stem}.{suffix}" for suffix in ("csv", "md", "tex")} <= names
    assert {f"tables/{stem}.csv" for stem in ("runs", "claims")} <= names
    drawn = {name.removesuffix(".svg") for name in names if name.endswith(".svg")}
    for stem in (
        "ant_histogram", "bee_trajectory", "bee_class_counts", "fig3_global", "fig3_per_class", "sensitivity_global",
        "heatmap_global_hard_bee", "heatmap_per_class_easy_ant",
        "ant_inverse_weights_accuracy", "ant_inverse_weights_removed",
    ):  # fmt: skip
        assert f"figures/planted_{stem}" in drawn
    assert all({f"{name}.png", f"{name}.pdf"} <= names for name in drawn)
    assert any(name.startswith("figures/planted_fig1_") for name in names)
    run = mlflow.MlflowClient().search_runs(["0"], "tags.`easiness.kind` = 'report'")[0]
    logged = {item.path for item in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert logged == {"index.html", "manifest.json", "figures", "scores", "tables"}


def test_the_scores_behind_a_page_lie_beside_it(made):
    for name, run_id in made.scores.items():
        frame = pd.read_parquet(made.folder / "scores" / f"planted_{name}.parquet")
        scores = load_scores(run_id)
        assert list(frame) == ["example_id", *(f"updates={updates:06d}" for updates in scores.updates_T)]
        assert frame["example_id"].tolist() == scores.table["example_id"].tolist()
        np.testing.assert_array_equal(frame.iloc[:, 1:].to_numpy().T, scores.trajectory_TN.astype(np.float32))


def test_the_page_needs_nothing_but_itself(made):
    page = (made.folder / "index.html").read_text(encoding="utf-8")
    assert len(page.encode()) < LARGEST
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    outside = [each for each in sources if not each.startswith(("data:", "#", "scores/"))]
    assert outside
    assert all("/#/experiments/0/runs/" in each for each in outside)
    assert "@import" not in page
    assert "url(" not in page
    alts = re.findall(r"<img[^>]* alt=\"([^\"]*)\"", page)
    assert len(alts) == page.count("<img ")
    assert all(alts)


def test_every_number_is_traced_to_its_inputs(made):
    manifest = json.loads((made.folder / "manifest.json").read_text())
    kinds = [run["kind"] for run in manifest["runs"]]
    assert kinds == ["score", "score", "match", "ablate"]
    assert {run["run_id"] for run in manifest["runs"]} >= {*made.scores.values(), made.ablation}
    for run in manifest["runs"]:
        assert run["fingerprint"] == made.dataset.fingerprint
        for path, digest in run["inputs"].items():
            address = path if path.startswith("runs:/") else f"runs:/{run['run_id']}/{path}"
            whose, name = address.removeprefix("runs:/").split("/", 1)
            assert hashlib.sha256(tracking.fetch(whose, name).read_bytes()).hexdigest() == digest
    trials, read = load_scores(made.scores["ant"]).manifest.trials, ("trial.json", "predicted/updates=000008.npy")
    assert set(manifest["runs"][0]["inputs"]) == {
        "scores/easiness.parquet", "scores/trajectory.npy", "scores/manifest.json", "preview/thumbnails.npz",
        *(f"runs:/{trial['run_id']}/{name}" for trial in trials for name in read),
    }  # fmt: skip
    assert manifest["runs"][0]["recipe"]["model"] == "ant"
    written = files_of(made.folder)
    assert set(manifest["outputs"]) == set(written) - {"manifest.json"}
    assert all(hashlib.sha256(written[name]).hexdigest() == digest for name, digest in manifest["outputs"].items())


def test_same_runs_same_bytes(made):
    first = files_of(made.folder)
    call("--name=all")
    again = files_of(made.folder)
    manifests = [json.loads(files.pop("manifest.json")) for files in (first, again)]
    assert first == again
    for manifest in manifests:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", manifest.pop("made_at"))
    assert manifests[0] == manifests[1]


def test_verdicts_carry_their_numbers(made):
    claims = pd.read_csv(made.folder / "tables" / "claims.csv").set_index("claim")
    ablation = pd.read_csv(made.folder / "tables" / "planted_ant_inverse_weights_accuracy.csv")
    means = ablation[ablation["ratio"] == 0.3].groupby("strategy")["accuracy"].mean()
    stepwise = claims.loc["Stepwise beats random"]
    assert stepwise["verdict"] == "holds"
    assert f"30 %: {100 * (means['stepwise'] - means['random']):+.2f} [" in stepwise["number"]
    assert claims.loc["Hard examples contribute more to generalization than easy ones", "verdict"] == "holds"
    page = html.unescape((made.folder / "index.html").read_text(encoding="utf-8"))
    assert all(number in page for number in claims["number"])
    assert all(f"{rule} {rates}" in page for rule, rates in zip(claims["rule"], claims["rates"], strict=True))
    assert len(claims) == 9
    assert "Easy examples change during the first 2 of 300 epochs" in claims.index


def test_suspicious_labels_are_hard_for_every_model(made):
    found = pd.read_csv(made.folder / "tables" / "planted_suspicious.csv")
    trajectories = [load_scores(run_id).trajectory_TN[-1] for run_id in made.scores.values()]
    least = np.min([scores.argsort().argsort() + 1 for scores in trajectories], axis=0)
    rows = [made.dataset.example_ids.tolist().index(each) for each in found["example_id"]]
    np.testing.assert_array_equal(found["rank"], least[rows])
    np.testing.assert_array_equal(found["rank"], np.sort(least)[::-1][: len(found)])
    names = made.dataset.class_names
    assert list(found["preferred"]) == [names[(made.dataset.labels[row] + 1) % len(names)] for row in rows]
    assert (found["preferred_share"] == 1).all()


@pytest.fixture(scope="module")
def browser():
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("needs a Chromium; on Debian: apt-get install chromium")
    with Browser(chromium) as opened:
        yield opened


@pytest.mark.parametrize("width", [1400, 390])
def test_the_page_in_a_browser(made, browser, width):
    browser.complaints.clear()
    browser.open((made.folder / "index.html").as_uri(), width=width)
    assert browser.run("[...document.images].filter(each => each.naturalWidth === 0).length") == 0
    assert browser.run("document.images.length") > 50
    # Nothing reaches out to the side of a phone.
    assert browser.run("document.documentElement.scrollWidth") == width

    table = "document.querySelector('table:has(caption):not(.turned)')"
    column = f"[...{table}.tHead.rows[0].cells].findIndex(each => each.textContent.startsWith('among_hardest'))"
    cells = f"[...{table}.tBodies[0].rows].map(row => Number(row.cells[{column}].dataset.value))"
    before = browser.run(cells)
    for order in (sorted(before), sorted(before, reverse=True)):
        browser.run(f"{table}.tHead.rows[0].cells[{column}].querySelector('button').click()")
        assert browser.run(cells) == order

    seen = "[...document.querySelectorAll('.filter')].length"
    assert browser.run(seen) > 0
    rows = "[...document.querySelector('.filter').parentElement.querySelectorAll('tbody tr')]"
    shown = f"{rows}.filter(row => !row.hidden).length"
    everything = browser.run(shown)
    script = "const f = document.querySelector('.filter'); f.value = 'sun'; f.dispatchEvent(new Event('input'))"
    browser.run(f"{{{script}}}")
    assert 0 < browser.run(shown) < everything

    item = "document.querySelector('.gallery .example')"
    assert browser.run(f"{item}.querySelector('.trajectory').checkVisibility()") is False
    browser.run(f"{item}.querySelector('summary').click()")
    assert browser.run(f"{item}.querySelector('.trajectory').checkVisibility()") is True
    assert browser.run(f"{item}.querySelectorAll('.trajectory polyline').length") == 2
    assert browser.complaints == []


@pytest.mark.parametrize("width", [1400, 390])
def test_heat_maps_are_one_figure_with_a_choice(made, browser, width):
    browser.open((made.folder / "index.html").as_uri(), width=width)
    menu = "[...document.querySelectorAll('.choice select')].find(each => each.textContent.includes('every class'))"
    maps = "[...document.querySelectorAll('figure[id*=heatmap]')]"
    shown = f"{maps}.filter(each => each.checkVisibility()).map(each => each.id)"
    everything, seen = browser.run(f"{maps}.map(each => each.id)"), []
    for choice in browser.run(f"[...{menu}.options].map(each => each.text)"):
        browser.run(f"{{const m = {menu}; m.value = {choice!r}; m.dispatchEvent(new Event('change'))}}")
        now = browser.run(shown)
        assert [("easy" in each, "hard" in each) for each in now] == [(True, False), (False, True)]
        seen += now
    assert sorted(seen) == sorted(everything)
    assert len(everything) == 8


@pytest.mark.parametrize("width", [1400, 390])
def test_the_page_uses_its_width(made, browser, width):
    browser.open((made.folder / "index.html").as_uri(), width=width)
    right = (
        "Math.max(...[...document.querySelectorAll('.verdicts li')].map(each => each.getBoundingClientRect().right))"
    )
    assert browser.run(right) > 0.9 * width
    cut = "[...document.querySelectorAll('.scrolling')].filter(each => each.checkVisibility()"
    cut = browser.run(f"{cut} && each.scrollWidth > each.clientWidth).map(each => each.textContent.slice(0, 60))")
    assert cut == [] or width == 390


def test_what_was_planted_is_counted(made):
    found = pd.read_csv(made.folder / "tables" / "planted_planted.csv").set_index(["model", "planted"])
    for name, run_id in made.scores.items():
        table = load_scores(run_id).table
        hardest = set(table.nlargest(len(table) // 10, "easiness")["example_id"])
        for words, group in (("wrong label", "mislabelled"), ("rare look", "minority")):
            ids = set(table.loc[table["group"] == group, "example_id"])
            row = found.loc[name, words]
            assert (row["images"], row["among_hardest"]) == (len(ids), len(ids & hardest))
            assert row["by_luck"] == pytest.approx(len(ids) / 10)
    page = (made.folder / "index.html").read_text(encoding="utf-8")
    assert page.index("What was planted, and what was found") < page.index("What holds on planted")


def test_all_is_there_without_the_script(made, browser, tmp_path):
    page = (made.folder / "index.html").read_text(encoding="utf-8")
    bare = tmp_path / "bare.html"
    bare.write_text(re.sub(r"<script>.*?</script>", "", page, flags=re.S), encoding="utf-8")
    texts = []
    for path in (made.folder / "index.html", bare):
        browser.open(path.as_uri())
        texts.append(
            browser.run("[...document.querySelectorAll('td, th, p, summary, figcaption')].map(e => e.textContent)")
        )
    assert texts[0] == texts[1]


def contrast(browser, dark):
    """Least contrast of text to its background among what is seen, as WCAG measures it."""
    return browser.run(
        """(() => {
        const light = colour => {
          const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const behind = e => { for (; e; e = e.parentElement) {
          const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$/.test(c)) return c; }
          return "rgb(255, 255, 255)"; };
        const texts = 'p, td, th, a, h1, h2, h3, figcaption, .badge, .place, summary';
        return Math.min(...[...document.querySelectorAll(texts)]
          .filter(e => e.textContent.trim() && e.checkVisibility()).map(e => {
            const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
            return (a + 0.05) / (b + 0.05); })); })()"""
    )


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_in_light_and_dark(made, browser, dark):
    browser.open((made.folder / "index.html").as_uri(), dark=dark)
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is not dark
    assert contrast(browser, dark) >= 4.5


def test_nothing_to_show_is_said_on_the_page_and_on_the_terminal(store, tmp_path, capsys):
    call()
    assert "there is nothing to show" in capsys.readouterr().out
    page = (tmp_path / "reports" / "Default" / "index.html").read_text(encoding="utf-8")
    assert "There is nothing to show" in page


def test_unfinished_runs_alone_are_named(store, tmp_path, capsys):
    with pytest.raises(ZeroDivisionError), tracking.tracked_run("score", "broken") as run_id:
        raise ZeroDivisionError
    call("--name=x")
    said = capsys.readouterr().out
    assert "there is nothing to show" in said
    assert f"passed over  score   {run_id}  unfinished: its status is FAILED" in said
    page = (tmp_path / "reports" / "x" / "index.html").read_text(encoding="utf-8")
    assert "unfinished: its status is FAILED" in page


def test_two_datasets_and_a_run_without_its_artifact(store, tmp_path, capsys):
    planted, other = tiny_planted(60), replace(tiny_planted(50), name="folder")
    log_scores(tmp_path, planted, "ant", 0)
    log_scores(tmp_path, planted, "bee", 1)
    named = log_scores(tmp_path, other, "ant", 2)
    broken = log_scores(tmp_path, planted, "cow", 3)
    shutil.rmtree(tmp_path / "mlruns" / "0" / broken / "artifacts" / "scores")
    call("--name=x")
    said = capsys.readouterr().out
    assert f"passed over  score   {broken}  an artifact is missing: run {broken} has no artifact scores" in said
    report_folder = tmp_path / "reports" / "x"
    page = (report_folder / "index.html").read_text(encoding="utf-8")
    for text in ('id="planted"', 'id="folder"', "an artifact is missing", "no ablate run was found", "no match run"):
        assert text in page
    assert list(pd.read_csv(report_folder / "tables" / "planted_models.csv")["model"]) == ["ant", "bee"]
    assert list(pd.read_csv(report_folder / "tables" / "folder_models.csv")["run_id"]) == [named]


def test_a_matching_of_one_model_is_not_denied(store, tmp_path):
    dataset = tiny_planted(60)
    log_scores(tmp_path, dataset, "ant", 0)
    scores = pd.DataFrame({"example_id": dataset.example_ids, "el2n": np.arange(60.0)})
    scores.to_csv(tmp_path / "outside.csv", index=False)
    call("--draws=20", "--threads=1", f"--against={tmp_path / 'outside.csv'}", function=match)
    call("--name=x")
    claims = pd.read_csv(tmp_path / "reports" / "x" / "tables" / "claims.csv").set_index("place")
    assert set(claims.loc["Fig. 3", "number"]) == {"the match run compares no pair of models"}
    assert claims.loc["Table 1", "number"].str.startswith("first and last set share").all()
    page = (tmp_path / "reports" / "x" / "index.html").read_text(encoding="utf-8")
    assert "no match run was found" not in page


def test_a_damaged_artifact_leaves_the_rest_of_the_report(store, tmp_path, capsys):
    dataset = tiny_planted(50)
    damaged, good = (log_scores(tmp_path, dataset, name, seed) for seed, name in enumerate(("ant", "bee")))
    (tmp_path / "mlruns" / "0" / damaged / "artifacts" / "preview" / "thumbnails.npz").write_bytes(b"PK no zip")
    call("--name=x", f"--runs={damaged},{good},{good}")
    said = capsys.readouterr().out
    assert f"passed over  score   {damaged}  an artifact cannot be read" in said
    assert said.count(f"  {good}  ") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--experiment=nowhere"], "there is no experiment 'nowhere'"),
        (["--runs=" + "0" * 32], "there is no run 0000"),
        (["--runs=1", "--experiment=Default"], "give one of the two"),
        (["--name=../up"], "name is '../up'"),
    ],
)
def test_wrong_words_are_answered_in_one_line(store, capsys, words, message):
    assert message in call_wrongly(capsys, *words)


def test_a_folder_that_is_no_report_is_left_alone(store, tmp_path, capsys):
    (tmp_path / "reports" / "x").mkdir(parents=True)
    (tmp_path / "reports" / "x" / "thesis.tex").write_text("mine")
    assert "is not a report; move it away" in call_wrongly(capsys, "--name=x")
    assert (tmp_path / "reports" / "x" / "thesis.tex").read_text() == "mine"


def test_a_page_of_another_score(store, tmp_path, capsys):
    dataset = tiny_planted()
    for seed, name in enumerate(("ant", "bee")):
        margin_TMN = np.random.default_rng(seed).normal(size=(2, 3, len(dataset)))
        log_scores(tmp_path / name, dataset, name, seed, measures={"margin": margin_TMN})
    call("--draws=20", "--threads=1", function=match)
    call("--draws=20", "--threads=1", "--score_by=aum", function=match)
    call("--name=aum", "--score_by=aum")
    folder = tmp_path / "reports" / "aum"
    passed_over = pd.read_csv(folder / "tables" / "passed_over.csv")
    assert passed_over["reason"].tolist() == [
        "its sets are cut by easiness, and this page is by aum; score_by=easiness shows it"
    ]
    page = (folder / "index.html").read_text()
    assert "Easy and hard examples, by AUM: aum" in page
    main = re.sub(r"<[^>]*>", " ", page[page.index("<main") : page.index("</main")])
    assert [line for line in main.splitlines() if "easiness" in line and "cut by easiness" not in line] == []
    models = pd.read_csv(folder / "tables" / "planted_models.csv")
    assert "aum_mean" in models
    assert "reliability" not in models
    suspects = pd.read_csv(folder / "tables" / "planted_suspicious.csv")
    assert list(suspects)[4:6] == ["aum", "rank"]
    call("--name=other")
    assert "score_by=aum shows it" in (tmp_path / "reports" / "other" / "tables" / "passed_over.csv").read_text()
    call("--name=none", "--score_by=heldout")
    assert "score_by is 'heldout', and score run" in capsys.readouterr().out
