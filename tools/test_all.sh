#!/bin/sh
# The tests of the core on every CPython that is here (3.10 to 3.14, free-threaded ones too: pyenv, uv, PATH), with
# NumPy 2, once with NumPy 1.26, and once compiled by Clang: make test-all
# Each build has a folder of its own under build/test-all; one line a combination says how it went, and the exit
# code is 1 where one failed.
# TESTS names other test files; those that need torch are left out, which not every version has.
set -eu
cd "$(dirname "$0")/.."
out=$PWD/build/test-all
tests=${TESTS:-"test_image.py test_image_errors.py test_model_file.py test_results.py
    test_properties.py test_hostile.py test_arguments.py test_memory.py test_threads.py test_files.py"}
mkdir -p "$out"

try() { # NAME PYTHON NUMPY COMPILER
    folder=$out/$1
    rm -rf "$folder/tree"
    mkdir -p "$folder/tree"
    git archive HEAD | tar x -C "$folder/tree"
    (
        set -e
        [ -x "$folder/venv/bin/python" ] || "$2" -m venv "$folder/venv"
        # Wheels alone: an older hypothesis that has one for this Python, rather than its Rust sources.
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: "$3" "setuptools>=77" \
            wheel "scipy-openblas32>=0.3.30" pytest hypothesis pillow matplotlib
        # It has no wheels for free-threaded ones, where the tests that need it are skipped.
        "$folder/venv/bin/pip" install --quiet --only-binary=:all: safetensors || true
        cd "$folder/tree"
        CC=$4 "$folder/venv/bin/python" setup.py -q build_ext --inplace
        cd tests
        PYTHONPATH=.. "$folder/venv/bin/python" -m pytest -q -p no:cacheprovider --rootdir .. $tests
    ) >"$folder/log" 2>&1 && verdict=passed || { verdict=FAILED; failed=1; }
    echo "$1: $verdict: $(tail -n 1 "$folder/log")"
}

failed=0
found=
for version in 3.10 3.11 3.12 3.13 3.13t 3.14 3.14t; do
    for python in "$HOME"/.pyenv/versions/"${version%t}".*"${version#"${version%t}"}"/bin/"python$version" \
        "$(command -v "python$version" || true)" "$(uv python find --no-python-downloads "$version" 2>/dev/null || true)"; do
        [ -x "$python" ] && "$python" -c 'import sys' 2>/dev/null || continue
        try "cpython-$version" "$python" "numpy>=2" gcc
        found=$python
        break
    done
    [ -n "$found" ] && [ "${python:-}" = "$found" ] || echo "cpython-$version: not on this machine"
done
python=$(command -v python3.11 || command -v python3)
try numpy-1.26 "$python" "numpy<2" gcc
if clang=$(command -v clang || ls /usr/bin/clang-[0-9]* 2>/dev/null | tail -n 1) && [ -n "$clang" ]; then
    try clang "$python" "numpy>=2" "$clang"
fi
exit $failed
