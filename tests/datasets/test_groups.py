import numpy as np
import pytest

from easiness.datasets.groups import read_groups
from tests.tiny_data import tiny_dataset


def write(folder, text):
    path = folder / "groups.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("key", ["file", "example_id"])
def test_groups_by_file_or_id_in_any_order(tmp_path, key, caplog):
    data = tiny_dataset(4)
    column = data.sources if key == "file" else data.example_ids
    rows = [f"{column[row]},{group}" for row, group in ((2, "b"), (0, "a"), (3, "b"), (1, "7"))]
    groups = read_groups(
        write(tmp_path, "\n".join([f"{key},group", *rows, "elsewhere/x.jpg,a" * (key == "file")])), data
    )
    assert groups[2] == groups[3]
    assert len(set(groups.tolist())) == 3
    assert not caplog.text


def test_an_image_that_is_not_listed_is_alone_and_said_to_be(tmp_path, caplog):
    data = tiny_dataset(4)
    groups = read_groups(write(tmp_path, "file,group\ntrain#0,1\ntrain#1,1\n"), data)
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3
    assert "has no group of 2 of 4 images, the first is train#2; each of these is a group of its own" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,patient\ntrain#0,1\n", "has columns file, patient; it needs group, and file or example_id"),
        ("group\n1\n", "it needs group, and file or example_id"),
        ("file,group\ntrain#0,1\ntrain#0,2\n", "has train#0 twice; give every image once"),
        ("file,group\nother/0.png,1\n", "has none of the 4 images, of which the first is train#0"),
        ("file,group\n", "lists no image"),
    ],
)
def test_other_lists_are_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_groups(write(tmp_path, text), tiny_dataset(4))


def test_a_group_may_be_a_number(tmp_path):
    groups = read_groups(write(tmp_path, "example_id,group\n1000,3\n1007,3\n1014,4\n1021,5\n"), tiny_dataset(4))
    np.testing.assert_array_equal(groups == groups[0], [True, True, False, False])
