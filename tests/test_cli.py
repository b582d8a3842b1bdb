"""The command line: what it prints, its exit codes, and that errors are one sentence."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xcos
from xcos.cli import main

COMMANDS = ("verify", "explain", "detect", "info", "convert")


@pytest.fixture
def same(photos):
    return [str(photos["obama_portrait_2012"]), str(photos["obama_congress_2009"])]


@pytest.fixture
def different(photos):
    return [str(photos["obama_portrait_2012"]), str(photos["biden_blue_room_2010"])]


def failure(capsys, *arguments: str) -> str:
    """Runs a command that must fail: exit code 2, nothing on stdout, one sentence on stderr."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("xcos: ") and err.count("\n") == 1
    return err


def test_verify(capsys, same, different):
    assert main(["verify", *same]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("same person: score 0.") and "threshold 0.2" in out and err == ""
    assert main(["verify", *different]) == 1
    assert capsys.readouterr().out.startswith("different people: score ")


def test_json_is_the_result(capsys, same):
    assert main(["verify", *same, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data == pytest.approx(xcos.verify(*same).to_dict())
    assert main(["explain", *same, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert np.sum(data["contribution"]) + data["whole"] == pytest.approx(data["score"], abs=1e-6)


def test_threshold_threads_and_model(capsys, same, tmp_path):
    assert main(["verify", *same, "--threshold", "0.99", "--threads", "1"]) == 1
    assert "threshold 0.9900" in capsys.readouterr().out
    path = tmp_path / "model.safetensors"
    xcos.load().save(path)
    assert main(["verify", *same, "--model", str(path)]) == 0


@pytest.fixture
def curved(tmp_path):
    """A model file with thresholds for every w."""
    grid = [0.0, 0.5, 1.0]
    curve = {"whole": grid, "threshold": [0.26, 0.25, 0.24], "accuracy": [0.98, 0.985, 0.99], "data": "x", "pairs": 9}
    path = tmp_path / "curved.safetensors"
    dataclasses.replace(xcos.load(whole=0).file, whole_curve=curve).write(path)
    return str(path)


def test_whole(capsys, same, curved):
    assert main(["explain", *same, "--model", curved, "--whole", "0.3", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    expected = xcos.load(curved, whole=0.3).explain(*same)
    assert data["score"] == pytest.approx(expected.score, abs=1e-6) and data["threshold"] == pytest.approx(0.254)
    assert np.sum(data["contribution"]) + data["whole"] == pytest.approx(data["score"], abs=1e-6)
    assert main(["explain", *same, "--model", curved, "--whole", "0.3"]) == 0
    out = capsys.readouterr().out
    assert f"the score is {expected.sum_in_words()}" in out
    assert f"the face as a whole: {round(1000 * expected.whole)}" in out
    assert main(["verify", *same, "--whole", "0.3", "--threshold", "0.99"]) == 1
    capsys.readouterr()
    bare = str(Path(curved).with_name("bare.safetensors"))
    dataclasses.replace(xcos.load(whole=0).file, whole_curve=None).write(bare)
    error = failure(capsys, "verify", *same, "--model", bare, "--whole", "0.3")
    assert "no threshold is known for whole = 0.3" in error
    for wrong in ("-0.1", "1.1", "x", "nan"):
        with pytest.raises(SystemExit):
            main(["verify", *same, f"--whole={wrong}"])
        assert "expected a number from 0 to 1" in capsys.readouterr().err
    assert main(["info", curved]) == 0
    assert "0.5 98.50%" in capsys.readouterr().out


def test_aligned(capsys, same, tmp_path):
    crops = xcos.load().crops(same)
    names = []
    for i, crop in enumerate(crops):
        names.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(crop).save(names[-1])
    assert main(["verify", *names, "--aligned", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["score"] == pytest.approx(xcos.verify(*same).score, abs=1e-5)
    assert "112" in failure(capsys, "verify", *same, "--aligned")


def test_explain_writes_a_picture(capsys, different, tmp_path):
    target = tmp_path / "why.png"
    assert main(["explain", *different, "-o", str(target)]) == 1
    out = capsys.readouterr().out
    assert "different people" in out and str(target) in out
    rows = [line.split() for line in out.splitlines() if line[:2].strip().isdigit()]
    table = np.array([[int(v) for v in row[1:]] for row in rows])
    np.testing.assert_allclose(table, 1000 * xcos.explain(*different).contribution, atol=0.51)
    with Image.open(target) as image:
        assert image.format == "PNG" and image.width > 800


def test_detect(capsys, same, tmp_path):
    target = tmp_path / "faces.png"
    assert main(["detect", same[0], "-o", str(target)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 face in ")
    assert target.read_bytes().startswith(b"\x89PNG")
    assert main(["detect", same[0], "--json"]) == 0
    face = json.loads(capsys.readouterr().out)["faces"][0]
    assert face["box"] == pytest.approx(list(xcos.detect(same[0])[0].box))
    wall = tmp_path / "wall.png"
    Image.new("RGB", (200, 200), "grey").save(wall)
    assert main(["detect", str(wall)]) == 1
    assert capsys.readouterr().out.startswith("0 faces in ")


def test_face(capsys, photos, tmp_path):
    parts = [xcos.read_image(photos[n])[:600, :600] for n in ("obama_portrait_2012", "biden_blue_room_2010")]
    group = tmp_path / "group.png"
    Image.fromarray(np.hstack(parts)).save(group)
    biden = int(xcos.detect(str(group))[0].box[0] < 600)
    photo = str(photos["biden_blue_room_2010"])
    assert main(["verify", str(group), photo, "--face", f"{biden},0"]) == 0
    assert main(["verify", str(group), photo, "--face", f"{1 - biden},"]) == 1
    capsys.readouterr()
    assert "7" in failure(capsys, "verify", str(group), photo, "--face", "7,0")
    for wrong in ("x", "1,2,3", "-1,0"):
        with pytest.raises(SystemExit) as stop:
            main(["verify", str(group), photo, f"--face={wrong}"])
        assert stop.value.code == 2
        assert "N,M" in capsys.readouterr().err


def test_info(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["thresholds"]["xcos"] == xcos.load().threshold
    assert facts["parameters"] > 1_000_000 and facts["license"]
    assert main(["info", "yunet"]) == 0
    assert "detector" in capsys.readouterr().out
    assert "nothing" in failure(capsys, "info", "nothing")


def test_convert(capsys, shared, tmp_path):
    target = tmp_path / "network.safetensors"
    source = shared / "models/mobilefacenet512.onnx"
    assert main(["convert", str(source), str(target)]) == 0
    assert str(target) in capsys.readouterr().out
    x = np.random.default_rng(0).normal(size=(2, 3, 112, 112)).astype(np.float32)
    import onnxruntime

    session = onnxruntime.InferenceSession(source)
    name = session.get_inputs()[0].name
    expected = np.concatenate([session.run(None, {name: x[i : i + 1]})[0] for i in range(2)])
    (got,) = xcos.Network.load(target).run(x).values()
    np.testing.assert_allclose(got, expected, atol=1e-5 * max(1, np.abs(expected).max()))


def test_errors_are_one_sentence(capsys, same, tmp_path):
    assert "nowhere.jpg" in failure(capsys, "verify", str(tmp_path / "nowhere.jpg"), same[0])
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    assert "text.jpg" in failure(capsys, "verify", same[0], str(text))
    assert str(tmp_path) in failure(capsys, "verify", str(tmp_path), same[0])
    assert ".gif" in failure(capsys, "explain", *same, "-o", str(tmp_path / "why.gif"))
    assert "text.jpg" in failure(capsys, "convert", str(text), str(tmp_path / "out.safetensors"))
    with pytest.raises(SystemExit) as stop:
        main(["verify", *same, "--threads", "0"])
    assert stop.value.code == 2


@pytest.mark.parametrize("command", [(), *((c,) for c in COMMANDS)])
def test_help_has_examples(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "example" in out and "xcos " in out


def test_as_a_process(same):
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, "-m", "xcos", *arguments], capture_output=True, text=True, check=False)

    assert run("--version").stdout == f"xcos {xcos.__version__}\n"
    done = run("verify", *same)
    assert done.returncode == 0 and done.stdout.startswith("same person") and done.stderr == ""
    failed = run("verify", same[0], "nowhere.jpg")
    assert failed.returncode == 2 and failed.stderr == "xcos: nowhere.jpg: No such file or directory\n"
    assert run().returncode == 2
