"""Tables of images: what a csv, tsv or parquet may say, and what is refused by its name."""

import logging

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from easiness.datasets import open_dataset
from easiness.datasets.table import list_table, read_table


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (6 + number % 3, 8, 3)).astype(np.uint8)


@pytest.fixture
def tree(tmp_path):
    """Two classes of three pictures for training and two for validation, in folders."""
    for split, count in (("train", 3), ("val", 2)):
        for k, name in enumerate(("cat", "dog")):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = picture(10 * k + i + 100 * (split == "val"))
                Image.fromarray(pixels).save(tmp_path / "pets" / split / name / f"{i}.png")
    return tmp_path / "pets"


def rows_of(tree):
    paths = sorted(tree.rglob("*.png"))
    parts = [path.relative_to(tree) for path in paths]
    return pd.DataFrame(
        {
            "path": [str(part) for part in parts],
            "label": [part.parts[1] for part in parts],
            "split": [part.parts[0] for part in parts],
        }
    )


def write(path, text, encoding="utf-8"):
    path.write_text(text, encoding=encoding)
    return path


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_table_of_a_folder_is_the_same_data(tree):
    folders = {split: open_dataset("folder", tree, split=split) for split in ("train", "val")}
    rows = rows_of(tree)
    rows.to_csv(tree / "a.csv", index=False)
    rows.to_csv(tree / "b.tsv", index=False, sep="\t")
    rows.to_csv(tree / "c.csv", index=False, sep=";", encoding="utf-8-sig")
    rows.to_parquet(tree / "d.parquet")
    rows.rename(columns={"path": " File "}).to_csv(tree / "e.csv")  # with pandas' index
    rows.astype("category").to_parquet(tree / "f.parquet")
    for name in ("a.csv", "b.tsv", "c.csv", "d.parquet", "e.csv", "f.parquet"):
        for split, folder in folders.items():
            found = open_dataset(None, tree / name, split=split)
            assert found.fingerprint == folder.fingerprint
            assert found.sources.tolist() == folder.sources.tolist()
            assert (found.kind, found.name, found.split) == ("table", name[0], split)


def test_paths_may_be_absolute_in_the_home_folder_outside_or_of_windows(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "pets"))
    (tmp_path / "tables").mkdir()
    inside = Image.fromarray(picture(7))
    inside.save(tmp_path / "tables" / "here.png")
    lines = [
        f"{tree}/train/cat/0.png,cat",
        "~/train/cat/1.png,cat",
        "../pets/train/dog/0.png,dog",
        "..\\pets\\train\\dog\\1.png,dog",
        f"{tmp_path}/tables/here.png,dog",
    ]
    found = open_dataset(None, write(tmp_path / "tables" / "t.csv", "\n".join(["path,label", *lines])), val_fraction=0)
    np.testing.assert_array_equal(found.images[3], open_dataset("folder", tree).images[4])
    assert found.sources[4] == "here.png"
    assert found.sources[0] == f"{tree}/train/cat/0.png"
    assert len(set(found.sources.tolist())) == 5


@pytest.mark.parametrize("skip_bad", [False, True])
def test_ten_missing_files_are_one_line_that_names_five(tree, skip_bad):
    rows = rows_of(tree).drop(columns="split")
    lost = pd.DataFrame({"path": [f"gone/{i}.png" for i in range(10)], "label": "cat"})
    pd.concat([rows, lost]).to_csv(tree / "labels.csv", index=False)
    if skip_bad:
        found = open_dataset(None, tree / "labels.csv", skip_bad=True, val_fraction=0)
        assert len(found) == 10
        assert found.skipped[0] == f"{'gone/0.png'} (there is no such file)"
        return
    with pytest.raises(FileNotFoundError) as caught:
        open_dataset(None, tree / "labels.csv", val_fraction=0)
    said = one_line(caught)
    assert said.startswith(f"10 of 20 files that {tree}/labels.csv lists are not there: {tree}/gone/0.png, ")
    assert said.count("gone/") == 5
    assert "gone/4.png and 5 more; paths are relative to" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label\na.png,cat\n", "has columns image, label; it needs path and label"),
        ("path,file,label\na,a,cat\n", "has columns path and file; leave one of them out"),
        ("path,label,label\na,cat,dog\n", "two columns of one name"),
        ("path,label\n", "lists no image"),
        ("path,label\na.png,cat\nb.png,\n", "row 2: label is empty; fill or remove it"),
        ("path,label\na.png,cat\n ,dog\n", "row 2: path is empty"),
        ("path,label\na.png,cat\nb/../a.png,dog\n", r"has path .*a.png twice, in row 1 \(cat\) and row 2 \(dog\)"),
        ("path,label,id\na.png,cat,1\nb.png,dog,1\n", r"has id 1 twice"),
        ("path,label\na.png,cat\nb.png,cat\n", "at least 2 classes"),
        ("path,label,split\na,cat,train\nb,dog,test\n", "no row has split val, and there are train, test"),
        ("path,label,split\na,cat,val\nb,dog,val\n", "no row has split train, and there are val"),
        ("path,label,split\na,cat,train\nb,dog,\n", "row 2: split is empty"),
        (f"path,label\na,{'x' * 300}\nb,dog\n", "label 0 is 300 characters long"),
        ("path,label\na.png,cat,more\n", "cannot be read as csv .*Expected 2 columns, got 3"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        open_dataset("table", write(tmp_path / "t.csv", text))
    assert str(tmp_path / "t.csv") in one_line(caught)


@pytest.mark.parametrize(
    ("encoding", "message"), [("latin-1", "save it as UTF-8"), ("utf-16", "it is in UTF-16; save")]
)
def test_other_encodings_are_named(tmp_path, encoding, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_table(write(tmp_path / "t.csv", "path,label\na.png,Bär\nb.png,Hund\n", encoding))
    one_line(caught)


def test_a_small_parquet_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("easiness.datasets.columns.LARGEST", 2**20)
    frame = pd.DataFrame({"path": [str(i) for i in range(2000)], "label": ["x" * 1000] * 2000})
    frame.to_parquet(tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 2**16
    with pytest.raises(ValueError, match="column label is longer than 1,048,576 bytes"):
        read_table(tmp_path / "t.parquet")


def test_numbers_are_classes_in_their_order(tree):
    rows = rows_of(tree).assign(label=[10, 10, 10, 9, 9, 9, 10, 10, 9, 9])
    for name in ("t.csv", "t.parquet"):
        rows.to_csv(tree / name, index=False) if name == "t.csv" else rows.to_parquet(tree / name)
        found = open_dataset(None, tree / name)
        assert found.class_names == ("9", "10")
        assert found.labels.tolist() == [1, 1, 1, 0, 0, 0]


def test_rows_of_other_splits_are_named_and_left_out(tree, caplog):
    rows = rows_of(tree).replace({"train": "Training", "val": "VALID"})
    rows.loc[len(rows)] = ["train/cat/0.png/../1x.png", "bird", "test"]
    rows.to_csv(tree / "t.csv", index=False)
    assert open_dataset(None, tree / "t.csv").class_names == ("cat", "dog")
    assert "not used, since split is neither train nor val: test (1 rows)" in caplog.text


def test_without_a_split_it_is_one_tree_split_as_a_folder_is(tree, tmp_path):
    rows = rows_of(tree)
    rows[rows["split"] == "train"].drop(columns="split").to_csv(tree / "t.csv", index=False)
    for options in ({"split": "train"}, {"split": "val"}, {"split": "train", "val_fraction": 0}):
        found, folder = open_dataset(None, tree / "t.csv", **options), open_dataset("folder", tree / "train", **options)
        assert found.fingerprint == folder.fingerprint
        assert [source.removeprefix("train/") for source in found.sources] == folder.sources.tolist()


def test_ids_and_groups_come_along(tree, caplog):
    rows = rows_of(tree).drop(columns="split").assign(id=[f"case {i}" for i in range(10)], group=list("aabbccddee"))
    rows.to_csv(tree / "metadata.csv", index=False)
    found = open_dataset(None, tree / "metadata.csv", val_fraction=0).subset([3, 1])
    assert found.ids.tolist() == ["case 3", "case 1"]
    assert found.fold_groups.tolist() == ["b", "a"]
    assert found.name == "pets", "the folder of a table whose name says nothing"
    with caplog.at_level(logging.WARNING):
        open_dataset(None, tree / "metadata.csv")
    assert "val is drawn without regard to its groups" in caplog.text


def test_labels_with_markup_are_names_like_any_other(tree):
    rows = rows_of(tree).replace({"cat": "<b>cat</b>", "dog": '=1+1,"x"'})
    rows.to_csv(tree / "t.csv", index=False)
    assert open_dataset(None, tree / "t.csv").class_names == ("<b>cat</b>", '=1+1,"x"')


def test_a_table_lists_files_for_packing(tree):
    rows = rows_of(tree)
    rows.to_csv(tree / "t.csv", index=False)
    found = {split: list_table(tree / "t.csv", split, seed=0, val_fraction=0.2) for split in ("train", "val")}
    assert found["val"] == {name: [str(tree / "val" / name / f"{i}.png") for i in range(2)] for name in ("cat", "dog")}
    rows.drop(columns="split").to_csv(tree / "one.csv", index=False)
    parts = [list_table(tree / "one.csv", split, seed=0, val_fraction=0.2) for split in ("train", "val")]
    assert [[len(part[name]) for name in ("cat", "dog")] for part in parts] == [[4, 4], [1, 1]]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_damaged_table_is_one_line_or_another_table(tree, name):
    rows = rows_of(tree)
    rows.to_csv(tree / name, index=False) if name == "t.csv" else rows.to_parquet(tree / name)
    content, refused = (tree / name).read_bytes(), 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        damaged = bytearray(content[: rng.integers(1, len(content)) if seed % 3 == 0 else None])
        for at in rng.integers(0, len(damaged), 1 + seed % 4):
            damaged[at] = rng.integers(0, 256)
        (tree / name).write_bytes(damaged)
        try:
            read_table(tree / name)
        except (ValueError, OSError) as error:
            refused += 1
            assert "\n" not in str(error), seed
    assert refused > 40
