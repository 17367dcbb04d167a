# Sourced by run.sh and test.sh. Builds .venv when what it is built from has changed, and only then; puts it first on PATH.
# Usage: . ./environment.sh EXTRA   (EXTRA: an optional group of pyproject.toml, such as "test", or "" for none)

_extra="$1"

# The first Python that the project supports, asked for by name so that an older `python3` is no obstacle.
_find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11 or 3.12 on PATH; install one (Debian, Ubuntu: apt-get install python3.11-venv)" >&2
    return 1
}

_build_environment() {
    local python built_from stamp=".venv/.built${_extra:+-$_extra}"
    built_from="$(cat pyproject.toml environment.sh | sha256sum)"
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$built_from" ] && return
    python="$(_find_python)" || return 1
    echo "Installing dependencies into .venv (a few minutes, once) ..." >&2
    # Debian ships venv without ensurepip until python3-venv is installed; root on a bare machine may simply have it.
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -q >/dev/null && apt-get install -q -y python3-venv >/dev/null || return 1
            "$python" -m venv .venv || return 1
        else
            echo "error: '$python -m venv .venv' fails; install it (Debian, Ubuntu: sudo apt-get install python3-venv)" >&2
            return 1
        fi
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${_extra:+[$_extra]}" || return 1
    echo "$built_from" >"$stamp"
}

# Two commands started at once must not build into one folder at the same time.
exec 9>.venv.lock
flock 9
_build_environment || exit 1
flock -u 9
exec 9>&-

export PATH="$PWD/.venv/bin:$PATH"
unset PYTHONPATH PYTHONHOME
