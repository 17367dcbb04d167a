#!/usr/bin/env bash
# Runs the tests: ./test.sh, or ./test.sh --slow, or any arguments of pytest.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
. ./environment.sh test
ruff check .
ruff format --check .
exec python -m pytest "$@"
