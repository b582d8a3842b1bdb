#!/bin/sh
# Makes a virtual environment, after installing what the build needs from the system where it is missing:
# a C compiler, Python's headers, the stb_image header, and Python's venv module (Debian splits these off).
# Usage: sh tools/bootstrap.sh PYTHON VENV
set -eu
python=$1
venv=$2

missing=
need() { missing="$missing $*"; }

command -v "$python" >/dev/null || {
    echo "xcos: no '$python' here. Install Python 3.10 or newer, or say: make PYTHON=/path/to/python3" >&2
    exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "xcos: Python 3.10 or newer is needed, $python is $("$python" -V)" >&2
    exit 1
}
compiler=${CC:-cc} # perhaps "ccache cc"
command -v "${compiler##* }" >/dev/null || need gcc libc6-dev
"$python" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))' ||
    need python3-dev
"$python" -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
[ -n "${XCOS_STB_INCLUDE:-}" ] || [ -f /usr/include/stb/stb_image.h ] ||
    pkg-config --exists stb 2>/dev/null || need libstb-dev pkg-config

if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! command -v sudo >/dev/null; }; then
        echo "xcos: please install these packages (named as in Debian), then run make again:$missing" >&2
        exit 1
    fi
    echo "xcos: installing$missing"
    # shellcheck disable=SC2086  # a list of words
    $sudo env DEBIAN_FRONTEND=noninteractive sh -c '
        apt-get update -qq && apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "$@" >/dev/null' apt $missing
fi

"$python" -m venv "$venv"
