"""Outside scores: every kind of file, brought into the run's order, and refused where they cannot be."""

import numpy as np
import pandas as pd
import pytest

from easiness.runs.match.external import read_external_scores

TABLE = pd.DataFrame({"example_id": [7, 2, 5], "source": ["c/7.png", "a/2.png", "b/5.png"], "label": [1, 0, 1]})
WHOLE = {"score": np.arange(10) / 10, "labels": np.array([0, 0, 0, 1, 0, 1, 0, 1, 0, 1])}


def write(path, columns):
    if path.suffix == ".npz":
        np.savez(path, **columns)
    elif path.suffix == ".csv":
        pd.DataFrame(columns).to_csv(path, index=False)
    else:
        pd.DataFrame(columns).to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
def test_rows_without_ids_are_those_of_the_whole_dataset(tmp_path, suffix):
    found = read_external_scores(write(tmp_path / f"s{suffix}", WHOLE), TABLE)
    assert (found.name, found.higher_is_easier) == ("score", False)
    np.testing.assert_array_equal(found.values, [0.7, 0.2, 0.5])


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
def test_rows_with_ids_are_found_in_any_order(tmp_path, suffix):
    columns = {"example_id": np.array([2, 9, 5, 7]), "score": np.array([20, 90, 50, 70])}
    found = read_external_scores(write(tmp_path / f"s{suffix}", columns), TABLE, polarity="higher_is_easier")
    assert found.higher_is_easier
    np.testing.assert_array_equal(found.values, [70, 20, 50])


def test_published_scores_are_read(shared_data):
    path = shared_data / "reference-scores" / "cifar10_train_reference_scores.npz"
    with np.load(path) as arrays:
        labels, scores = arrays["labels"], arrays["el2n_epoch20"]
    ids = np.array([49_999, 3, 1700])
    table = pd.DataFrame({"example_id": ids, "label": labels[ids]})
    found = read_external_scores(path, table, column="el2n_epoch20")
    np.testing.assert_array_equal(found.values, scores[ids])
    with pytest.raises(ValueError, match="choose with against_column= one of el2n_epoch20, forgetting_epoch200, grand"):
        read_external_scores(path, table)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"score": np.arange(7.0)}, "has no column example_id or file, and no labels that would prove its order"),
        ({"score": np.arange(7.0), "label": np.arange(7)}, "has 7 rows, and the run has examples up to number 7"),
        ({"example_id": [2, 5, 7], "score": [1.0, 2]}, "has 3 of example_id for 2 scores"),
        ({"example_id": [2, 5, 7], "score": [1.0, 2, 3], "label": [1]}, "has 1 of label, and 3 of score"),
        ({"example_id": [2, 5, 9], "score": [1.0, 2, 3]}, "lacks 1 examples of the run, the first is example_id 7"),
        ({"example_id": [2, 5, 8], "score": [1.0, 2, 3]}, "lacks 1 examples of the run, the first is example_id 7"),
        ({"example_id": [2, 5, 5, 7], "score": [1.0, 2, 3, 4]}, "has example_id 5 twice"),
        ({**WHOLE, "labels": 1 - WHOLE["labels"]}, "3 labels differ from the run's, first 0 for example 7"),
        (
            WHOLE | {"score": np.where(np.arange(10) == 5, np.nan, 1.0)},
            "1 of 3 values of score in s.npz are not",
        ),
        ({"score": np.array(["a"] * 10)}, "has several columns; choose with against_column= one of none"),
        ({"score": np.zeros((10, 2))}, "one of none"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, columns, message):
    path = write(tmp_path / "s.npz", {name: np.asarray(values) for name, values in columns.items()})
    with pytest.raises(ValueError, match=message):
        read_external_scores(path, TABLE)


def test_unknown_names_are_refused(tmp_path):
    path = write(tmp_path / "s.csv", WHOLE)
    with pytest.raises(ValueError, match="no column 'el2n' of numbers; choose with against_column= one of score"):
        read_external_scores(path, TABLE, column="el2n")
    with pytest.raises(ValueError, match="against_polarity is 'up', and must be one of higher_is_harder, higher"):
        read_external_scores(path, TABLE, polarity="up")


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
def test_what_is_no_such_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"s{suffix}"
    with pytest.raises(FileNotFoundError, match=f"against is .*s{suffix}, and there is no such file"):
        read_external_scores(path, TABLE)
    path.write_bytes(b"\x80\x00no such format")
    with pytest.raises(ValueError, match=rf"s{suffix}, which cannot be read as {suffix[1:]} \("):
        read_external_scores(path, TABLE)
    with pytest.raises(ValueError, match="s.txt, and must be a file .npz or .csv or .parquet"):
        read_external_scores(tmp_path / "s.txt", TABLE)


@pytest.mark.parametrize("key", ["file", "source"])
def test_rows_are_found_by_the_name_of_the_file(tmp_path, key):
    columns = {key: ["a/2.png", "d/9.png", "b/5.png", "c/7.png"], "score": [20, 90, 50, 70]}
    found = read_external_scores(write(tmp_path / "s.csv", columns), TABLE)
    np.testing.assert_array_equal(found.values, [70, 20, 50])
    short = write(tmp_path / "t.csv", {key: columns[key][:3], "score": columns["score"][:3]})
    with pytest.raises(ValueError, match=f"lacks 1 examples of the run, the first is {key} c/7.png"):
        read_external_scores(short, TABLE)
    twice = write(tmp_path / "u.csv", {key: ["a/2.png"] * 2, "score": [1, 2]})
    with pytest.raises(ValueError, match=f"has {key} 'a/2.png' twice"):
        read_external_scores(twice, TABLE)


def test_an_array_is_of_the_examples_or_of_the_whole_dataset(tmp_path):
    np.save(tmp_path / "own.npy", np.array([0.7, 0.2, 0.5]))
    np.save(tmp_path / "whole.npy", np.arange(10) / 10)
    for name in ("own", "whole"):
        found = read_external_scores(tmp_path / f"{name}.npy", TABLE, option="scores")
        np.testing.assert_array_equal(found.values, [0.7, 0.2, 0.5])
        assert found.name == "score"
    np.save(tmp_path / "short.npy", np.arange(5.0))
    with pytest.raises(ValueError, match=r"short.npy has 5 rows, and the run has examples up to number 7"):
        read_external_scores(tmp_path / "short.npy", TABLE)


def test_messages_name_the_option(tmp_path):
    path = write(tmp_path / "s.csv", {"example_id": [7, 2, 5], "a": [1, 2, 3], "b": [3, 2, 1]})
    with pytest.raises(ValueError, match="choose with scores_column= one of a, b"):
        read_external_scores(path, TABLE, option="scores")
