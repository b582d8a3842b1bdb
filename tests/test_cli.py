"""The command line: what it prints, its exit codes, and that errors are one sentence."""

import dataclasses
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xcos
from xcos.cli import main
from xcos.recognition import collected

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
    expected = xcos.verify(*same).to_dict()
    assert data.pop("llr_interval") == pytest.approx(expected.pop("llr_interval"))
    assert data == pytest.approx(expected)
    assert main(["explain", *same, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert np.sum(data["contribution"]) + data["whole"] == pytest.approx(data["score"], abs=1e-6)


def test_threshold_threads_and_model(capsys, same, tmp_path):
    assert main(["verify", *same, "--threshold", "0.99", "--threads", "1"]) == 1
    assert "threshold 0.9900" in capsys.readouterr().out
    path = tmp_path / "model.safetensors"
    xcos.load().save(path)
    assert main(["verify", *same, "--model", str(path)]) == 0


def test_a_word_that_is_nearly_a_command(capsys):
    with pytest.raises(SystemExit):
        main(["verfy", "a.jpg", "b.jpg"])
    assert capsys.readouterr().err.endswith("'verfy' is not known; did you mean 'verify'?\n")


def test_faces_of_several_photographs(capsys, same, tmp_path):
    """One that can't be read does not keep the others' faces back; the exit code tells."""
    assert main(["detect", *same, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["image"], len(one["faces"])) for one in listed] == [(name, 1) for name in same]
    assert main(["detect", same[0], str(tmp_path / "absent.jpg"), same[1]]) == 2
    out, err = capsys.readouterr()
    assert out.count("1 face in ") == 2 and "absent.jpg: No such file" in err and err.count("\n") == 1
    assert "expected one photograph for one picture, got 2" in failure(capsys, "detect", *same, "-o", "faces.png")


@pytest.fixture
def curved(tmp_path):
    """A model file with thresholds for every w."""
    grid = [0.0, 0.5, 1.0]
    curve = {"whole": grid, "threshold": [0.26, 0.25, 0.24], "accuracy": [0.98, 0.985, 0.99], "data": "x", "pairs": 9}
    path = tmp_path / "curved.safetensors"
    dataclasses.replace(xcos.load(whole=0).file, whole_curve=curve).write(path)
    return str(path)


def test_metric(capsys, same, curved):
    assert main(["verify", *same, "--model", curved, "--metric", "cosine", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["score"] == pytest.approx(data["cosine"], abs=1e-6) and data["threshold"] == 0.24
    assert main(["verify", *same, "--metric", "cosine", "--threshold", "0.99"]) == 1
    with pytest.raises(SystemExit):
        main(["verify", *same, "--metric", "l2"])


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
    assert main(["detect", str(wall)]) == 3  # 1 says "different people" and nothing else
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
    error = failure(capsys, "info", "nothing")
    assert "landmarks68 (landmarks), mobilefacenet_xcos_v2 (recognizer), yunet (detector)" in error


def test_only_recognizers_are_named_where_one_is_expected(capsys, same):
    error = failure(capsys, "verify", *same, "--model", "nothing")
    assert error.endswith("'nothing': expected a path or one of mobilefacenet_xcos_v2\n")


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


def process(*arguments, environment=None, **options) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "xcos", *map(os.fsencode, arguments)]
    options = {"capture_output": True, "env": {**os.environ, **(environment or {})}, **options}
    return subprocess.run(command, check=False, **options)


BYTES = os.fsdecode(b"\xff\xfe.jpg")  # no UTF-8
ODD = ["写真.jpg", "café 😀.jpg", "a\nb.jpg", BYTES, "$x^2$ \\frac.jpg", "-a.jpg", "a\u202egnp.jpg"]


# Runs several commands one after the other, each with files in place of its standard output and error.
SEVERAL = """
import json, os, sys
from xcos import view
from xcos.cli import main
view._fallback = lambda e: ""  # the picture once more, which why.png has
codes = []
for k, arguments in enumerate(json.load(sys.stdin)):
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{k}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    try:
        codes.append(main(arguments))
    except SystemExit as end:
        codes.append(end.code)
    sys.stdout.flush()
    sys.stderr.flush()
with open("codes", "w") as file:
    json.dump(codes, file)
"""


def several(commands, encoding, folder):
    """Exit code, standard output and error of each command, of one process with this encoding."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    asked = json.dumps(commands).encode()
    subprocess.run([sys.executable, "-c", SEVERAL], input=asked, check=True, env=environment, cwd=folder)
    for k, code in enumerate(json.loads((folder / "codes").read_bytes())):
        yield code, (folder / f"{k}.out").read_bytes(), (folder / f"{k}.err").read_bytes()


ENCODINGS = [
    ("ascii", []), ("ascii", ["--json"]), ("cp1252", ["-o", "why.png"]), ("utf-8", ["-o", "why.html", "--json"])
]  # fmt: skip


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_file_name_and_any_encoding(encoding, same, tmp_path):
    """Text and JSON on an ASCII console, a picture and a page: the exit code is the answer, stderr is empty."""
    for name in ODD:
        shutil.copy(same[0], tmp_path / name)
    names = [os.path.join(".", name) for name in (*ODD, ODD[0])]
    asked = [
        ["explain", *two, *extra]
        for two in zip(names[::2], names[1::2], strict=True) for own, extra in ENCODINGS if own == encoding
    ]  # fmt: skip
    for command, (code, out, err) in zip(asked, several(asked, encoding, tmp_path), strict=True):
        assert (code, err) == (0, b""), command
        if "--json" in command:
            assert json.loads(out.decode(encoding))["same"] is True
    asked = [["verify", os.path.join(".", f"{name}.absent"), same[1]] for name in ODD]
    for code, out, err in several(asked, encoding, tmp_path):
        assert code == 2 and err.count(b"\n") == 1 and out == b""


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
def test_any_file_name_as_an_argument_of_a_process(name, same, tmp_path):
    shutil.copy(same[0], tmp_path / name)
    photo = os.path.join(".", name)
    done = process("detect", photo, "--json", environment={"PYTHONIOENCODING": "ascii"}, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"") and json.loads(done.stdout)["image"] == photo


def test_one_means_different_people_and_nothing_else(same, different, tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    (tmp_path / "none").mkdir()
    settings = {"MPLCONFIGDIR": str(tmp_path)}
    assert process("explain", *same, "-o", tmp_path / "why.png", environment=settings).returncode == 0
    for photos, answer in ((same, 0), (different, 1)):  # closed: the exit code answers all the same
        quoted = " ".join(map(shlex.quote, [sys.executable, "-m", "xcos", "verify", *photos]))
        for closing in (">&-", ">&- 2>&-"):
            done = subprocess.run(f"{quoted} {closing}", shell=True, stderr=subprocess.PIPE, check=False)
            assert (done.returncode, done.stderr) == (answer, b"")
        if os.path.exists("/dev/full"):
            with open("/dev/full", "w") as full:
                done = process("verify", *photos, capture_output=False, stdout=full, stderr=subprocess.PIPE)
            assert done.returncode == 2 and done.stderr == b"xcos: standard output: No space left on device\n"
    wrong = [
        [], ["verify"], ["verify", same[0], "\udcff.jpg"], ["convert", same[0], "x.safetensors"],
        ["explain", *same, "-o", "absent/x.png"], ["verify", *same, "--threshold", "nan"],
        ["verify", *same, "--model", same[0]], ["evaluate", same[0]], ["features", "none", "f.npz"],
    ]  # fmt: skip
    for arguments, (code, _, err) in zip(wrong, several(wrong, "utf-8", tmp_path), strict=True):
        assert code == 2 and err and b"Traceback" not in err, arguments
    for wrong in ("abc", "0", "-1", "1.5", "99999"):
        done = process("verify", *same, environment={"XCOS_NUM_THREADS": wrong})
        assert done.returncode == 2 and f"XCOS_NUM_THREADS is '{wrong}'" in done.stderr.decode()


ERRORS = [KeyError("x"), RecursionError(), TypeError("x"), AssertionError(), StopIteration(), Exception()]


@pytest.mark.parametrize("error", ERRORS)
def test_the_unexpected_is_one_line_and_two(error, monkeypatch, capsys, same):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("xcos.verify", fail)
    line = failure(capsys, "verify", *same)
    assert type(error).__name__ in line or "x" in line
    monkeypatch.setenv("XCOS_DEBUG", "1")
    assert main(["verify", *same]) == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setattr("sys.stderr", None)
    assert main(["verify", *same]) == 2
    monkeypatch.setattr("xcos.verify", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["verify", *same]) == 130


def test_standard_input(same, different):
    with open(same[0], "rb") as file:
        assert process("verify", "-", same[1], stdin=file).returncode == 0
    with open(different[0], "rb") as file:
        assert process("verify", different[1], "-", stdin=file).returncode == 1
    with open(same[0], "rb") as file:
        assert json.loads(process("detect", "-", "--json", stdin=file).stdout)["faces"]
    assert process("verify", "-", "-", stdin=subprocess.DEVNULL).returncode == 2
    assert process("verify", "-", same[0], stdin=subprocess.DEVNULL).returncode == 2


def test_features_of_a_folder(same, tmp_path):
    folder = tmp_path / "people"
    names = ("anna/1.jpg", "anna/.tmb/1.jpg", "ben/@eaDir/x.jpg", "ben/deep/2.JPG", "._3.jpg", "4.jfif", "5.cr2")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(same[0], folder / name)
    (folder / "again").symlink_to(folder / "anna")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "circle").symlink_to(folder)
    done = process("features", folder, tmp_path / "f.npz", "--json")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "f.npz") as held:
        assert held["names"].tolist() == ["4.jfif", "anna/1.jpg", "ben/deep/2.JPG"]
    assert sum(json.loads(done.stdout)["skipped"].values()) == 7 and b"left out: " in done.stderr
    for form in ("zip", "gztar", "tar"):
        archive = shutil.make_archive(str(tmp_path / "held"), form, folder / "ben")
        done = process("features", archive, tmp_path / f"{form}.npz", "--json")
        assert done.returncode == 0 and json.loads(done.stdout)["skipped"], done.stderr
        with np.load(tmp_path / f"{form}.npz") as held, np.load(tmp_path / "f.npz") as of_folder:
            assert held["names"].tolist() == ["deep/2.JPG"]
            np.testing.assert_array_equal(held["embedding"][0], of_folder["embedding"][2])
    (tmp_path / "empty").mkdir()
    Image.new("RGB", (300, 300)).save(tmp_path / "empty" / "grey.png")
    done = process("features", tmp_path / "empty", tmp_path / "g.npz")
    assert done.returncode == 2 and b"no face in any of 1 pictures" in done.stderr and not (tmp_path / "g.npz").exists()


@pytest.mark.parametrize(
    "command", ["convert a.onnx OUT", "calibrate a.bin OUT", "plug a.onnx --data b -o OUT", "audit --pairs a -o OUT",
                "truth --pairs a.bin -o OUT"]
)  # fmt: skip
def test_a_name_for_what_is_written_is_asked_first(command, capsys):
    with pytest.raises(SystemExit):
        main(command.replace("OUT", "x.onnx").split())
    assert ": expected a name that ends in ." in capsys.readouterr().err


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_features_go_on_after_an_interruption(capsys, tmp_path, monkeypatch):
    """Ten aligned pictures in batches of four, of which one is none. Oracle: a run that nothing interrupts."""
    folder, target, parts = (tmp_path / name for name in ("crops", "f.npz", "f.npz.parts"))
    folder.mkdir()
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (10, 112, 112, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    (folder / "2.png").write_bytes(b"none")
    read, keep = xcos.Model.stream, collected.keep_arrays
    seen = []

    def counted(self, images, **how):
        return read(self, (seen.append(image.name) or image for image in images), batch=4, **how)

    def second_lost(path, arrays):
        keep(path, arrays) if path.stem == "00000005" else interrupt()

    def run(target):
        seen.clear()
        assert main(["features", str(folder), str(target), "--aligned", "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
        with np.load(target) as held:
            return {name: held[name].tolist() for name in held.files}, data["faces"], data["failed"]

    monkeypatch.setattr(xcos.Model, "stream", counted)
    for change, computed in (
        (lambda: None, 5),
        (lambda: (parts / "00000005.npz").write_bytes(b"damaged"), 10),
        (lambda: monkeypatch.setattr("xcos.evaluation.cache.network_digest", lambda _: "another network"), 10),
        (lambda: shutil.copy(folder / "9.png", folder / "3.png"), 10),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(collected, "keep_arrays", second_lost)
            assert main(["features", str(folder), str(target), "--aligned"]) == 130
        kept = f"5 pictures are kept in {parts}, and the same command goes on from there"
        assert capsys.readouterr() == ("", f"xcos: interrupted; {kept}\n") and not target.exists()
        change()
        again = run(target)
        assert len(seen) == computed and not parts.exists()
        assert run(tmp_path / "whole.npz") == again and len(seen) == 10 and again[1] == 9
        target.unlink()


def test_features_of_a_damaged_archive(capsys, tmp_path):
    """A picture that can't be read is told and stops nothing."""
    archive = tmp_path / "crops.zip"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for i in range(3):
            buffer = io.BytesIO()
            Image.fromarray(pixels[i]).save(buffer, "PNG")
            file.writestr(f"{i}.png", buffer.getvalue())
        middle = file.getinfo("1.png")
    data = bytearray(archive.read_bytes())
    data[middle.header_offset + 30 + len(middle.filename)] = 0xFF  # a kind of block that deflate does not have
    archive.write_bytes(data)
    assert main(["features", str(archive), str(tmp_path / "f.npz"), "--aligned", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    ((name, why),) = told["failed"]
    assert told["faces"] == 2 and name == "1.png" and "picture 1 is damaged" in why
    with np.load(tmp_path / "f.npz") as held:
        assert held["names"].tolist() == ["0.png", "2.png"]


@pytest.mark.parametrize(
    ("work", "arguments", "hint"),
    [
        ("compare_models", ["evaluate", "PAIRS"], "; nothing is kept without --cache DIR"),
        ("compare_models", ["evaluate", "PAIRS", "--cache", "c"],
         "; the same command goes on from what c holds by now"),
        ("calibrate", ["calibrate", "PAIRS", "x.safetensors"], "; nothing is kept without --cache DIR"),
        ("audit", ["audit", "--pairs", "PAIRS"], "; nothing is kept without --cache DIR"),
        ("faithfulness.compare", ["compare-explanations", "PAIRS", "-n", "2"], ""),
        ("evaluation.search_templates", ["evaluate-search", "PHOTOS", "PHOTOS"], ""),
        ("Model.stream", ["features", "PHOTOS", "f.npz"], "; nothing is kept yet"),
    ],
)
def test_ctrl_c_is_one_line(work, arguments, hint, capsys, tmp_path, monkeypatch):
    examples = Path(__file__).parents[1] / "examples"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"xcos.{work}", interrupt)
    places = {"PAIRS": str(examples / "pairs.csv"), "PHOTOS": str(examples)}
    assert main([places.get(argument, argument) for argument in arguments]) == 130
    assert capsys.readouterr() == ("", f"xcos: interrupted{hint}\n")
