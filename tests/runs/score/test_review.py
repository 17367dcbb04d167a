"""The review page: its order, neighbours and size; and driven by keys in a browser, with markup in every text."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.sparse import csr_array

from easiness import tracking
from easiness.runs.score import review
from easiness.runs.score.tables import score_table
from easiness.runs.score.thumbnails import StoredPictures, read_thumbnails, write_thumbnails
from tests.browser import Browser, find_chromium
from tests.tiny_data import tiny_dataset

CLASSES = ("<img src=x onerror=alert(1)>", "</script><b>", '"Anna\'s", and', "=cmd()")
FILES = (
    "a/<img src=x onerror=alert(1)>.png",
    "</script><script>alert(1)</script>",
    '"b", c.png',
    "=cmd()",
    "-3",
    "\r\n@x",
)
RUN_ID = "ab" * 16


def made_dataset(count=30):
    dataset = tiny_dataset(count, classes=len(CLASSES))
    sources = [FILES[row] if row < len(FILES) else f"c/{row}.png" for row in range(count)]
    digests = dataset.digests.copy()
    digests[[8, 9]] = digests[4]  # of label 0: once under the same, once under another label
    marks = np.full(count, "", "<U32")
    marks[[4, 8, 9]] = "train, other label, val"
    return replace(dataset, class_names=CLASSES, sources=np.array(sources), digests=digests, duplicates=marks)


def made_table(dataset, *, out_of_fold=True):
    """Scores by which row 0 is the most suspicious, row 1 the second …; every other suggestion is the given label."""
    count, given_N = len(dataset), dataset.labels
    losses_MN = np.linspace(5, 0.1, count)[::-1] * np.ones((2, 1))
    other_N = np.where(np.arange(count) % 2 == 0, (given_N + 1) % len(CLASSES), given_N)
    table = score_table(dataset, losses_MN, predicted_MN=np.stack([other_N, other_N]))
    if out_of_fold:
        table["heldout_loss"] = np.linspace(9, 1, count)
        table["heldout_share"], table["memorization"] = 0.5, table["heldout_loss"] - table["easiness"]
        table["suggested_label"] = np.asarray(CLASSES, object)[other_N]
        table["suggested_share"] = np.linspace(1, 0.4, count)
    return table


def written(folder, dataset=None, table=None, pred_probs=None, **more):
    dataset = made_dataset() if dataset is None else dataset
    table = made_table(dataset) if table is None else table
    path = folder / "index.html"
    review.write_review(path, dataset, table, pred_probs, run_id=RUN_ID, title="<b>net</b>", **more)
    return path


def content(path):
    """What the page holds for its script."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.S)[1])


def test_the_order_is_by_heldout_loss_and_else_by_easiness():
    table = pd.DataFrame({"easiness": [1.0, 3.0, 2.0, 4.0]})
    np.testing.assert_array_equal(review.suspicion_order(table), [3, 1, 2, 0])
    table["heldout_loss"] = [5.0, 1.0, 6.0, 1.0]
    np.testing.assert_array_equal(review.suspicion_order(table), [2, 0, 1, 3])


def test_another_score_orders_the_page_and_is_named_there(tmp_path):
    dataset = made_dataset()
    table = made_table(dataset).assign(aum=np.arange(len(dataset)) % 7 - 3.0)
    np.testing.assert_array_equal(review.suspicion_order(table, "easiness"), np.argsort(-table["easiness"]))
    path = written(tmp_path, dataset, table, score_by="aum")
    shown = content(path)
    assert [example["row"] for example in shown["examples"]] == np.argsort(-table["aum"], kind="stable").tolist()
    assert shown["by"] == "AUM"
    assert "AUM" in [name for name, _ in shown["measures"]]


def test_suggestions_are_out_of_fold_and_else_those_of_most_trials():
    dataset = made_dataset()
    table = made_table(dataset)
    found = review.suggestions(table, CLASSES)
    assert found.labels_N[:5].tolist() == [1, 1, 3, 3, 1]
    np.testing.assert_array_equal(found.shares_N, table["suggested_share"])
    found = review.suggestions(made_table(dataset, out_of_fold=False), CLASSES)
    assert found.labels_N[:5].tolist() == [1, 1, 3, 3, 1]
    assert (found.shares_N == 1).all()
    assert (review.suggestions(pd.DataFrame({"easiness": [1.0]}), CLASSES).labels_N == -1).all()


def test_probabilities_are_estimated_from_the_loss_and_the_vote():
    table = pd.DataFrame({"label": [0, 1, 2], "easiness": -np.log([0.2, 0.7, 0.5])})
    suggested = review.Suggestions(np.array([2, 1, -1]), np.ones(3))
    found = review.estimated_probabilities(table, suggested, 3).toarray()
    np.testing.assert_allclose(found, [[0.2, 0, 0.8], [0, 0.7, 0], [0, 0, 0.5]])


@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_neighbours_are_the_nearest_of_other_content(kind):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(5), 60)
    keys = np.arange(60)
    keys[[7, 20, 21]] = 7
    probabilities[[7, 20, 21, 33]] = probabilities[7]  # three of one content, and one with the same probabilities
    rows = np.array([20, 3, 33])
    found = review.nearest(rows, kind(probabilities), keys, 4)
    for row, near in zip(rows, found, strict=True):
        distance = np.linalg.norm(probabilities - probabilities[row], axis=1)
        distance[keys == keys[row]] = np.inf
        distance[[20, 21]] = np.inf  # their content is looked at once
        np.testing.assert_allclose(distance[near], np.sort(distance)[:4])
    assert review.nearest(np.array([0]), kind(np.ones((3, 2))), np.arange(3), 4).shape == (1, 2)
    assert review.nearest(np.array([0]), kind(np.ones((3, 2))), np.zeros(3), 4).shape == (1, 0)


def test_of_very_many_examples_evenly_spaced_ones_are_candidates(monkeypatch):
    monkeypatch.setattr(review, "_CANDIDATES", 10)
    found = review.nearest(np.arange(95), np.random.default_rng(0).random((95, 3)), np.arange(95), 4)
    assert set(found.ravel()) <= set(range(0, 95, 10))
    assert (found != np.arange(95)[:, None]).all()


def test_the_page_holds_pictures_duplicates_and_numbers(tmp_path):
    dataset = made_dataset()
    held = content(written(tmp_path, dataset))
    assert [example["row"] for example in held["examples"]] == list(range(30))
    fifth = held["examples"][4]
    assert fifth["duplicates"] == [9, 8]  # another label first
    assert fifth["in_val"] is True
    assert held["examples"][5]["duplicates"] == []
    assert held["about"]["9"] == [int(dataset.example_ids[9]), "c/9.png", 1]
    assert fifth["numbers"][0] == "7.9"
    assert [name for name, _ in held["measures"]][:3] == ["held-out loss", "held-out agreement", "memorization"]
    for row in range(30):
        picture = Image.open(io.BytesIO(base64.b64decode(held["pictures"][f"{row}"])))
        np.testing.assert_array_equal(np.asarray(picture), dataset.images[row])


def test_many_duplicates_are_counted(tmp_path):
    dataset = tiny_dataset(30, classes=len(CLASSES))
    dataset = replace(dataset, class_names=CLASSES, digests=np.zeros((30, 16), np.uint8))
    first = content(written(tmp_path, dataset))["examples"][0]
    assert (len(first["duplicates"]), first["more_duplicates"], first["neighbours"]) == (6, 23, [])


def test_without_heldout_columns_the_hardest_come_first(tmp_path):
    dataset = made_dataset()
    path = written(tmp_path, dataset, made_table(dataset, out_of_fold=False))
    held = content(path)
    assert [example["row"] for example in held["examples"]] == list(range(29, -1, -1))
    assert [name for name, _ in held["measures"]] == ["easiness", "spread over trials", "rank"]
    assert "they trained on it" in path.read_text()


@pytest.mark.parametrize("greatest_alone", [False, True])
def test_neighbours_are_those_of_the_given_probabilities(tmp_path, greatest_alone):
    probabilities = np.zeros((30, 4), np.float16)
    probabilities[:, 2] = np.linspace(0, 1, 30) ** 2
    if greatest_alone:
        greatest = np.zeros((30, 2), [("label", "<i4"), ("share", "<f2")])
        greatest["label"], greatest["share"] = [2, 1], probabilities[:, [2, 1]]
        probabilities = greatest
    path = written(tmp_path, pred_probs=probabilities)
    assert content(path)["examples"][0]["neighbours"] == [1, 2, 3, 4]
    assert "predicted by trials that held them out" in path.read_text()


def test_the_page_stays_below_its_bound_with_smaller_pictures_and_at_last_fewer_examples(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (60, 64, 64, 3)).astype(np.uint8)
    dataset = replace(tiny_dataset(60, classes=4), images=noise, class_names=CLASSES)
    path = written(tmp_path, dataset, parts=["<p>x</p>"])
    in_all, in_pictures = path.stat().st_size, len(json.dumps(content(path)["pictures"]))
    for removed, fewest, most in ((in_pictures // 2, 60, 60), (in_pictures - 200, 5, 30)):
        monkeypatch.setattr(review, "MOST_BYTES", in_all - removed)
        held = content(written(tmp_path, dataset, parts=["<p>x</p>"]))
        assert path.stat().st_size <= in_all - removed
        assert fewest <= len(held["examples"]) <= most
        shown = {row for example in held["examples"] for row in (example["row"], *example["neighbours"])}
        assert set(held["pictures"]) == {f"{row}" for row in shown}


def test_the_page_asks_nobody_else(tmp_path):
    text = written(tmp_path).read_text()
    assert "http" not in text
    assert "alert(1)>" not in text
    assert "<h1>&lt;b&gt;net&lt;/b&gt;</h1>" in text


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser():
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("needs a Chromium; on Debian: apt-get install chromium")
    with Browser(chromium) as opened:
        yield opened


@pytest.fixture
def page(browser, tmp_path):
    """A new page in the browser, with nothing decided."""
    path = written(tmp_path)
    browser.complaints.clear()
    browser.open(path.as_uri())
    browser.run("localStorage.clear()")
    browser.open(path.as_uri())
    yield path
    assert browser.complaints == []


def text(browser, selector):
    return browser.run(f"document.querySelector({selector!r}).innerText")


def decided_row(dataset, row, decision, label=""):
    given = CLASSES[dataset.labels[row]]
    ids = {"example_id": f"{dataset.example_ids[row]}", "file": dataset.sources[row]}
    return ids | {"decision": decision, "label": label, "given_label": given, "fingerprint": dataset.fingerprint}


def test_ten_decisions_by_keys(browser, page, tmp_path):
    dataset = made_dataset()
    browser.press("k", "r", "s", "Enter", "?", "Escape", "r", "u", "s", "k")  # rows 0 to 5
    browser.press("l", *"<b>", "Enter")  # row 6, by a part of the name
    browser.press("l", "Escape", "r", "ArrowUp", "r", "ArrowDown", "p", "r")  # row 7, taken back and decided anew
    browser.press("l", "ArrowDown", "ArrowDown", "Enter", "l", "Enter")  # rows 8, 9
    assert text(browser, "#count") == "10 of 30 decided"
    path = browser.download(tmp_path, "document.getElementById('download').click()")
    assert path.name == "decisions.csv"
    expected = [
        decided_row(dataset, 0, "keep"),
        decided_row(dataset, 1, "remove"),
        decided_row(dataset, 2, "relabel", CLASSES[3]),
        decided_row(dataset, 3, "keep"),  # the suggestion is the given label
        decided_row(dataset, 4, "relabel", CLASSES[1]),
        decided_row(dataset, 5, "keep"),
        decided_row(dataset, 6, "relabel", CLASSES[1]),
        decided_row(dataset, 7, "remove"),
        decided_row(dataset, 8, "relabel", CLASSES[2]),
        decided_row(dataset, 9, "relabel", CLASSES[0]),
    ]
    assert path.read_bytes().decode() == tracking.to_csv(pd.DataFrame(expected))
    back = tracking.read_table(path).fillna("").astype(str)
    pd.testing.assert_frame_equal(back, pd.DataFrame(expected), check_dtype=False)


def test_markup_shows_as_text(browser, page):
    assert browser.run("document.querySelectorAll('[onerror]').length") == 0
    assert browser.run("[...document.images].filter(each => !each.src.startsWith('data:image/webp;')).length") == 0
    names = browser.run("[...document.querySelectorAll('.head h3')].map(each => each.textContent)")
    assert names[:6] == list(FILES)
    labels = browser.run("[...document.querySelectorAll('.labels')].slice(0, 4).map(each => each.textContent)")
    for label, name in zip(labels, CLASSES, strict=True):
        assert label.startswith(f"labelled {name} · suggested ")
    browser.press("l")
    assert browser.run("[...document.querySelectorAll('#classes li')].map(each => each.textContent)") == list(CLASSES)
    browser.press("Escape")
    alternative = browser.run("document.images[0].alt")
    assert alternative == f"{FILES[0]}, labelled {CLASSES[0]}"


def test_examples_without_a_picture_are_judged_by_their_names(browser, tmp_path):
    dataset = made_dataset()
    write_thumbnails(tmp_path / "some.npz", dataset, [0])
    kept = StoredPictures(dataset.example_ids, read_thumbnails(tmp_path / "some.npz"))
    browser.complaints.clear()
    browser.open(written(tmp_path, replace(dataset, images=kept)).as_uri())
    assert browser.run("document.querySelectorAll('.card > img').length") == 1
    assert browser.run("document.querySelectorAll('.card > .no-picture').length") == 19  # of a page
    rectangle = "document.querySelector('.card > .no-picture').getBoundingClientRect()"
    sides = [browser.run(f"{rectangle}.{side}") for side in ("width", "height")]
    assert sides[0] == pytest.approx(sides[1], abs=1)
    assert browser.complaints == []


def test_decisions_stay_and_are_uploaded_again(browser, page, tmp_path):
    browser.press("k", "r", "s")
    browser.open(page.as_uri())
    assert text(browser, "#count") == "3 of 30 decided"
    saved = browser.download(tmp_path, "document.getElementById('download').click()")
    browser.press("u")  # nothing of this visit
    browser.run("localStorage.clear()")
    browser.open(page.as_uri())
    assert text(browser, "#count") == "0 of 30 decided"

    # Of an example that another page showed: it stays in the file.
    more = decided_row(made_dataset(), 29, "remove") | {"example_id": "999999", "file": "else\nwhere"}
    whole = pd.concat([pd.read_csv(saved, dtype=str, keep_default_na=False), pd.DataFrame([more])])
    whole.to_csv(saved, index=False, lineterminator="\r\n", encoding="utf-8-sig")  # as a spreadsheet would
    upload(browser, saved)
    assert text(browser, "#count") == "3 of 30 decided"
    assert text(browser, "#status").startswith("4 decisions taken from decisions.csv.")
    again = tmp_path / "again"
    again.mkdir()
    path = browser.download(again, "document.getElementById('download').click()")
    assert path.read_text() == whole.to_csv(index=False)
    browser.press("u")
    assert text(browser, "#count") == "0 of 30 decided"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("fingerprint", "cd" * 32, "row 1 is of data with fingerprint cdcdcdcdcdcd…"),
        ("decision", "maybe", "row 1 has decision maybe, not keep, remove, relabel"),
        ("label", "dog", "row 1 has label dog, which is no class here"),
        ("file", None, "it has no column file"),
    ],
)
def test_a_wrong_file_is_refused(browser, page, tmp_path, column, value, said):
    row = decided_row(made_dataset(), 0, "relabel", CLASSES[2]) | {column: value}
    rows = pd.DataFrame([row])
    rows.drop(columns=[column] if value is None else []).to_csv(tmp_path / "x.csv", index=False)
    upload(browser, tmp_path / "x.csv")
    assert text(browser, "#status").startswith(f"x.csv was not taken: {said}")
    assert text(browser, "#count") == "0 of 30 decided"


def upload(browser, path):
    """Choose a file, and wait until it was read."""
    browser.run(
        "window.heard = new Promise(done => new MutationObserver(done).observe(status_(), {childList: true}))".replace(
            "status_()", "document.getElementById('status')"
        )
        + ", 0"
    )
    document = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])
    browser.run("window.heard.then(() => 0)")


def test_filters_by_class_by_pair_and_by_decision(browser, page):
    def rows_shown():
        return browser.run("[...document.querySelectorAll('.card')].map(each => each.example.row)")

    def choose(name, value):
        browser.run(f"{{ const e = document.getElementById('{name}'); e.value = '{value}'; e.onchange() }}")

    assert len(rows_shown()) == 20
    browser.run("document.getElementById('after').click()")
    assert rows_shown() == list(range(20, 30))
    choose("given", 1)
    assert rows_shown() == list(range(1, 30, 4))
    assert browser.run("document.getElementById('pair').options[1].textContent") == f"{CLASSES[1]} → {CLASSES[1]} (8)"
    choose("given", "")
    choose("pair", "0,1")
    assert rows_shown() == list(range(0, 30, 4))
    browser.press("k", "r")
    choose("show", "remove")
    assert rows_shown() == [4]
    choose("show", "undecided")
    assert rows_shown() == list(range(8, 30, 4))


def test_decisions_by_mouse(browser, page):
    def click(row, decision):
        selector = f".card:nth-child({row + 1}) [data-decision={decision}]"
        browser.run(f"document.querySelector('{selector}').click()")

    click(2, "relabel")
    click(3, "remove")
    pressed = "[...document.querySelectorAll('.actions [aria-pressed=true] span')].map(each => each.textContent)"
    assert browser.run(pressed) == [f"Relabel as {CLASSES[3]}", "Remove"]
    assert text(browser, "#status").endswith("remove. 2 of 30 decided.")
    click(3, "remove")
    assert text(browser, "#count") == "1 of 30 decided"
    browser.run("document.getElementById('undo').click()")
    assert text(browser, "#count") == "2 of 30 decided"


def test_a_view_without_storage_says_so_and_gives_the_text(browser, page, tmp_path):
    """In a frame as MLflow's view of artifacts makes it."""
    frame = tmp_path / "frame.html"
    frame.write_text(
        "<script>addEventListener('message', event => { window.said = event.data })</script>"
        "<iframe sandbox='allow-scripts' id=f></iframe>"
    )
    probe = """<script>addEventListener("load", () => {
      document.querySelector(".actions button").click();
      document.getElementById("download").click();
      const ids = ["storing", "csv", "count"].map(name => document.getElementById(name));
      parent.postMessage(ids.map(each => each.value ?? each.textContent), "*");
    })</script>"""
    browser.open(frame.as_uri())
    html = json.dumps(page.read_text() + probe)
    script = "new Promise(done => {{ addEventListener('message', event => done(event.data)); {} }})"
    load = f"document.getElementById('f').src = URL.createObjectURL(new Blob([{html}], {{type: 'text/html'}}))"
    storing, csv, count = browser.run(script.format(load))
    assert storing.startswith("This view keeps no decisions and saves no file")
    assert csv == tracking.to_csv(pd.DataFrame([decided_row(made_dataset(), 0, "keep")]))
    assert count == "1 of 30 decided"
    browser.complaints[:] = [said for said in browser.complaints if "allow-downloads" not in said]


@pytest.mark.parametrize("width", [1400, 390])
def test_nothing_reaches_out_to_the_side(browser, page, width):
    browser.open(page.as_uri(), width=width)
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run("[...document.images].filter(each => each.naturalWidth === 0).length") == 0


def test_every_control_has_a_name_and_progress_is_announced(browser, page):
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    controls = {"button", "combobox", "link", "image", "progressbar"}
    named = [(node["role"]["value"], node["name"]["value"]) for node in nodes if node["role"]["value"] in controls]
    assert len(named) > 100
    assert [role for role, name in named if not name] == []
    assert browser.run("document.getElementById('status').getAttribute('role')") == "status"
    browser.press("ArrowDown")
    assert browser.run("document.activeElement.ariaCurrent + document.activeElement.tagName") == "trueLI"
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
