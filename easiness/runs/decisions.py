"""Decisions of a review on the tracking server: the file as an artifact, its checksum as a tag."""

import tempfile
from pathlib import Path

from easiness import tracking
from easiness.datasets.decisions import Decisions


def log_decisions(run_id: str, decisions: Decisions) -> None:
    """Log the file that the labels of a run follow as `decisions.csv`, and its SHA-256."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "decisions.csv").write_bytes(decisions.content)
        tracking.log_folder(run_id, Path(folder))
    tracking.set_tags(run_id, {"easiness.decisions": decisions.sha256})
