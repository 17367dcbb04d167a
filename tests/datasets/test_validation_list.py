import os
import shutil

import numpy as np
import pytest
from PIL import Image

from easiness.datasets.imagenet import list_imagenet
from easiness.datasets.validation_list import is_flat, list_flat

WNIDS = ("n01", "n02", "n10")
# Class of each validation image, in the order of the file names; no two classes equally often.
TRUTH = ["n10", "n01", "n02", "n10", "n02", "n10"]
FILES = [f"ILSVRC2012_val_0000000{i + 1}.JPEG" for i in range(6)]


@pytest.fixture
def root(tmp_path):
    for name in WNIDS:
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "train" / name / "a.JPEG")
    (tmp_path / "val").mkdir()
    for file in FILES:
        Image.new("RGB", (4, 4)).save(tmp_path / "val" / file)
    return tmp_path


def devkit(path):
    """The devkit's table: ids in an order of their own, and inner nodes after the leaves."""
    from scipy.io import savemat

    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(1, "n10", "x", "", 0), (2, "n01", "y", "", 0), (3, "n02", "z", "", 0), (4, "n99", "all", "", 3)]
    savemat(path, {"synsets": np.array(rows, dtype=kind)})


LISTS = {
    "val.txt": "".join(f"{file} {wnid}\n" for file, wnid in zip(FILES[::-1], TRUTH[::-1], strict=True)),
    "val_labels.txt": "\n".join(f"val/{file} {WNIDS.index(wnid)}" for file, wnid in zip(FILES, TRUTH, strict=True)),
    "LOC_val_solution.csv": "ImageId,PredictionString\n"
    + "".join(f"{file[:-5]},{wnid} 1 2 3 4 {wnid} 5 6 7 8 \n" for file, wnid in zip(FILES, TRUTH, strict=True)),
    "ILSVRC2012_validation_ground_truth.txt": "".join(f"{['n10', 'n01', 'n02'].index(w) + 1}\n" for w in TRUTH),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("beside", ["folder", "images", "elsewhere"])
def test_every_list_gives_the_same_classes(root, tmp_path_factory, name, beside):
    place = {"folder": root, "images": root / "val", "elsewhere": tmp_path_factory.mktemp("lists")}[beside]
    (place / name).write_text(LISTS[name])
    if "ground_truth" in name:
        devkit(place / "meta.mat")
    labels = place / name if beside == "elsewhere" else None
    if beside == "images" and "ground_truth" in name:
        shutil.move(place / "meta.mat", root / "meta.mat")
        shutil.move(place / name, root / name)
    files_of = list_imagenet(root, "val", seed=0, val_fraction=0.2, val_labels=labels)
    assert tuple(files_of) == WNIDS
    class_of = {path.split("/")[-1]: wnid for wnid, paths in files_of.items() for path in paths}
    assert [class_of[file] for file in FILES] == TRUTH
    assert list(list_imagenet(root, "train", seed=0, val_fraction=0.2)) == list(WNIDS)


def test_lone_wnids_follow_the_order_of_the_names(root):
    (root / "val.txt").write_text("\n".join(TRUTH))
    assert [len(files) for files in list_flat(root / "val", WNIDS).values()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("n10\nn01\n", "has 2 lines for 6 images"),
        ("a b\nc\n", "lines of different kinds"),
        ("a b c\n", "lines of different kinds"),
        ("x.JPEG n01\n", r"6 are only in the folder \(such as ILSVRC2012_val_00000001\.JPEG\), 1 only in the list"),
        ("".join(f"{file} n77\n" for file in FILES), "the class n77, which is not in the training set"),
        ("".join(f"{file} 3\n" for file in FILES), "names class 3, and the 3 classes have numbers from 0"),
        ("".join(f"{file} {1 + i % 2}\n" for i, file in enumerate(FILES)), "names no class 0, and the first of the 3"),
        ("".join(f"{file} n01\n" for file in (*FILES, FILES[2])), f"lists {FILES[2]} 2 times; give each image once"),
        (f"ImageId,PredictionString\n{FILES[0][:-5]},\n", "has a line without an ImageId or a class"),
        ("1\n2\n3\n1\n2\n3\n", "the numbers in the devkit's list need .*meta.mat"),
    ],
)
def test_lists_that_do_not_fit_are_refused(root, content, message):
    (root / "val.txt").write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        list_flat(root / "val", WNIDS)


def test_an_id_that_the_devkit_lacks(root):
    (root / "val.txt").write_text("1\n2\n3\n1\n2\n9\n")
    devkit(root / "meta.mat")
    with pytest.raises(ValueError, match="names class 9, which meta.mat beside it does not have"):
        list_flat(root / "val", WNIDS)


def test_a_list_that_is_no_text_or_no_file(root, tmp_path):
    (root / "val.txt").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ValueError, match=r"val\.txt is not a text file"):
        list_flat(root / "val", WNIDS)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is not a list of classes: not a file"):
        list_flat(root / "val", WNIDS, tmp_path / "pipe")
    with pytest.raises(FileNotFoundError, match="nowhere does not exist; give the list .* val_labels=FILE"):
        list_flat(root / "val", WNIDS, tmp_path / "nowhere")
    (root / "val.txt").write_text("1\n2\n3\n1\n2\n3\n")
    (root / "meta.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(ValueError, match=r"meta\.mat is not the devkit's meta\.mat"):
        list_flat(root / "val", WNIDS)


def test_a_list_for_a_folder_that_is_not_flat_is_refused(root, tmp_path):
    for name in WNIDS:
        (root / "val" / name).mkdir()
    (tmp_path / "list.txt").touch()
    with pytest.raises(ValueError, match="val_labels is for a flat folder val, and .* has none; leave val_labels out"):
        list_imagenet(root, "val", seed=0, val_fraction=0.2, val_labels=tmp_path / "list.txt")


def test_no_list_says_what_to_do(root):
    with pytest.raises(FileNotFoundError, match=r"put val\.txt .* or give a list with -P val_labels=FILE"):
        list_imagenet(root, "val", seed=0, val_fraction=0.2)


def test_what_is_flat(root, tmp_path):
    assert is_flat(root / "val")
    assert not is_flat(root / "train")
    assert not is_flat(root / "nowhere")
