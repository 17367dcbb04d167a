"""Export the scores of a run in the format of another program."""

import json
import tempfile
from pathlib import Path

import pandas as pd

from easiness import tracking
from easiness.commandline import caller_path, command, unknown
from easiness.runs.score.exporting import cartography_lines, cleanlab_table, fiftyone_fields
from easiness.tracking import Scores, load_scores

FORMATS = {
    "csv": "easiness.csv",
    "cleanlab": "label_quality.csv",
    "fiftyone": "fields.json",
    "cartography": "td_metrics.jsonl",
}


def export(run: str = "", to: str = "csv", out: str | None = None, data: str | None = None) -> None:
    """Write the scores of a run as csv, or as cleanlab, FiftyOne or Dataset Cartography read them.

    Parameters
    ----------
    run : str
        Id of a score run.
    to : str
        `csv` (the whole table; lower easiness = easier), `cleanlab` (label quality; higher = better), `fiftyone`
        (fields by filepath) or `cartography` (jsonl of training dynamics).
    out : str, optional
        File to write; the export run's artifacts alone, where none is given.
    data : str, optional
        Folder of the images, for `fiftyone`; where they were when they were scored, where none is given.
    """
    if not run:
        raise ValueError("run is not given; say which score run to export, with run=ID")
    if to not in FORMATS:
        raise ValueError(unknown("format", to, tuple(FORMATS)))
    with tracking.tracked_run("export", f"export {to}") as run_id:
        text = content(load_scores(run), to, data)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, FORMATS[to]).write_text(text, encoding="utf-8")
            tracking.log_folder(run_id, Path(folder))
        if out is not None:
            path = caller_path(out)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"written    {path.absolute()}")
    print(f"run id     {run_id}\nartifacts  {tracking.artifact_place(run_id)}\nopen       {tracking.how_to_open()}")


def content(scores: Scores, to: str, data: str | None) -> str:
    """Text of the file."""
    table = scores.table
    if to == "csv":
        return table.to_csv(index=False)
    if to == "cleanlab":
        return cleanlab_table(table).to_csv(index=False)
    if to == "fiftyone":
        return json.dumps(fiftyone_fields(table, image_paths(scores, data)), indent=1) + "\n"
    lines = cartography_lines(table["example_id"].tolist(), scores.losses, scores.measure("correct"))
    return "".join(f"{line}\n" for line in lines)


def image_paths(scores: Scores, data: str | None) -> list[str]:
    """Absolute path of every image, for data that are files.

    Raises
    ------
    ValueError
        If the data are no files, or are not there.
    """
    manifest = scores.manifest
    root = data or manifest["source"]
    if manifest["dataset"] not in ("folder", "imagenet") or root is None:
        raise ValueError(f"fiftyone knows images by their files, and {manifest['dataset']} has none; use to=csv")
    paths = [caller_path(root) / source for source in pd.Series(scores.table["source"]).tolist()]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(paths)} images are not there, the first is {missing[0]}; say with data=PATH where "
            "they are now"
        )
    return [str(path.absolute()) for path in paths]


if __name__ == "__main__":
    command(export)
