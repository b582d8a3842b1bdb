"""Writers: the old file or the new one, whenever the process dies; clear errors where nothing can be written."""

import errno
import io
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from xcos import ModelFileError
from xcos.plan.file import ModelFile
from xcos.recognition.features import Features
from xcos.recognition.results import Verification
from xcos.recognition.writers import FeatureWriter
from xcos.storage.files import keep_arrays, kept_arrays, replacing


def model_file(value):
    weight = np.full((64, 64, 9, 9), value, np.float32)  # 1.3 MB
    layers = [{"op": "conv", "inputs": ["x"], "output": "y", "weight": "w"}]
    return ModelFile("recognizer", f"m{value}", [{"name": "x", "shape": [64, 9, 9]}], layers, ["y"], {"w": weight})


MODELS = [model_file(0), model_file(1)]
RESULTS = [Verification(score=s, threshold=0.2, cosine=s, threshold_from="", model="m") for s in (0.25, 0.75)]
FEATURES = [Features(np.full((40, 8, 7, 7), v, np.float32), np.full((40, 64), v, np.float32)) for v in (0, 1)]


def write_features(path, version):
    with FeatureWriter(path) as writer:
        for k in range(0, 40, 8):
            writer.write([str(version)] * 8, FEATURES[version][k : k + 8])


def write_parts(path, version):
    with replacing(path) as file:
        for _ in range(100):
            file.write(bytes([version]) * 10_000)


def read_features(path):
    with np.load(path) as held:
        version = int(held["grid"][0, 0, 0, 0])
        assert (held["grid"] == version).all() and (held["names"] == str(version)).all() and len(held["grid"]) == 40
    return version


def read_parts(path):
    data = path.read_bytes()
    assert data == data[:1] * 1_000_000
    return data[0]


def read_model(path):
    file = ModelFile.read(path.read_bytes())
    version = int(file.name[1:])
    assert (file.tensors["w"] == version).all()
    return version


def read_result(path):
    import json

    return [0.25, 0.75].index(json.loads(path.read_text())["score"])


WRITERS = {
    "bytes": ("a.bin", write_parts, read_parts),
    "model": ("m.safetensors", lambda path, version: MODELS[version].write(path), read_model),
    "result": ("r.json", lambda path, version: RESULTS[version].save(path), read_result),
    "features": ("f.npz", write_features, read_features),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_killed_at_a_hundred_random_moments(tmp_path):
    """In a process of its own: to fork this one, which holds what all tests imported, takes longer than the rest."""
    command = [sys.executable, __file__, tmp_path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def kill_at_a_hundred_random_moments(name, folder):
    file, write, read = WRITERS[name]
    path = folder / file
    write(path, 0)
    chance = random.Random(name)
    seen, turns = set(), 0
    while turns < 100 or (len(seen) < 2 and turns < 1000):  # more, and later, where the machine is busy
        turns += 1
        child = os.fork()
        if child == 0:
            try:
                for turn in range(1, 1000):
                    write(path, turn % 2)
            finally:
                os._exit(1)
        time.sleep(chance.random() * 0.03 * max(1, turns // 100))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        seen.add(read(path))
    assert seen == {0, 1}  # it was killed in the midst of its work, not before


@pytest.mark.parametrize("name", WRITERS)
def test_an_error_leaves_the_old_file_alone(name, tmp_path):
    """A limit on the size of files stands for a full disk; the message names the file."""
    file, write, read = WRITERS[name]
    path = tmp_path / file
    write(path, 0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50, before[1]))
        with pytest.raises(OSError) as caught:
            write(path, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.errno == errno.EFBIG and caught.value.filename == str(path)
    assert read(path) == 0 and os.listdir(tmp_path) == [file]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_named(tmp_path, monkeypatch):
    real = open
    monkeypatch.setattr("builtins.open", lambda path, mode="r", **k: real("/dev/full" if "x" in mode else path, "wb"))
    with pytest.raises(OSError, match=r"No space left on device: '.*m\.safetensors'"):
        MODELS[0].write(tmp_path / "m.safetensors")


@pytest.mark.parametrize("name", ["bytes", "model", "result"])
def test_folders_that_are_none(name, tmp_path):
    file, write, _ = WRITERS[name]
    with pytest.raises(FileNotFoundError, match="absent"):
        write(tmp_path / "absent" / file, 0)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match="taken"):
        write(tmp_path / "taken" / file, 0)


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_may_only_be_read(name, unprivileged):
    file, write, read = WRITERS[name]
    with TemporaryDirectory() as folder:  # not pytest's, which others may not enter
        path = Path(folder) / file
        write(path, 0)
        path.parent.chmod(0o500)
        try:
            with pytest.raises(PermissionError, match=file):
                write(path, 1)
            assert read(path) == 0 and os.listdir(folder) == [file]
        finally:
            path.parent.chmod(0o700)


def test_damaged_model_files_are_refused(tmp_path):
    data = bytearray(MODELS[1].to_bytes())
    path = tmp_path / "m.safetensors"
    for length in (0, 7, 8, 100, 1000, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ModelFileError, match=r"m\.safetensors"):
            ModelFile.read(path)


KEPT = {"a": np.arange(30.0, dtype=np.float32).reshape(5, 6), "b": np.array(["one", "twö"]), "c": np.array(1.5)}


@pytest.mark.parametrize("damage", ["bits", "cuts", "other content"])
def test_kept_arrays_are_checked(damage, tmp_path, caplog):
    """What is read is what was written, or nothing."""
    path, chance = tmp_path / "kept.npz", random.Random(damage)
    assert kept_arrays(path) is None and not caplog.text
    keep_arrays(path, KEPT)
    found = kept_arrays(path)
    assert found and all(np.array_equal(found[name], KEPT[name]) for name in {*found, *KEPT})
    sound, refused = path.read_bytes(), 0
    for _ in range(300 if damage == "bits" else 40):
        data = bytearray(sound)
        if damage == "bits":
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif damage == "cuts":
            del data[chance.randrange(len(data)) :]
        path.write_bytes(data)
        if damage == "other content":  # a sound archive, of arrays that were changed
            np.savez(path, **{**KEPT, "a": KEPT["a"] + 1}, sha256=np.load(io.BytesIO(sound))["sha256"])
        found = kept_arrays(path)
        refused += found is None
        assert found is None or all(np.array_equal(found[name], KEPT[name]) for name in {*found, *KEPT})
    assert refused > 20 and "is damaged and is made again" in caplog.text


KINDS = ["model", "result", "features"]


@pytest.mark.parametrize("name", KINDS)
def test_a_link_stays_and_its_target_is_replaced(name, tmp_path):
    file, write, read = WRITERS[name]
    (tmp_path / "elsewhere").mkdir()
    real, link, dangling = tmp_path / "elsewhere" / file, tmp_path / file, tmp_path / f"new-{file}"
    link.symlink_to(tmp_path / "between")
    (tmp_path / "between").symlink_to(real)
    dangling.symlink_to(tmp_path / "elsewhere" / f"new-{file}")
    write(real, 0)
    for path in (link, dangling):
        write(path, 1)
        assert path.is_symlink() and not path.resolve().is_symlink() and read(path) == 1
    assert read(real) == 1 and sorted(os.listdir(real.parent)) == sorted([file, f"new-{file}"])
    circle = tmp_path / f"circle-{file}"
    circle.symlink_to(circle)
    with pytest.raises(OSError, match="circle"):
        write(circle, 0)


@pytest.mark.parametrize("name", KINDS)
def test_mode_and_owner_are_kept(name, tmp_path):
    file, write, read = WRITERS[name]
    path = tmp_path / file
    before = os.umask(0o027)
    try:
        write(path, 0)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640  # a new file has what the umask leaves
    for mode in (0o600, 0o666, 0o755):
        path.chmod(mode)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
        write(path, 1)
        assert path.stat().st_mode & 0o7777 == mode and read(path) == 1
        assert os.geteuid() != 0 or (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_file_is_written_to_or_refused(name, tmp_path):
    file, write, read = WRITERS[name]
    folder, marked, pipe = (tmp_path / f"{kind}-{file}" for kind in ("folder", "marked", "pipe"))
    folder.mkdir()
    with pytest.raises(IsADirectoryError, match="folder-"):
        write(folder, 1)
    write(marked, 0)
    marked.chmod(0o444)
    with pytest.raises(PermissionError, match="marked-"):
        write(marked, 1)
    assert read(marked) == 0 and folder.is_dir()
    os.mkfifo(pipe)
    content = tmp_path / f"content-{file}"
    reader = threading.Thread(target=lambda: content.write_bytes(pipe.read_bytes()))
    reader.start()
    write(pipe, 1)
    reader.join()
    assert pipe.is_fifo() and read(content) == 1
    with pytest.raises(ZeroDivisionError), replacing(pipe) as _:  # nothing is written where there is an error
        raise ZeroDivisionError
    if os.geteuid() == 0:
        device = tmp_path / f"null-{file}"
        try:
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except OSError:
            pytest.skip("no devices may be made here")
        write(device, 1)
        assert device.is_char_device()


@pytest.mark.parametrize("name", KINDS)
def test_a_name_of_255_bytes(name, tmp_path):
    file, write, read = WRITERS[name]
    suffix = Path(file).suffix
    path = tmp_path / ("n" * (255 - len(suffix)) + suffix)
    for version in (0, 1):
        write(path, version)
        assert read(path) == version
    longer = path.with_name("n" + path.name)
    with pytest.raises(OSError) as caught:
        write(longer, 0)
    assert caught.value.errno == errno.ENAMETOOLONG and caught.value.filename == str(longer)


if __name__ == "__main__":
    for writer in WRITERS:
        kill_at_a_hundred_random_moments(writer, Path(sys.argv[1]))
