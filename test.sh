#!/usr/bin/env bash
# Runs the tests: ./test.sh, or ./test.sh --slow, or any arguments of pytest.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
. ./environment.sh test
ruff check .
ruff format --check .
# A file is one worker's: its servers and clusters are started once. In the order of tests/conftest.py, longest first;
# one worker more than two cores have, since the tests of programs wait for them.
exec python -m pytest --numprocesses="$(($(nproc) + 1))" --maxprocesses=4 --dist=loadfile --no-loadscope-reorder "$@"
