"""The notebooks run from a clone, and were committed with the outputs of a run without an error."""

import json
import os
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
MINUTES = 8  # at most, on a busy machine

# What would take minutes is made smaller here, text by text; every line runs all the same, and no number is asked for.
SMALLER = {
    "02_benchmarks": {"folds=5 if half else 10)": "folds=5 if half else 10)[::40]"},
    "03_plug_into_your_model": {
        "[:300]": "[:24]",
        "range(40)": "range(12)",
        "(one[k], one[k + 80], one[k], two[k])": "(one[k], one[k + 24], one[k], two[k])",
        "[True, False] * 40": "[True, False] * 12",
        "steps=150": "steps=2, batch=16, rows=8, pasted=1, truth=2",
    },
    "04_compare_explanations": {
        "stride=10": "stride=56",
        "masks=150": "masks=12",
        "stride=16": "stride=56",
        "[[0, 0, 1, 1, 2, 2]], crops[[1, 3, 2, 3, 0, 3]], np.array([True, False] * 3)":
            "[[0, 0]], crops[[1, 3]], np.array([True, False])",
    },
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_outputs(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    counts = [cell["execution_count"] for cell in cells]
    assert counts == list(range(1, len(cells) + 1)), "not run from top to bottom"
    for cell in cells:
        source = "".join(cell["source"])
        if ".plot" in source or "plt.subplots" in source:
            shown = [kind for output in cell["outputs"] for kind in output.get("data", {})]
            assert "image/png" in shown or "image/jpeg" in shown, f"no picture below {source!r}"
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]


@pytest.fixture(scope="module")
def kernel():
    """One for all notebooks, emptied between them: to start it and import all takes longer than some of them run."""
    client = pytest.importorskip("jupyter_client", reason="the PyPI package jupyter_client is not installed")
    pytest.importorskip("ipykernel", reason="the PyPI package ipykernel is not installed")
    manager = client.KernelManager(kernel_name="python3")
    yield manager
    if manager.has_kernel:
        manager.shutdown_kernel(now=True)


FIRST = """
%reset -f
import os
from xcos.evaluation import fitting
fitting.REFITS = 20  # of 200
os.environ.update({environment})
%reset -f
"""


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, kernel, request, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="the PyPI package nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the PyPI package nbclient is not installed")
    notebook = nbformat.read(path, 4)
    for number, smaller in SMALLER.get(path.stem, {}).items():
        (cell,) = (cell for cell in notebook.cells if cell.cell_type == "code" and number in cell.source)
        cell.source = cell.source.replace(number, smaller)
    environment = {}
    if "XCOS_LFW" in "".join(cell.source for cell in notebook.cells) and "XCOS_LFW" not in os.environ:
        environment["XCOS_LFW"] = str(request.getfixturevalue("shared") / "data/lfw_dev.bin")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FIRST.format(environment=environment)))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel's own shows figures in the notebook
    root = str(path.parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]))
    resources = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(notebook, km=kernel, timeout=60 * MINUTES, resources=resources).execute()
