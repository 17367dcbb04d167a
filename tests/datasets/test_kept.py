from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from easiness.datasets.kept import kept_rows, read_kept, write_kept
from tests.tiny_data import tiny_dataset


@given(ids=arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 2**62), unique=True))
def test_both_files_hold_the_list(tmp_path_factory, ids):
    folder = tmp_path_factory.mktemp("kept")
    write_kept(folder / "made", "list", ids)
    for ending in ("csv", "npy"):
        read = read_kept(folder / "made" / f"list.{ending}")
        assert read.dtype == np.int64
        np.testing.assert_array_equal(read, ids)


def test_a_table_with_other_columns_is_a_list(tmp_path):
    (tmp_path / "table.csv").write_text("\ufefflabel,example_id\nsun,7\nmoon,3\n", encoding="utf-8")
    np.testing.assert_array_equal(read_kept(tmp_path / "table.csv"), [7, 3])


def test_rows_are_in_the_order_of_the_dataset():
    data = tiny_dataset(9)
    rows = kept_rows(data, data.example_ids[[5, 0, 8]], Path("list.csv"))
    np.testing.assert_array_equal(rows, [0, 5, 8])


def test_ids_of_other_data_are_refused():
    data = tiny_dataset(9)
    with pytest.raises(ValueError, match=r"2 of 3 ids in .*list\.csv are not in this training set of 9, the "):
        kept_rows(data, np.array([3, 1000, 4]), Path("list.csv"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.csv", b"example_id\n", "lists no example"),
        ("list.csv", b"number\n2\n", "has no column example_id; it has number"),
        ("list.csv", b"", "cannot be read as csv"),
        ("list.csv", b"example_id\n1\n2\n1\n", "has example_id 1 twice"),
        ("list.csv", b"example_id\n1\n2.5\n", r"row 2: '2\.5' is not a whole number"),
        ("list.csv", b"label,example_id\nsun\n", "cannot be read as csv .*Expected 2 columns, got 1"),
        ("list.csv", b"\x89PNG\r\n\x1a\n", "has no column example_id|cannot be read as csv"),
        ("list.txt", b"1\n", "must be a file .csv or .npy"),
        ("list.npy", b"example_id\n1\n", "cannot be read as npy"),
        ("list.npy", b"", "cannot be read as npy"),
    ],
)
def test_a_file_that_is_not_a_list_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_kept(tmp_path / name)


@pytest.mark.parametrize("wrong", [np.ones((2, 2), int), np.array([0.5]), np.array([True, False])])
def test_arrays_that_are_no_list_are_refused(tmp_path, wrong):
    np.save(tmp_path / "list.npy", wrong)
    with pytest.raises(ValueError, match="give one number per example|whole number"):
        read_kept(tmp_path / "list.npy")


def test_a_file_that_is_not_there(tmp_path):
    for ending in ("csv", "npy"):
        with pytest.raises(FileNotFoundError, match="list"):
            read_kept(tmp_path / f"list.{ending}")
