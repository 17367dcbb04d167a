"""MLflow, known to this package alone: logging, lookup and reading back of runs."""

from easiness.tracking.artifacts import RunArtifacts, artifact_place, fetch, whereabouts
from easiness.tracking.contract import SCHEMA
from easiness.tracking.errors import TrackingError
from easiness.tracking.interruptions import signals_held
from easiness.tracking.lookup import (
    DAMAGED,
    FLIPS,
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
from easiness.tracking.manifests import (
    AblationManifest,
    MatchManifest,
    RecordManifest,
    ScoreManifest,
    TrialManifest,
    WeightsManifest,
    to_json,
)
from easiness.tracking.opening import DRY_RUN, end_child, start_child, start_run, tracked_run
from easiness.tracking.reading import (
    open_trial,
    read_record,
    read_trial,
    read_trials,
    read_validation,
    read_weights,
    verify_trial,
)
from easiness.tracking.server import public_address
from easiness.tracking.tables import read_table, to_csv
from easiness.tracking.writing import (
    DataDescription,
    code_versions,
    log_data,
    log_epochs,
    log_folder,
    log_manifest,
    log_metrics,
    log_model,
    log_options,
    log_results,
    log_settings,
    set_tags,
)
