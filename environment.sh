# Sourced by run.sh and test.sh. Builds .venv when what it is built from has changed, and only then; puts it first on PATH.
# Usage: . ./environment.sh EXTRA   (EXTRA: an optional group of pyproject.toml, such as "test", or "" for none)

_extra="$1"

# The first Python that the project supports, asked for by name so that an older `python3` is no obstacle.
_find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11 to 3.13 on PATH; install one (Debian, Ubuntu: apt-get install python3.11-venv)" >&2
    return 1
}

# What FFCV lacks to be compiled here, as Debian packages in one line; nothing if all is there.
_missing_for_ffcv() {
    local missing="" include
    include="$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')"
    [ -f "$include/Python.h" ] || missing="$missing python3-dev"
    command -v c++ >/dev/null || missing="$missing g++"
    command -v pkg-config >/dev/null || missing="$missing pkg-config"
    if ! pkg-config --exists opencv4 2>/dev/null; then
        [ -f /usr/include/opencv4/opencv2/core.hpp ] || missing="$missing libopencv-core-dev"
        [ -f /usr/include/opencv4/opencv2/imgproc.hpp ] || missing="$missing libopencv-imgproc-dev"
    fi
    pkg-config --exists libturbojpeg 2>/dev/null || missing="$missing libturbojpeg0-dev"
    echo $missing
}

# Debian's libopencv-dev is 216 packages. FFCV needs two libraries of it, but asks for the whole by name: so it is told
# that these two are the whole, by a package description and a header of our own.
_describe_opencv() {
    mkdir -p .venv/opencv/opencv2
    printf '#include <opencv2/%s.hpp>\n' core imgproc >.venv/opencv/opencv2/opencv.hpp
    cat >.venv/opencv/opencv4.pc <<END
Name: opencv4
Description: the part of OpenCV that FFCV uses
Version: 4
Cflags: -I$PWD/.venv/opencv -I/usr/include/opencv4
Libs: -lopencv_imgproc -lopencv_core
END
}

_pip() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint .venv/constraints.txt "$@"
}

# FFCV reads large data sets fast. It has to be compiled; where that fails, one line says why and all else works.
_install_ffcv() {
    local missing without="continuing without FFCV; dataset=imagenet will use the slower torchvision loader"
    .venv/bin/python -c 'import ffcv' 2>/dev/null && return
    missing="$(_missing_for_ffcv .venv/bin/python)"
    if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $missing for FFCV ..." >&2
        apt-get update -q >/dev/null 2>&1
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >/dev/null 2>&1
        missing="$(_missing_for_ffcv .venv/bin/python)"
    fi
    if [ -n "$missing" ]; then
        echo "note: $without. To have it: apt-get install $missing" >&2
        return
    fi
    pkg-config --exists opencv4 || _describe_opencv
    # Its own list of needs asks for the OpenCV that draws windows, and forgets Pillow: ours is in pyproject.toml.
    if ! _pip --editable ".[ffcv]" ||
        ! PKG_CONFIG_PATH="$PWD/.venv/opencv${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}" _pip --no-deps ffcv==1.0.2 ||
        ! .venv/bin/python -c 'import ffcv'; then
        echo "note: $without. What failed is above; to try again: rm .venv/.built* and the same command" >&2
    fi
}

_build_environment() {
    local python built_from missing stamp=".venv/.built${_extra:+-$_extra}"
    python="$(_find_python)" || return 1
    # Part of the stamp, so that packages which came later are noticed, and those which never will are not asked for again.
    missing="$(_missing_for_ffcv "$python")"
    built_from="$(cat pyproject.toml requirements.lock environment.sh | sha256sum)"
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$built_from without: $missing" ] && return
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
    # The versions of the lock, without its hashes: another build of torch, as for CPUs alone, is as good.
    sed -nE 's/^([^ #]+==.*) \\$/\1/p' requirements.lock >.venv/constraints.txt
    if ! _pip --editable ".${_extra:+[$_extra]}"; then
        echo "error: the packages above could not be installed; is the network there? The same command goes on" >&2
        return 1
    fi
    _install_ffcv
    echo "$built_from without: $(_missing_for_ffcv "$python")" >"$stamp"
}

if ! { : >>.venv.lock && mkdir -p .easiness; } 2>/dev/null; then
    echo "error: $PWD cannot be written: its disk is full or read-only, or it is another user's; free space there," \
        "or copy the checkout to a folder of your own and run it there" >&2
    exit 1
fi
# Two commands started at once must not build into one folder at the same time.
exec 9>.venv.lock
! command -v flock >/dev/null || flock 9 # macOS has none
# Not to be built with the caller's modules in the way.
_caller_modules="${PYTHONPATH:-}"
unset PYTHONPATH PYTHONHOME
_build_environment || exit 1
exec 9>&-

export PATH="$PWD/.venv/bin:$PATH"
# What waits for the server, and what is shared by commands.
export EASINESS_WORK="${EASINESS_WORK:-$PWD/.easiness}"
# Neither of them is to write into the home folder, or to report its use.
export MLFLOW_DISABLE_TELEMETRY="${MLFLOW_DISABLE_TELEMETRY:-true}" MPLCONFIGDIR="${MPLCONFIGDIR:-$PWD/.easiness/matplotlib}"
