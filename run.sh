#!/usr/bin/env bash
# Runs an entry point of MLproject: ./run.sh -e score -P model=alexnet
# The same words after the command as `mlflow run .`, without conda: .venv is built here when it has to be.
set -euo pipefail
# Paths in parameters are the caller's, wherever the checkout is.
export EASINESS_CALLED_FROM="$PWD"
cd "$(dirname "$(readlink -f "$0")")"
. ./environment.sh ""
# mlflow and the entry points leave their temporary files here, not in the system's folder.
export TMPDIR="$PWD/.easiness/tmp"
mkdir -p "$TMPDIR"
# But Ray, whose sockets would have longer paths there than the system allows.
export RAY_TMPDIR="${RAY_TMPDIR:-/tmp}"
# The store is this checkout's own wherever the command is typed, and exists before several processes open it at once:
# tables that two of them create at the same time are broken for good.
export MLFLOW_TRACKING_URI="${MLFLOW_TRACKING_URI:-sqlite:///$PWD/mlflow.db}"
if [ "$MLFLOW_TRACKING_URI" = "sqlite:///$PWD/mlflow.db" ] && [ ! -e mlflow.db ]; then
    exec 9>.venv.lock
    flock 9
    [ -e mlflow.db ] || mlflow experiments search >/dev/null 2>&1
    exec 9>&-
fi
# A tracking server that does not answer is reported in seconds; mlflow's own patience is four minutes.
export MLFLOW_HTTP_REQUEST_TIMEOUT="${MLFLOW_HTTP_REQUEST_TIMEOUT:-20}"
export MLFLOW_HTTP_REQUEST_MAX_RETRIES="${MLFLOW_HTTP_REQUEST_MAX_RETRIES:-2}"
case "$MLFLOW_TRACKING_URI" in
http*)
    # mlflow itself would print a page of traceback. That someone listens will do; whether it lets us in is found out later.
    python - "$MLFLOW_TRACKING_URI" <<'END' || exit 1
import socket, sys, urllib.parse, urllib.request
parts = urllib.parse.urlsplit(sys.argv[1])
address = parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.hostname):
    sys.exit()
try:
    socket.create_connection(address, timeout=20).close()
except OSError as error:
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    sys.exit(f"error: the tracking server {shown} does not answer ({error}); start it, or set MLFLOW_TRACKING_URI")
END
    ;;
esac
exec mlflow run . --env-manager=local "$@"
