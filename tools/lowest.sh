#!/bin/sh
# The lowest versions that pyproject.toml declares, tried: one environment with them (all but torch and Ray), the
# package built into it as a user would, and the tests of what uses other packages.
# Usage: sh tools/lowest.sh [FOLDER]    (FOLDER, build/lowest, is made when absent; what was downloaded is kept by uv)
# PYTHON names the interpreter; TESTS other test files.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-build/lowest}
python=${PYTHON:-$(command -v python3.11 || command -v python3)}
tests=${TESTS:-"test_plot.py test_results.py test_evaluation.py test_report.py test_calibration.py test_serve.py
    test_image.py test_any_picture.py test_case_report.py test_onnx_import.py"}

rm -rf "$folder"
mkdir -p "$folder/tree"
folder=$(cd "$folder" && pwd)
# The files as they are, also those that are not committed yet.
git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c '
    for file; do [ ! -f "$file" ] || printf "%s\0" "$file"; done' sh | tar c --null -T - | tar x -C "$folder/tree"

"$python" -m venv "$folder/uv"
"$folder/uv/bin/python" -m pip install --quiet --disable-pip-version-check uv
export VIRTUAL_ENV="$folder/venv" PATH="$folder/uv/bin:$PATH"
uv venv --quiet --python "$python" "$VIRTUAL_ENV"
uv pip install --quiet --resolution lowest-direct "$folder/tree[plot,report,images,onnx,eval,serve]"
# What tests need beside, without changing what is there.
uv pip freeze | grep -v '^xcos' >"$folder/versions"
uv pip install --quiet --constraint "$folder/versions" pytest hypothesis httpx onnxruntime pandas pypdf zarr \
    opencv-python-headless
uv pip check
grep -E '^(numpy|matplotlib|fpdf2|jinja2|pillow|pillow-heif|onnx|scikit-learn|scipy|tqdm|starlette|uvicorn|python-multipart)=' \
    "$folder/versions" | tr '\n' ' '
echo

cd "$folder/tree/tests" # not the tree itself, whose xcos is not built
unset PYTHONPATH
# shellcheck disable=SC2086  # a list of files
MPLBACKEND=Agg "$VIRTUAL_ENV/bin/pytest" -q -rfE -p no:cacheprovider --rootdir .. $tests
