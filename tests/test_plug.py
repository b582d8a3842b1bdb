"""Plugging a head into foreign networks: what is found, what is trained, and that the network stays what it was."""

import dataclasses
import io
import json
import logging
import pickle
import re
import sys
import tarfile

import inception
import numpy as np
import onnx
import pytest
import torch
import torch_networks as networks
from onnx_graphs import graph, onnxruntime_run
from PIL import Image
from torch import nn

import xcos
from xcos.cli import main
from xcos.datasets import Faces
from xcos.errors import ModelFileError
from xcos.importers.onnx.embedding import before_normalisation, import_embedding
from xcos.measured.truth import CellTruth
from xcos.plan.branch import value_shape
from xcos.plan.network import Network
from xcos.plugging import find_map, read_network
from xcos.plugging.data import hold_out, whole_faces
from xcos.plugging.settings import Settings
from xcos.train import Config, read_faces

NARROW = (16, 32, 48, 64)
PEOPLE, EACH = 24, 3
QUICK = {"steps": 4, "batch": 16, "rows": 8, "folds": 5, "threads": 1, "pasted": 2, "truth": 4}


@pytest.fixture(scope="module")
def network():
    return networks.with_random_state(networks.IResNet((1, 1, 1, 1), NARROW))


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    path.write_bytes(networks.to_onnx(network))
    return path


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A tar of crops: blots of colour that a person's pictures share, and some that they do not."""
    path = tmp_path_factory.mktemp("data") / "people.tar"
    own = networks.pictures(PEOPLE, seed=11)
    with tarfile.open(path, "w") as tar:
        for person in range(PEOPLE):
            for k, other in enumerate(networks.pictures(EACH, seed=100 + person)):
                mixed = ((0.7 * own[person] + 0.3 * other + 1) * 127.5).permute(1, 2, 0).numpy().astype(np.uint8)
                buffer = io.BytesIO()
                Image.fromarray(mixed).save(buffer, "PNG")
                member = tarfile.TarInfo(f"{person:03d}/{k}.png")
                member.size = buffer.tell()
                tar.addfile(member, io.BytesIO(buffer.getvalue()))
    return path


@pytest.fixture(scope="module")
def plugged(exported, people, tmp_path_factory):
    target = tmp_path_factory.mktemp("plugged") / "mine.safetensors"
    return xcos.plug(exported, people, target, color="BGR", mean=(127, 120, 110), scale=1 / 128, **QUICK), target


def random_crops(n):
    return np.random.default_rng(5).integers(0, 256, (n, 112, 112, 3), np.uint8)


def test_the_network_is_not_touched(plugged, exported):
    made, target = plugged
    before = import_embedding(exported)
    for name, tensor in before.tensors.items():
        assert made.model.file.tensors[name].tobytes() == tensor.tobytes(), name
    assert made.model.file.layers[: len(before.layers)] == before.layers
    crops = random_crops(5)
    x = ((crops[..., ::-1] - np.float32([127, 120, 110])) * np.float32(1 / 128)).transpose(0, 3, 1, 2)
    plain = Network(before).run(x)[before.outputs[0]]
    embedding = xcos.load(target).features(crops, aligned=True).embedding
    assert embedding.tobytes() == plain.tobytes()
    expected = onnxruntime_run(onnx.load(exported), {"input": x}, ["embedding"], False)["embedding"]
    np.testing.assert_allclose(embedding, expected, atol=1e-4)


def test_what_is_written(plugged, people):
    made, target = plugged
    model = xcos.load(target)
    assert model.name == "mine" and model.file.preprocess["color"] == "BGR"
    assert made.way == "a fully connected layer on the flattened map"
    assert model.features(random_crops(2), aligned=True).grid.shape == (2, 128, 7, 7)
    assert made.branch == "embedding" and value_shape(model.file, made.since)[1:] == (14, 14)
    with open(target.with_suffix(".work") / "held_out.bin", "rb") as file:
        encoded, same = pickle.load(file)
    assert sum(same) * 2 == len(same) == len(encoded) // 2 == 2 * 10 * EACH  # ten people, three pairs each
    # The threshold decides these pairs as well as any other does.
    crops = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in encoded])
    seen = model.features(crops, aligned=True)
    compared = model.compare(seen[::2], seen[1::2])
    same = np.array(same)
    right = [((compared.score > t) == same).mean() for t in (model.threshold, *compared.score)]
    assert right[0] == max(right)
    xcos_report, cosine_report = made.table
    assert (xcos_report.metric, cosine_report.metric) == ("xcos", "cosine") and xcos_report.dataset == "held_out"
    unit = seen.embedding / np.linalg.norm(seen.embedding, axis=1, keepdims=True)
    np.testing.assert_allclose(cosine_report.scores, (unit[::2] * unit[1::2]).sum(1), atol=1e-5)
    assert made.truth.faces == "people.tar, held out" and made.truth.triples == 4
    assert model.file.truth == CellTruth.of(made.truth).to_dict()
    assert "grid from" in repr(made) and json.dumps(made.to_dict())


def test_other_sources(network, people, plugged, tmp_path):
    torch.save(network.state_dict(), tmp_path / "w.pth")
    pairs = plugged[1].with_suffix(".work") / "held_out.bin"
    given = {"pairs": pairs, "depth": 16, "name": "a", "since": "none", **QUICK}
    made = xcos.plug(tmp_path / "w.pth", [people], tmp_path / "a.safetensors", **given)
    assert made.model.features(random_crops(1), aligned=True).grid.shape == (1, 16, 7, 7)
    assert made.model.file.preprocess["mean"] == [127.5] * 3 and made.model.name == "a"
    assert (made.branch, made.since) == ("projection", "") and "which training saw" in made.truth.faces
    # A model with a head gets another one.
    given = {"pairs": pairs, **QUICK, "truth": 0}
    again = xcos.plug(tmp_path / "a.safetensors", people, tmp_path / "b.safetensors", **given)
    seen = [model.features(random_crops(2), aligned=True) for model in (made.model, again.model)]
    assert seen[0].embedding.tobytes() == seen[1].embedding.tobytes()
    assert seen[1].grid.shape == (2, 128, 7, 7)


def test_command(exported, people, tmp_path, capsys, monkeypatch):
    target = tmp_path / "mine.safetensors"
    arguments = ["--data", str(people), "-o", str(target), "--steps", "2", "--depth", "8", "--threads", "1"]
    arguments += ["--truth", "3", "--quiet"]
    assert main(["plug", str(exported), *arguments]) == 0
    out = capsys.readouterr().out
    assert "| xcos |" in out and "| cosine |" in out and "flattened map" in out and str(target) in out
    assert "| own |" in out and "branch embedding" in out
    assert xcos.load(target).file.preprocess["color"] == "RGB"
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert main(["plug", str(exported), *arguments]) == 2
    assert "needs scikit-learn: pip install xcos[train]" in capsys.readouterr().err


def test_type_checkers_know_the_settings_of_training():
    own = {"model", "color", "mean", "scale", "data", "output", "embedding", "at", "validate", "threads", "progress"}
    known = {one.name: one.type for one in dataclasses.fields(Config) if one.name not in own}
    known["since"] = "str | None"  # None: found
    assert {name: kind.__forward_arg__ for name, kind in Settings.__annotations__.items()} == known


@pytest.mark.parametrize(
    ("settings", "missing", "error", "message"),
    [
        ({"stpes": 3}, "", TypeError, "unexpected setting 'stpes'; did you mean 'steps'?"),
        ({"validate": "a.bin"}, "", TypeError, "unexpected setting 'validate'; did you mean 'pairs'?"),
        ({"nonsense": 3}, "", TypeError, "unexpected setting 'nonsense': xcos.train.Config"),
        ({"steps": 0}, "", ValueError, "steps is 0; expected 1 or more"),
        ({"truth": -1}, "", ValueError, "truth is -1; expected 0 or more"),
        ({"truth": 0}, "scipy", ImportError, "needs scipy: pip install xcos[train]"),
        ({"progress": True}, "tqdm", ImportError, "needs tqdm"),
        ({"tensorboard": True}, "tensorboard", ImportError, "pip install xcos[train] tensorboard"),
        ({"pairs": "absent.bin"}, "", OSError, "absent.bin"),
        ({"held_out": "absent.tar"}, "", OSError, "absent.tar"),
    ],
)
def test_what_is_wrong_is_told_before_any_face_is_read(
    exported, people, tmp_path, monkeypatch, settings, missing, error, message
):
    def read(*_):
        raise AssertionError("a face was read")

    monkeypatch.setattr(Faces, "encoded", read)
    if missing:
        monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(error, match=re.escape(message)):
        xcos.plug(exported, people, tmp_path / "mine.safetensors", **settings)


def tail(*layers):
    """A network of one convolution, then these layers."""
    return nn.Sequential(nn.Conv2d(3, 8, 3, 16, 1), nn.PReLU(8), *layers).eval()


class Swapped(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1)


WAYS = {
    "a fully connected layer on the flattened map": (nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(392, 16)),
    "a depthwise convolution over the whole map": (nn.Conv2d(8, 8, 7, groups=8), nn.Conv2d(8, 16, 1), nn.Flatten()),
    "a convolution over the whole map": (nn.Conv2d(8, 16, 7),),
    "pooling": (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 16)),
    "flattened with channels last": (Swapped(), nn.Flatten(), nn.Linear(392, 16)),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_map_is_found(way, tmp_path):
    network = tail(*WAYS[way])
    (tmp_path / "n.onnx").write_bytes(networks.to_onnx(network))
    file, embedding = read_network(tmp_path / "n.onnx", {})
    at, found = find_map(file, embedding)
    assert found == (way if "channels last" not in way else next(iter(WAYS)))
    x = networks.pictures(2)
    short = Network(dataclasses.replace(file, outputs=[embedding, at])).run(x.numpy())
    assert short[at].shape == (2, 8, 7, 7) and short[embedding].shape == (2, 16)
    with torch.no_grad():
        np.testing.assert_allclose(short[embedding], network(x).reshape(2, 16).numpy(), atol=1e-5)
    first = file.layers[0]["output"]
    assert find_map(file, embedding, first)[0] == first


def test_no_map(tmp_path):
    (tmp_path / "n.onnx").write_bytes(networks.to_onnx(tail(nn.Flatten(), nn.Linear(392, 16))))
    file, embedding = read_network(tmp_path / "n.onnx", {})
    with pytest.raises(ValueError, match="expected a map"):
        find_map(file, embedding, embedding)
    with pytest.raises(ValueError, match="absent"):
        find_map(file, embedding, "absent")
    (tmp_path / "n.onnx").write_bytes(networks.to_onnx(nn.Sequential(nn.AvgPool2d(112), nn.Conv2d(3, 8, 1)).eval()))
    file, embedding = read_network(tmp_path / "n.onnx", {})
    with pytest.raises(ValueError, match="no map of several cells"):
        find_map(file, embedding)
    (tmp_path / "n.onnx").write_bytes(networks.to_onnx(tail(nn.AdaptiveAvgPool2d(1)), size=160))
    with pytest.raises(ModelFileError, match="160"):
        read_network(tmp_path / "n.onnx", {})


NORMALISED = {
    "normalize": nn.functional.normalize,
    "division": lambda y: y / y.norm(2, 1, True),
    "rsqrt": lambda y: y * torch.rsqrt((y * y).sum(1, keepdim=True) + 1e-10),
}


@pytest.mark.parametrize("opset", [9, 13, 17])
@pytest.mark.parametrize("name", NORMALISED)
def test_division_by_the_length_is_left_out(name, opset, tmp_path):
    network = tail(nn.Flatten(), nn.Linear(392, 16))
    network.forward = lambda x: NORMALISED[name](nn.Sequential.forward(network, x))
    (tmp_path / "n.onnx").write_bytes(networks.to_onnx(network, opset=opset))
    file = import_embedding(tmp_path / "n.onnx")
    x = networks.pictures(2)
    got = Network(file).run(x.numpy())[file.outputs[0]]
    with torch.no_grad():
        expected = network(x).numpy()
    np.testing.assert_allclose(got / np.linalg.norm(got, axis=1, keepdims=True), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ("s = ReduceL2 <axes=[1]> (x)  y = Div(x, s)", "x"),
        ("s = LpNormalization <axis=1, p=2> (x)  y = Identity(s)", "x"),
        ("y = Div(x, two)", "y"),  # a number
        ("r = Sigmoid(x)  y = Mul(x, r)", "y"),  # a gate
        ("r = Relu(x)  s = ReduceL2 <axes=[1]> (r)  y = Div(x, s)", "y"),  # another vector's length
        ("r = Abs(x)  y = Div(x, r)", "y"),  # signs
        ("y = Add(x, two)", "y"),
    ],
)
def test_what_counts_as_division_by_the_length(body, end):
    model = graph(body, x=("N", 8), constants={"two": np.float32([2])})
    assert before_normalisation(model.graph, "y") == end


@pytest.mark.parametrize("size", [112, 160])
def test_inception_resnet(size, tmp_path):
    network = networks.with_random_state(inception.InceptionResNetV1(8, (2, 3, 2)), size)
    (tmp_path / "facenet.onnx").write_bytes(networks.to_onnx(network, size))
    file = import_embedding(tmp_path / "facenet.onnx", side=size)
    x = networks.pictures(2, size, seed=3)
    got = Network(file).run(x.numpy())[file.outputs[0]]
    with torch.no_grad():
        expected = network(x).numpy()
    np.testing.assert_allclose(got / np.linalg.norm(got, axis=1, keepdims=True), expected, atol=1e-5)
    assert find_map(file, file.outputs[0])[1] == "pooling"


def test_photographs_become_crops(photos, tmp_path, caplog):
    folder = tmp_path / "people"
    (folder / "obama").mkdir(parents=True)
    names = sorted(photos)
    for name in names:
        (folder / "obama" / f"{name}.jpg").write_bytes(photos[name].read_bytes())
    crop = xcos.crop(photos[names[0]])
    Image.fromarray(crop).save(folder / "obama" / "z.png")
    Image.new("RGB", (200, 200), "grey").save(folder / "wall.png")
    with caplog.at_level(logging.WARNING, "xcos"):
        for _ in range(2):  # the second time from the work folder
            found = whole_faces([folder], tmp_path, threads=2)
            assert len(found) == 5 and found.people == 1
            for i, name in enumerate([*names, names[0]]):
                np.testing.assert_array_equal(found.crop(i), xcos.crop(photos[name]))
    assert "1 of 6 pictures left out" in caplog.text
    with pytest.raises(ValueError, match="1 people with several pictures"):
        hold_out(found, tmp_path)


def test_people_are_held_out(people, tmp_path):
    everyone = read_faces(people)
    rest, unseen, path = hold_out(everyone, tmp_path, seed=3)
    with open(path, "rb") as file:
        held = set(pickle.load(file)[0])
    kept = {rest.encoded(i) for i in range(len(rest))}
    assert rest.people == PEOPLE - 10 and len(rest) == (PEOPLE - 10) * EACH and not held & kept
    assert {unseen.encoded(i) for i in range(len(unseen))} >= held and unseen.people == 10
    by_picture = {everyone.encoded(i): everyone.labels[i] for i in range(len(everyone))}
    for label in range(rest.people):  # numbered anew, still the same people
        assert len({by_picture[rest.encoded(i)] for i in np.flatnonzero(rest.labels == label)}) == 1
