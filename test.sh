#!/usr/bin/env bash
# Runs the tests: ./test.sh, or ./test.sh --slow, or any arguments of pytest.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
. ./environment.sh test
ruff check .
ruff format --check .
# A file is one worker's: its servers and clusters are started once.
exec python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile "$@"
