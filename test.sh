#!/usr/bin/env bash
# Runs the tests: ./test.sh, or ./test.sh --slow, or any arguments of pytest. ./test.sh --bounds runs them twice, with the
# lowest and with the highest version of every package that pyproject.toml allows.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
. ./environment.sh test

# A file is one worker's: its servers and clusters are started once. In the order of tests/conftest.py, longest first;
# one worker more than two cores have, since the tests of programs wait for them.
_pytest() {
    python -m pytest --numprocesses="$(($(nproc) + 1))" --maxprocesses=4 --dist=loadfile --no-loadscope-reorder "$@"
}

_try_bounds() {
    local end place status=0
    for end in lowest highest; do
        place=".easiness/bounds/$end"
        rm -rf "$place"
        .venv/bin/python -m venv "$place"
        # Other builds of torch are gigabytes: the locked one is at both ends.
        sed -nE 's/^(torch(vision)?==[^ ]+).*/\1/p' requirements.lock >"$place/constraints.txt"
        [ "$end" = highest ] ||
            sed -nE 's/^ *"([A-Za-z0-9_-]+)>=([0-9.]+).*/\1==\2.*/p' pyproject.toml |
            grep -v '^torch' | sort -u >>"$place/constraints.txt"
        echo "$end versions of what pyproject.toml names:" >&2
        "$place/bin/python" -m pip install --quiet --disable-pip-version-check \
            --constraint "$place/constraints.txt" --editable ".[test,ffcv]"
        # The set is another than the locked one, on purpose.
        PATH="$PWD/$place/bin:$PATH" \
            _pytest --deselect tests/test_project.py::test_this_is_the_locked_set "$@" || status=1
    done
    return "$status"
}

if [ "${1:-}" = --bounds ]; then
    shift
    _try_bounds "$@"
    exit
fi
ruff check .
ruff format --check .
_pytest "$@"
