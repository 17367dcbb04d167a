"""Report folder: the page, its figures and tables, and a manifest of the runs behind it."""

import ctypes
import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from easiness import figures, tracking
from easiness.files import own_folder
from easiness.reporting.assembly import ReportPage
from easiness.reporting.blocks import Chart, Picture, ScoreFile, Table
from easiness.reporting.formats import to_markdown, to_tex
from easiness.reporting.page import make_page
from easiness.reporting.selection import SelectedRun
from easiness.tracking import SCHEMA
from easiness.tracking.contract import VERSION

_FORMATS = ("png", "pdf", "svg")

# A flag of Linux's renameat2.
_EXCHANGE = 2


def write_report(folder: Path, report: ReportPage) -> None:
    """Write a report; an earlier report in the folder is replaced.

    Apart from `made_at` in `manifest.json`, the same runs give the same bytes.

    Parameters
    ----------
    folder : pathlib.Path
        Receives `index.html`, `figures/*.png|pdf|svg`, `tables/*.csv|md|tex`, `scores/*.parquet` and `manifest.json`.
    report : ReportPage

    Raises
    ------
    FileExistsError
        If the folder holds anything but a report.
    """
    check_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with own_folder(folder.parent, ".report") as temporary:
        fresh = temporary / "report"
        for name in ("figures", "tables", "scores"):
            (fresh / name).mkdir(parents=True)
        pictures = {}
        for block in report.blocks:
            match block:
                case Chart(name):
                    figure = block.draw()
                    for suffix in _FORMATS:
                        figures.save(figure, fresh / "figures" / f"{name}.{suffix}")
                    pictures[name] = (fresh / "figures" / f"{name}.png").read_bytes()
                case Picture(name, content=content):
                    (fresh / "figures" / f"{name}.png").write_bytes(content)
                    pictures[name] = content
                case ScoreFile(name, content=content):
                    content.to_parquet(fresh / "scores" / f"{name}.parquet", index=False, compression="zstd")
                case Table():
                    stem = fresh / "tables" / block.name
                    texts = {
                        "csv": tracking.to_csv(block.content),
                        "md": to_markdown(block.content, block.caption),
                        "tex": to_tex(block.content, block.caption, block.name),
                    }
                    for suffix, text in texts.items():
                        Path(f"{stem}.{suffix}").write_text(text, encoding="utf-8")
        (fresh / "index.html").write_text(make_page(report.title, report.blocks, pictures), encoding="utf-8")
        manifest = make_manifest(report, fresh)
        (fresh / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        fresh.chmod(0o755)
        _put_in_place(fresh, folder)


def make_manifest(report: ReportPage, folder: Path) -> dict[str, object]:
    """List every run, input and output of a report."""
    return {
        "schema": SCHEMA,
        "kind": "report",
        "title": report.title,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": VERSION,
        "server": tracking.public_address(),
        "runs": [_run_entry(selected) for selected in report.selection.selected],
        "passed_over": [
            {"run_id": each.run.run_id, "kind": each.run.kind, "reason": each.reason}
            for each in report.selection.passed_over
        ],
        "outputs": {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }


def _run_entry(selected: SelectedRun) -> dict[str, object]:
    run, manifest = selected.run, selected.result.manifest
    return {
        "run_id": run.run_id,
        "kind": run.kind,
        "name": run.name,
        "dataset": manifest.dataset,
        "fingerprint": manifest.fingerprint,
        "recipe": getattr(manifest, "recipe", None),
        "recipe_digest": getattr(manifest, "recipe_digest", None),
        "version": run.tags.get("easiness.version"),
        "git_commit": run.tags.get("mlflow.source.git.commit"),
        "inputs": dict(sorted(selected.result.hashes.items())),
    }


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but a report."""
    if folder.exists() and not (folder.is_dir() and (_is_report(folder) or not any(folder.iterdir()))):
        raise FileExistsError(f"{folder} is not a report; move it away, or choose another name or folder")


def _put_in_place(fresh: Path, folder: Path) -> None:
    """Exchange a folder for the one in its place in one step: a kill leaves the old report or the new one."""
    if not folder.exists():
        fresh.rename(folder)
        return
    if not _exchange(fresh.absolute(), folder.absolute()):
        folder.rename(fresh.with_name("old"))
        fresh.rename(folder)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, if the system (Linux) and the file system (not NFS) can."""
    if not sys.platform.startswith("linux"):
        return False
    here = -100  # AT_FDCWD
    return ctypes.CDLL(None).renameat2(here, bytes(one), here, bytes(other), _EXCHANGE) == 0


def _is_report(folder: Path) -> bool:
    try:
        return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["kind"] == "report"
    except (OSError, ValueError, KeyError, TypeError):
        return False
