#!/usr/bin/env bash
# Runs an entry point of MLproject: ./run.sh -e score -P model=alexnet
# The same words after the command as `mlflow run .`, without conda: .venv is built here when it has to be.
set -euo pipefail
# Paths in parameters are the caller's, wherever the checkout is.
export EASINESS_CALLED_FROM="$PWD"
cd "$(dirname "$(readlink -f "$0")")"
. ./environment.sh ""
# The caller's own modules, for model=package.module:function: what PYTHONPATH names from the caller's folder.
while IFS= read -r -d : _place; do
    case "$_place" in
    "") continue ;;
    /*) ;;
    *) _place="$EASINESS_CALLED_FROM/$_place" ;;
    esac
    export PYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}$_place"
done <<<"$_caller_modules:"
# Where Ray puts its sockets: their paths must be short.
export RAY_TMPDIR="${RAY_TMPDIR:-/tmp}"
# The store is this checkout's own wherever the command is typed.
export MLFLOW_TRACKING_URI="${MLFLOW_TRACKING_URI:-sqlite:///$PWD/mlflow.db}"
exec python -m easiness.tracking.project "$@"
