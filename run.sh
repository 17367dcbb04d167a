#!/usr/bin/env bash
# Runs an entry point of MLproject: ./run.sh -e score -P model=alexnet
# The same words after the command as `mlflow run .`, without conda: .venv is built here when it has to be.
set -euo pipefail
# Paths in parameters are the caller's, wherever the checkout is.
export EASINESS_CALLED_FROM="$PWD"
cd "$(dirname "$(readlink -f "$0")")"
. ./environment.sh ""
# A tracking server that does not answer is reported in seconds; mlflow's own patience is four minutes.
export MLFLOW_HTTP_REQUEST_TIMEOUT="${MLFLOW_HTTP_REQUEST_TIMEOUT:-20}"
export MLFLOW_HTTP_REQUEST_MAX_RETRIES="${MLFLOW_HTTP_REQUEST_MAX_RETRIES:-2}"
exec mlflow run . --env-manager=local "$@"
