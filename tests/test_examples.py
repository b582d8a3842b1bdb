"""The programs under examples/ do what they say, on the shipped photographs (that for Ray: test_ray.py)."""

import os
import re
import runpy
import sys
from pathlib import Path

import pytest
import snippets

import xcos

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a program in this process, in an empty folder; gives what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_all_are_listed_with_what_they_do():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    programs = {path.name for path in EXAMPLES.glob("*.py")} | {"Dockerfile"}
    assert programs == set(re.findall(r"^\| `(\w+\.py|Dockerfile)` \|", text, re.MULTILINE))
    for program in programs:
        assert (f"examples/{program}" in (EXAMPLES / program).read_text(encoding="utf-8")) or program == "service.py"


@pytest.mark.slow
def test_audit(run, tmp_path):
    pytest.importorskip("sklearn")
    for name in ("pairs.csv", "people.csv"):
        snippets.GIVEN[name](tmp_path / name)
    said = run("audit.py", "pairs.csv", "--groups", "people.csv", "-o", "audit.html")
    report = xcos.evaluate(None, "pairs.csv", threshold="model")
    assert said.startswith(f"{report.accuracy:.1%} of 40 pairs are told rightly")
    page = Path("audit.html").read_text(encoding="utf-8")
    assert "30 to 44" in page and "under 30" in page


def test_own_network(run, tmp_path, photos):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    snippets.GIVEN["network.onnx"](tmp_path / "network.onnx")
    faces = photos["obama_portrait_2012"], photos["biden_blue_room_2010"]
    said = run("own_network.py", "network.onnx", *faces, "--color", "BGR", "--mean", 127, "--scale", 0.0078125)
    session = onnxruntime.InferenceSession("network.onnx")
    pixels = [xcos.crop(face)[..., ::-1].transpose(2, 0, 1) for face in faces]
    first, second = (session.run(None, {"input": (p[None] - 127.0).astype("f4") / 128})[0][0] for p in pixels)
    cosine = first @ second / (first @ first * (second @ second)) ** 0.5
    assert float(re.match(r"cosine (-?\d\.\d+); most alike \d+ % down", said)[1]) == pytest.approx(cosine, abs=2e-4)


@pytest.mark.slow
def test_compare_explainers(run, tmp_path, photos):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    snippets.GIVEN["pairs.csv"](tmp_path / "pairs.csv")
    faces = photos["obama_portrait_2012"], photos["obama_congress_2009"]
    said = run("compare_explainers.py", *faces, "--masks", 8)
    names = ["XCos", "CorrRISE", "CentreMap"]
    assert re.findall(r"^(\w+): \d+ runs", said, re.MULTILINE) == names
    assert all(Path(f"maps_{name}.png").stat().st_size > 5000 for name in names)


def test_service(photos):
    pytest.importorskip("fastapi")
    testing = pytest.importorskip("starlette.testclient", exc_type=(ImportError, RuntimeError))
    namespace = runpy.run_path(str(EXAMPLES / "service.py"))
    first, second = (photos[name].read_bytes() for name in ("obama_portrait_2012", "obama_congress_2009"))
    with testing.TestClient(namespace["app"]) as client:
        answer = client.post("/verify", files={"a": first, "b": second}).json()
        refused = client.post("/verify", files={"a": first, "b": b"no picture"})
    e = xcos.explain(first, second)
    assert answer["answer"] == "same person" and answer["score"] == pytest.approx(e.score)
    assert sum(map(sum, answer["contribution"])) + answer["whole"] == pytest.approx(e.score, abs=1e-5)
    assert refused.status_code == 422 and "what is read is JPEG" in refused.json()["detail"]


def test_dockerfile_builds_apart_and_runs_as_nobody_special():
    """What can be told without Docker; `hadolint examples/Dockerfile` has nothing to say either."""
    text = (EXAMPLES / "Dockerfile").read_text(encoding="utf-8")
    images = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    last = text[text.rindex("\nFROM") :]
    assert len(images) == 2 and all(image.endswith("-slim-bookworm") for image in images)
    assert re.search(r"^USER [1-9]\d+$", last, re.MULTILINE) and "gcc" not in last
    extras = re.search(r"\[(\w+)\]", last)[1]
    assert f"\n{extras} = [" in (EXAMPLES.parent / "pyproject.toml").read_text(encoding="utf-8")
    for path in re.findall(r"examples/\w+", text):
        assert os.path.exists(EXAMPLES.parent / path)
