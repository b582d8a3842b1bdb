"""What type checkers say of programs that use xcos, right ones and wrong ones; and the programs run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What the snippets take for granted.
GIVEN = "paths_of_known = ['a.jpg']\npaths_of_found = ['b.jpg']\n"

# Each line that ends in "# wrong" must be an error, no other line.
MISTAKES = '''
import numpy as np

import xcos
from xcos import explainers, faithfulness

crops = np.zeros((2, 112, 112, 3), np.uint8)
same = np.array([True, False])

v = xcos.verify("a.jpg", "b.jpg")
xcos.verify("a.jpg", "b.jpg", treshold=0.3)  # wrong
xcos.verify("a.jpg", "b.jpg", threshold="0.3")  # wrong
xcos.verify("a.jpg", 3)  # wrong
xcos.verify("a.jpg", "b.jpg", model=3)  # wrong
v.scroe  # wrong
v.score = 1.0  # wrong
several = xcos.verify(["a.jpg"], ["b.jpg"])
several.score  # wrong
several[0].score
xcos.explain("a.jpg", ["b.jpg", "c.jpg"]).cosine_map  # wrong
xcos.explain("a.jpg", "b.jpg").cosine_map
xcos.explain("a.jpg", "b.jpg", upside=True)  # wrong
xcos.load().verify("a.jpg", "b.jpg", treshold=0.3)  # wrong
xcos.plug("a.onnx", "people", "b.safetensors", stpes=3)  # wrong
xcos.plug("a.onnx", "people", "b.safetensors", steps="3")  # wrong
xcos.plug("a.onnx", "people", "b.safetensors", steps=3, since=None, whole="learned")
explainers.CorrRISE(maks=40)  # wrong
explainers.CorrRISE(3)  # wrong
explainers.XCos()("a.jpg", crops[0]).first
explainers.XCos()(["a.jpg"], crops, face=[0])
explainers.XCos()("a.jpg", 3)  # wrong
explainers.XCos()("a.jpg", "b.jpg", face="left")  # wrong
explainers.PatchEMD().flow("a.jpg", 3)  # wrong
xcos.load().faces("a.jpg")[0].embedding
xcos.load().faces("a.jpg")[0].embeding  # wrong
xcos.convert("a.onnx", mean=(1, 2, 3), scale=2)
xcos.convert("a.onnx", mean="1,2,3")  # wrong
xcos.explainers.CorrRISE(masks=40)
xcos.explainers.CorrRISE(maks=40)  # wrong
pairs = faithfulness.LabelledCrops(crops, crops, same, "mine")
faithfulness.compare(None, [explainers.CorrRISE(masks=40)], pairs)
faithfulness.compare(3, [explainers.CorrRISE()], pairs)  # wrong
faithfulness.truth("model.safetensors", "people", pairs, triples=100)
faithfulness.truth(None, 3)  # wrong
xcos.load().verify(["a.jpg"], "b.jpg").same  # wrong
xcos.verify(["a.jpg"], "b.jpg", skip_failed=True)[0].same  # wrong
[each.same for each in xcos.verify(["a.jpg"], "b.jpg", skip_failed=True) if each]
seen = xcos.load().features(["a.jpg"], skip_failed=True)
xcos.explain(seen, "b.jpg")[0].cosine_map
xcos.verify("a.jpg", "b.jpg", metric="l2")  # wrong
'''


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A folder with the Python snippets of README and of the tour as one program, the examples, and the mistakes."""
    folder = tmp_path_factory.mktemp("programs")
    pages = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/tour.md"))
    snippets = re.findall(r"```python\n(.*?)```", pages, re.DOTALL)
    assert len(snippets) >= 6
    (folder / "readme.py").write_text(GIVEN + "\n".join(snippets), encoding="utf-8")
    (folder / "mistakes.py").write_text(MISTAKES, encoding="utf-8")
    for example in (ROOT / "examples").glob("*.py"):
        shutil.copy(example, folder)
    # pyright has no option for either.
    settings = {"extraPaths": [str(ROOT)], "pythonVersion": "3.10"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def _expected():
    return {("mistakes.py", i) for i, line in enumerate(MISTAKES.split("\n"), 1) if line.endswith("# wrong")}


@pytest.mark.slow
def test_mypy_finds_the_mistakes_and_no_others(programs):
    pytest.importorskip("mypy")
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *programs.glob("*.py")],
        capture_output=True, text=True, cwd=ROOT,  # where mypy's settings and cache are
    )  # fmt: skip
    errors = re.findall(r"^(.*?):(\d+): error", result.stdout, re.MULTILINE)
    found = {(Path(name).name, int(line)) for name, line in errors}
    assert found == _expected(), result.stdout + result.stderr


@pytest.mark.slow
def test_pyright_finds_the_mistakes_and_no_others(programs):
    pytest.importorskip("pyright")
    result = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", programs],
        capture_output=True, text=True, cwd=programs,
    )  # fmt: skip
    said = json.loads(result.stdout)
    assert said["summary"]["filesAnalyzed"] == len(list(programs.glob("*.py")))
    errors = [item for item in said["generalDiagnostics"] if item["severity"] == "error"]
    found = {(Path(item["file"]).name, item["range"]["start"]["line"] + 1) for item in errors}
    assert found == _expected(), result.stdout + result.stderr


def _run(name, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, ROOT / "examples" / name, *arguments],
        capture_output=True, text=True, check=True, env=environment,
    ).stdout  # fmt: skip


def test_verify_two_runs(photos, tmp_path):
    picture = tmp_path / "why.json"  # needs no matplotlib
    said = _run("verify_two.py", photos["obama_portrait_2012"], photos["obama_congress_2009"], "--picture", picture)
    assert said.startswith("the same person: score ")
    assert said.count("  row ") == 3
    assert json.loads(picture.read_text(encoding="utf-8"))["same"] is True


def test_attendance_finds_who_is_there(photos):
    known = (photos["obama_portrait_2012"], photos["biden_blue_room_2010"])
    said = _run("attendance.py", photos["obama_blue_room_2010"], *known)
    assert [line.split(":")[0] for line in said.splitlines()] == ["obama_portrait_2012"]
