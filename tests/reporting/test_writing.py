import json

import pytest

from easiness.machine import HOST
from easiness.reporting import writing
from easiness.reporting.assembly import ReportPage
from easiness.reporting.selection import Selection
from easiness.reporting.writing import write_report


@pytest.mark.parametrize("flag", [writing._EXCHANGE, 1 << 20], ids=["exchange", "a file system that cannot"])
def test_a_report_takes_the_place_of_the_one_before(store, tmp_path, monkeypatch, flag):
    monkeypatch.setattr(writing, "_EXCHANGE", flag)
    folder = tmp_path / "reports" / "mine"
    for title in ("first", "second"):
        write_report(folder, ReportPage(title, [], Selection([], [])))
        (folder / f"{title}.txt").touch()
        assert json.loads((folder / "manifest.json").read_text())["title"] == title
    assert {path.name for path in folder.iterdir()} == {
        "index.html", "manifest.json", "figures", "scores", "tables", "second.txt",
    }  # fmt: skip
    assert list(folder.parent.iterdir()) == [folder]


def test_what_a_killed_report_left_is_removed_and_other_files_are_not(store, tmp_path):
    folder = tmp_path / "reports" / "mine"
    left = folder.parent / f".report-{HOST}-999999999-1-x" / "report"
    left.mkdir(parents=True)
    (folder.parent / "notes.txt").touch()
    write_report(folder, ReportPage("page", [], Selection([], [])))
    assert {path.name for path in folder.parent.iterdir()} == {"mine", "notes.txt"}


def test_a_folder_of_other_files_stays(store, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(FileExistsError, match="is not a report; move it away"):
        write_report(tmp_path / "photos", ReportPage("page", [], Selection([], [])))
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]
