"""Files of others: read by id or refused, whatever wrote them, and never larger in memory than is said."""

import io
import os
import zipfile

import numpy as np
import pandas as pd
import pytest

from easiness.datasets import columns
from easiness.datasets.columns import read_columns

ALL = (".csv", ".npy", ".npz", ".parquet")


def read(path):
    return read_columns(path, ALL, "against")


def refused(path, kind=ValueError):
    with pytest.raises(kind) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([7, 2, 5], name="example_id"),
        pd.RangeIndex(4, 7, name="example_id"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_index_that_is_the_ids_is_used(tmp_path, index, suffix):
    path, frame = tmp_path / f"s{suffix}", pd.DataFrame({"score": [1.5, 2, 3]}, index=index)
    frame.to_csv(path) if suffix == ".csv" else frame.to_parquet(path)
    found = read(path)
    np.testing.assert_array_equal(found.ids, index)
    np.testing.assert_array_equal(found.values["score"], [1.5, 2, 3])


@pytest.mark.parametrize("index", [pd.Index([7, 2, 5]), pd.RangeIndex(4, 7), pd.Index(["a", "b", "c"])])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_index_without_a_name_that_is_not_the_order_is_refused(tmp_path, index, suffix):
    path, frame = tmp_path / f"s{suffix}", pd.DataFrame({"score": [1.5, 2, 3]}, index=index)
    frame.to_csv(path) if suffix == ".csv" else frame.to_parquet(path)
    assert "may say which example a row is; call it example_id, or leave it out" in refused(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_index_that_counts_the_rows_says_nothing(tmp_path, suffix):
    path, frame = tmp_path / f"s{suffix}", pd.DataFrame({"score": [1.5, 2, 3]})
    frame.to_csv(path) if suffix == ".csv" else frame.to_parquet(path)
    assert read(path).ids is None


@pytest.mark.parametrize("name", ["id", "Example_ID", "example_ids", "index", "image_id", "Unnamed: 0"])
def test_ids_under_another_name_are_refused(tmp_path, name):
    np.savez(tmp_path / "s.npz", **{name: np.array([1, 0]), "score": np.ones(2)})
    assert f"a column {name!r} that may say which example" in refused(tmp_path / "s.npz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("example_id;score\n0;8,2\n1;9,5\n", "columns are separated by ';'; use commas, and points in numbers"),
        ("example_id\tscore\n0\t8\n", "separated by '\\t'"),
        ("example_id,score\n0,8,2\n", "Expected 2 columns, got 3"),
        ("example_id,score\n0\n", "Expected 2 columns, got 1"),
        ("example_id,score,score\n0,1,2\n", "two columns of one name"),
        ("example_id,score\n0,1\n1.5,2\n", "row 2: '1.5' is not a whole number; example_id needs them"),
        ("example_id,score\n0,1\n,2\n", "row 2: '' is not a whole number"),
        ("example_id,score\nx,1\n", "row 1: 'x' is not a whole number"),
        ("example_id,score\n0,1\n0,2\n", "has example_id 0 twice; give every example once"),
        ("example_id,score\n99999999999999999999,1\n", "example_id"),
        ("", "cannot be read as csv"),
        ("example_id,score\n0,1\n\0", "cannot be read as csv"),
    ],
)
def test_csv_files_that_do_not_say_what_they_mean_are_refused(tmp_path, content, message):
    (tmp_path / "s.csv").write_bytes(content.encode("latin-1"))
    assert message in refused(tmp_path / "s.csv")


def test_a_number_with_a_decimal_comma_or_a_gap_is_text(tmp_path):
    (tmp_path / "s.csv").write_text('example_id,score,gap\n0,"8,2",1\n1,"9,5",\n')
    assert {name: values.dtype.kind for name, values in read(tmp_path / "s.csv").values.items()} == {
        "score": "O",
        "gap": "O",
    }


def test_small_files_of_large_arrays_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "LARGEST", largest := 2**22)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (largest,)})
    bomb = zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED)
    with bomb, bomb.open("score.npy", "w") as file:
        file.write(header.getvalue())
        for _ in range(largest // 2**20):
            file.write(bytes(2**20))
    assert (tmp_path / "bomb.npz").stat().st_size < 2**19
    assert f"at most {largest:,} are read" in refused(tmp_path / "bomb.npz")
    (tmp_path / "claims.npy").write_bytes(header.getvalue())
    assert "its content has another size" in refused(tmp_path / "claims.npy")
    frame = pd.DataFrame({f"c{i}": np.zeros(2**14) for i in range(40)})
    frame.to_parquet(tmp_path / "bomb.parquet")
    assert "rows of 40 numbers; at most" in refused(tmp_path / "bomb.parquet")
    with (tmp_path / "long.csv").open("wb") as file:
        file.truncate(largest + 1)
    assert "bytes; at most" in refused(tmp_path / "long.csv")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "s.csv")
    assert "which is not a regular file" in refused(tmp_path / "s.csv")
    (tmp_path / "s.npz").mkdir()
    assert "which is not a regular file" in refused(tmp_path / "s.npz")
    assert "there is no such file" in refused(tmp_path / "no.csv", FileNotFoundError)
    assert "must be a file .csv or .npy or .npz or .parquet" in refused(tmp_path / "s.txt")


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "s.npz", score=np.array([{}, 1], object))
    assert "cannot be read as npz" in refused(tmp_path / "s.npz")


def test_ids_that_are_text_are_refused(tmp_path):
    pd.DataFrame({"example_id": ["0", "1"], "score": [1.0, 2]}).to_parquet(tmp_path / "s.parquet")
    assert "needs whole numbers" in refused(tmp_path / "s.parquet")
