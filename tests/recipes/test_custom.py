"""Functions that a command names: where they are looked for, and that nothing there hides an installed package."""

import hashlib
import sys

import pytest

from easiness.recipes.custom import import_function, source_digest
from easiness.recipes.recipe import make_recipe


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The caller's folder."""
    monkeypatch.setenv("EASINESS_CALLED_FROM", str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("nets_of_mine", None)


def test_the_callers_folder_is_looked_in(folder):
    (folder / "nets_of_mine.py").write_text("def net(num_classes):\n    return num_classes\n")
    assert import_function("nets_of_mine:net", "model")(num_classes=3) == 3


def test_the_current_folder_is_the_callers_where_none_is_named(folder, monkeypatch):
    monkeypatch.delenv("EASINESS_CALLED_FROM")
    monkeypatch.chdir(folder)
    (folder / "nets_of_mine.py").write_text("def net():\n    return 1\n")
    assert import_function("nets_of_mine:net", "model")() == 1


def test_a_file_there_hides_no_package(folder, monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    (folder / "colorsys.py").write_text("raise RuntimeError('this one is of the caller')\n")
    assert import_function("colorsys:rgb_to_hsv", "model")(0, 0, 0) == (0, 0, 0)


def test_an_edited_network_is_another_one(folder):
    path = folder / "nets_of_mine.py"
    path.write_text("a = 1\n")
    recipe = make_recipe("planted", "nets_of_mine:net")
    before = recipe.trial_digest(0, ("x",))
    assert source_digest("nets_of_mine:net") == hashlib.sha256(b"a = 1\n").hexdigest()
    path.write_text("a = 2\n")
    assert recipe.trial_digest(0, ("x",)) != before
    assert source_digest("nowhere_to_be_found:net") is None
