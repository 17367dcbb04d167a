"""The only package that knows MLflow: what is logged where, how it is found again, how it is read back."""

from easiness.tracking.artifacts import RunArtifacts, artifact_names, artifact_place, fetch, whereabouts
from easiness.tracking.contract import SCHEMA
from easiness.tracking.lookup import (
    RunRecord,
    experiment_of,
    find_score_run,
    find_score_runs,
    find_trials,
    measured_rates,
    run_of_kind,
    runs_by_id,
    runs_of_kind,
    ui_address,
)
from easiness.tracking.manifests import AblationManifest, Manifest, MatchManifest, ScoreManifest, to_json
from easiness.tracking.reading import read_trials, read_validation
from easiness.tracking.server import TrackingError, how_to_open, public_address
from easiness.tracking.writing import (
    DataDescription,
    code_versions,
    end_child,
    log_data,
    log_epochs,
    log_folder,
    log_metrics,
    log_model,
    log_settings,
    set_tags,
    start_child,
    tracked_run,
)

__all__ = [
    "SCHEMA",
    "AblationManifest",
    "DataDescription",
    "Manifest",
    "MatchManifest",
    "RunArtifacts",
    "RunRecord",
    "ScoreManifest",
    "TrackingError",
    "artifact_names",
    "artifact_place",
    "code_versions",
    "end_child",
    "experiment_of",
    "fetch",
    "find_score_run",
    "find_score_runs",
    "find_trials",
    "how_to_open",
    "log_data",
    "log_epochs",
    "log_folder",
    "log_metrics",
    "log_model",
    "log_settings",
    "measured_rates",
    "public_address",
    "read_trials",
    "read_validation",
    "run_of_kind",
    "runs_by_id",
    "runs_of_kind",
    "set_tags",
    "start_child",
    "to_json",
    "tracked_run",
    "ui_address",
    "whereabouts",
]
