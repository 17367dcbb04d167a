"""Decisions of a review: what they change, by which name an example is found, and what is refused."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easiness.datasets.dataset import limited
from easiness.datasets.decisions import KINDS, REMOVED, Listing, decide, decided_labels, read_decisions
from tests.tiny_data import tiny_dataset

HEAD = "example_id,file,decision,label,given_label,fingerprint"
COUNT, VAL = 21, 9


def written(path, rows, head=HEAD):
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return read_decisions(path)


def row_of(data, row, decision, label="", **other):
    """One row of the file, as a review page writes it."""
    said = {
        "example_id": data.example_ids[row],
        "file": data.sources[row],
        "decision": decision,
        "label": label,
        "given_label": data.class_names[data.labels[row]],
        "fingerprint": data.fingerprint,
    } | other
    return [said[name] for name in HEAD.split(",")]


@pytest.fixture
def data():
    return tiny_dataset(COUNT)


@pytest.fixture
def val():
    return tiny_dataset(VAL, split="val", seed=1)


def test_labels_are_replaced_and_examples_left_out(data, val, tmp_path):
    rows = [
        row_of(data, 4, "relabel", "class 2"),
        row_of(data, 7, "remove"),
        row_of(data, 0, "keep"),
        row_of(data, 20, "relabel", "class 0"),
    ]
    before = data.labels.copy()
    found = decide(data, written(tmp_path / "d.csv", rows), data, val.sources)
    rest = np.delete(np.arange(COUNT), 7)
    np.testing.assert_array_equal(found.example_ids, data.example_ids[rest])
    expected = before.copy()
    expected[[4, 20]] = [2, 0]
    np.testing.assert_array_equal(found.labels, expected[rest])
    np.testing.assert_array_equal(found.images, data.images[rest])
    np.testing.assert_array_equal(data.labels, before)
    assert found.fingerprint != data.fingerprint


@given(st.data())
def test_the_fingerprint_is_of_the_decisions_and_not_of_their_order(tmp_path_factory, data):
    train, val = tiny_dataset(COUNT), tiny_dataset(VAL, split="val", seed=1)
    path = tmp_path_factory.mktemp("decided") / "d.csv"
    chosen = data.draw(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=6, unique=True))
    rows = []
    for row in chosen:
        kind = data.draw(st.sampled_from(KINDS))
        label = data.draw(st.sampled_from(train.class_names)) if kind == "relabel" else ""
        rows.append(row_of(train, row, kind, label))
    first = decide(train, written(path, rows), train, val.sources)
    again = decide(train, written(path, data.draw(st.permutations(rows))), train, val.sources)
    assert first.fingerprint == again.fingerprint
    changes = [row for row in rows if row[2] == "remove" or (row[2] == "relabel" and row[3] != row[4])]
    assert (first.fingerprint == train.fingerprint) == (not changes)
    if changes:
        fewer = decide(train, written(path, changes[1:] or [row_of(train, 0, "keep")]), train, val.sources)
        assert fewer.fingerprint != first.fingerprint
        np.testing.assert_array_equal(
            first.fingerprint, decide(train, written(path, changes), train, val.sources).fingerprint
        )


def test_one_of_file_and_id_is_enough(data, val, tmp_path):
    by_file = written(tmp_path / "a.csv", [["train#4", "remove", ""]], "file,decision,label")
    by_id = written(tmp_path / "b.csv", [[data.example_ids[4], "remove", ""]], "example_id,decision,label")
    expected = np.delete(data.example_ids, 4)
    for decisions in (by_file, by_id):
        np.testing.assert_array_equal(decide(data, decisions, data, val.sources).example_ids, expected)


def test_names_are_words_whatever_they_look_like(val, tmp_path):
    plain = tiny_dataset(9)
    data = type(plain)(**vars(plain) | {"class_names": ("007", "=cmd", "true"), "sources": plain.sources.copy()})
    data.sources[:3] = ["1", "=1+1", "2020-01-01"]
    rows = [row_of(data, 0, "relabel", "'=cmd"), row_of(data, 1, "relabel", "007", file="'=1+1", given_label="'=cmd")]
    rows += [row_of(data, 2, "relabel", "007")]
    assert decide(data, written(tmp_path / "d.csv", rows), data, val.sources).labels[:3].tolist() == [1, 0, 0]


def test_decisions_on_the_rest_of_the_data_are_counted(data, val, tmp_path, caplog):
    part = limited(data, 6, seed=0)
    out = np.setdiff1d(np.arange(COUNT), np.flatnonzero(np.isin(data.example_ids, part.example_ids)))[0]
    inside = np.flatnonzero(np.isin(data.example_ids, part.example_ids))[0]
    decisions = written(tmp_path / "d.csv", [row_of(data, out, "remove"), row_of(data, inside, "remove")])
    with caplog.at_level(logging.INFO, "easiness"):
        found = decide(part, decisions, data, val.sources)
    np.testing.assert_array_equal(found.example_ids, part.example_ids[1:])
    assert "0 relabelled, 1 removed; 1 changes are of examples that are not in this part" in caplog.text


def test_the_validation_set_stays_as_it_is(data, val, tmp_path, caplog):
    rows = [row_of(val, 3, "remove"), row_of(val, 4, "relabel", "class 0"), row_of(data, 5, "remove")]
    decisions = written(tmp_path / "d.csv", [row[1:4] for row in rows], "file,decision,label")
    found = decide(data, decisions, data, val.sources)
    assert len(found) == COUNT - 1
    assert "2 of 3 decisions are on validation images, which stay as they are" in caplog.text


def test_a_review_of_another_part_of_the_data_is_used_with_a_warning(data, val, tmp_path, caplog):
    part = limited(data, 6, seed=0)
    row = np.flatnonzero(data.example_ids == part.example_ids[1])[0]
    decisions = written(tmp_path / "d.csv", [row_of(data, row, "remove", fingerprint=part.fingerprint)])
    assert len(decide(part, decisions, data, val.sources)) == 5
    assert not caplog.records
    assert len(decide(data, decisions, data, val.sources)) == COUNT - 1
    assert f"made for data with fingerprint {part.fingerprint[:12]}, and these data have " in caplog.text


@pytest.mark.parametrize("missing", ["file", "given_label"])
def test_a_review_of_other_data_is_refused_where_files_and_labels_cannot_tell(data, val, tmp_path, missing):
    names = [name for name in HEAD.split(",") if name != missing]
    row = dict(zip(HEAD.split(","), row_of(data, 3, "remove", fingerprint="ab" * 32), strict=True))
    decisions = written(tmp_path / "d.csv", [[row[name] for name in names]], ",".join(names))
    with pytest.raises(ValueError, match=f"made for data with fingerprint {'ab' * 6}, and these data have [0-9a-f]"):
        decide(data, decisions, data, val.sources)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"file": "train#211"}, r"row 1 \(train#211\): it is not in these data; the nearest are train#1"),
        ({"example_id": 1}, "example_id is 1, and that file is 1021 here"),
        ({"decision": "relabel", "label": "clas 2"}, "label 'clas 2' is not a class; the nearest are class 2, class"),
        ({"given_label": "class 2"}, "given_label is 'class 2', and it is 'class 0' here"),
        ({"file": "no", "fingerprint": "ab" * 32}, r"not in these data; .* \(made for data with fingerprint abab"),
    ],
)
def test_what_is_not_of_these_data_is_refused(data, val, tmp_path, chosen, message):
    decisions = written(tmp_path / "d.csv", [row_of(data, 3, **({"decision": "remove"} | chosen))])
    with pytest.raises(ValueError, match=message):
        decide(data, decisions, data, val.sources)


def test_five_nearest_files_are_named(data, val, tmp_path):
    decisions = written(tmp_path / "d.csv", [["train#1O", "remove", ""]], "file,decision,label")
    with pytest.raises(ValueError, match="the nearest are train#1") as refused:
        decide(data, decisions, data, val.sources)
    assert str(refused.value).count("train#") == 6


def test_an_unknown_id_is_refused(data, val, tmp_path):
    decisions = written(tmp_path / "d.csv", [[3, "remove", ""]], "example_id,decision,label")
    with pytest.raises(ValueError, match=r"row 1 \(3\): it is not in these data; its 21 examples have ids up to 1140"):
        decide(data, decisions, data, val.sources)


def test_a_class_keeps_an_example(data, val, tmp_path):
    rows = [row_of(data, row, "relabel", "class 0") for row in range(COUNT) if data.labels[row] == 2]
    with pytest.raises(ValueError, match="leaves no example of class class 2"):
        decide(data, written(tmp_path / "d.csv", rows), data, val.sources)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{HEAD}\n", "decides nothing"),
        ("file,label\na,b\n", "has no column decision; give the decisions.csv of a review page"),
        ("decision,label\nkeep,\n", "has no column file or example_id"),
        (
            "file,decision,label\na,drop,\n",
            r"row 1 \(a\): decision is 'drop', and must be one of keep, remove, relabel",
        ),
        ("file,decision,label\na,relabel,\n", "label is '' with decision relabel"),
        ("file,decision,label\na,keep,b\n", "label is 'b' with decision keep"),
        (
            "file,decision,label\na,relabel,b\nc,keep,\na,remove,\n",
            r"row 3 \(a\): it is decided twice \(relabel b and r",
        ),
        ("example_id,decision,label\n7,keep,\n7,remove,\n", "has example_id 7 twice"),
        ("file,decision,label,fingerprint\na,keep,,ab\nb,keep,,cd\n", r"several fingerprints \(ab, cd\)"),
        ("", "cannot be read as csv"),
        ("file;decision;label\na;keep;\n", "separated by ';'"),
    ],
)
def test_a_file_without_clear_decisions_is_refused(tmp_path, content, message):
    (tmp_path / "d.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_decisions(tmp_path / "d.csv")


def test_images_that_have_no_ids_yet_are_found_by_their_file_alone(data, tmp_path):
    listing = Listing(data.sources, data.labels, data.class_names, None, ())
    labels_N = decided_labels(written(tmp_path / "a.csv", [row_of(data, 3, "remove", example_id=1)]), listing)
    assert np.flatnonzero(labels_N == REMOVED).tolist() == [3]
    by_id = written(tmp_path / "b.csv", [[1000, "remove", ""]], "example_id,decision,label")
    with pytest.raises(ValueError, match="has no column file, by which images are found here"):
        decided_labels(by_id, listing)
