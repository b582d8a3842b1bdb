"""Training runs on a tiny network: the embedding stays, a stopped run goes on exactly, two processes agree with one."""

import csv
import dataclasses
import multiprocessing
import os
import pickle
import shutil
import socket
import sys
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch_networks
from torch.nn import functional

import xcos
from xcos import Model, ModelFile, Network
from xcos.datasets import read_bin
from xcos.faithfulness import truth
from xcos.measured.truth import CellTruth
from xcos.plan.pixels import as_input
from xcos.train import Config, MarginHead, distributed, train
from xcos.train.cli import main
from xcos.train.distributed import local_classes
from xcos.train.loop import augmentation, with_centroids

torch.set_num_threads(1)


def tiny_network():
    """Conv 3 -> 8, stride 16 to 7 x 7, PReLU, conv 8 -> 12, PReLU, global depthwise convolution, linear map to 16."""
    rng = np.random.default_rng(0)
    shapes = {"a": (8, 3, 16, 16), "b": (12, 8, 1, 1), "k": (12, 1, 7, 7), "w": (16, 12, 1, 1)}
    tensors = {
        name: (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        for name, shape in shapes.items()
    }
    tensors |= {"s": np.full(8, 0.2, np.float32), "t": np.full(12, 0.1, np.float32)}
    layers = [
        {"op": "conv", "inputs": ["x"], "output": "early", "weight": "a", "stride": [16, 16]},
        {"op": "prelu", "inputs": ["early"], "output": "early_p", "slope": "s"},
        {"op": "conv", "inputs": ["early_p"], "output": "late", "weight": "b"},
        {"op": "prelu", "inputs": ["late"], "output": "map", "slope": "t"},
        {"op": "conv", "inputs": ["map"], "output": "pooled", "weight": "k", "groups": 12},
        {"op": "conv", "inputs": ["pooled"], "output": "linear", "weight": "w"},
        {"op": "reshape", "inputs": ["linear"], "output": "embedding", "shape": [-1]},
    ]
    preprocess = {"color": "BGR", "mean": [127, 127, 127], "scale": [1 / 128] * 3}
    inputs = [{"name": "x", "shape": [3, 112, 112]}]
    return ModelFile("recognizer", "tiny", inputs, layers, ["embedding"], tensors, preprocess)


def crop(person, k):
    """A smooth picture: a person's own, changed a little."""
    own = np.random.default_rng(person).integers(0, 256, (5, 5, 3))
    noise = np.random.default_rng([person, k]).integers(-20, 21, (5, 5, 3))
    return cv2.resize(np.clip(own + noise, 0, 255).astype(np.uint8), (112, 112), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the network, faces of eight people, and pairs."""
    place = tmp_path_factory.mktemp("training")
    tiny_network().write(place / "tiny.safetensors")
    for person in range(8):
        (place / "faces" / f"p{person}").mkdir(parents=True)
        for k in range(4):
            cv2.imwrite(str(place / "faces" / f"p{person}" / f"{k}.png"), crop(person, k))
    pictures, same = [], []
    for person in range(12):
        for other in (person, person + 1):
            pictures += [cv2.imencode(".png", crop(p, k))[1].tobytes() for p, k in ((person, 8), (other, 9))]
            same.append(person == other)
    (place / "pairs.bin").write_bytes(pickle.dumps((pictures, same)))
    return place


def config(place, work, **more):
    settings = {
        "model": str(place / "tiny.safetensors"), "data": [str(place / "faces")],
        "output": str(work / "out.safetensors"),
        "depth": 6, "embed": 4, "attend": 4, "batch": 12, "rows": 6, "steps": 4, "every": 2, "folds": 3, "paste": 0.5,
        "pasted": 2, "identification": "arcface", "weight_score": 1.0, "weight_cell": 0.5, "weight_direction": 0.5,
        "weight_change": 0.0, "weight_own": 0.0, "weight_entropy": 0.1, "validate": str(place / "pairs.bin"),
        "threads": 1, "device": "cpu", "warmup": 1, "truth": 0, "keep": "best",
    }  # fmt: skip
    return Config(**{**settings, **more})


VARIANTS = {
    "projection": {},
    "last stage": {"since": "early_p", "optimizer": "reference", "identification": "cosface"},
    "pixels": {"since": "input", "colour": 0.2, "blur": 0.2, "identification": "none"},
    "embedding": {"branch": "embedding", "since": "early", "symmetric": True, "centroid": 0.3},
    "quadruples": {"branch": "embedding", "since": "early", "paste": 1.0, "pasted": 3, "weight_change": 0.5},
    "whole": {"whole": 0.3, "centroid": 0.3},
    "learned": {"whole": "learned", "rate": 0.1},
    "local cells": {"weight_own": 4.0, "weight_change": 2.0, "identification": "none", "keep": "last"},
    "renewed": {"branch": "embedding", "since": "early", "paste": 1.0, "renew": 1, "shake": 0.5},
    "renewed pixels": {"since": "input", "paste": 1.0, "renew": 3, "shake": 0.5, "identification": "none"},
    "bfloat16": {"precision": "bfloat16", "accumulate": 2, "normalization": "minmax"},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_run(place, tmp_path, name):
    file = train(config(place, tmp_path, **VARIANTS[name]))
    written = ModelFile.read(tmp_path / "out.safetensors")
    assert written.to_bytes() == file.to_bytes()
    assert set(written.thresholds) == {"xcos", "cosine"} and "pairs.bin" in written.thresholds_from
    x = as_input(file, np.stack([crop(20, 0), crop(21, 0)]))
    plain = Network(tiny_network()).run(x)["embedding"]
    found = Network(written).run(x)
    np.testing.assert_array_equal(found["embedding"], plain)
    assert found["grid"].shape == (2, 6, 7, 7)
    rows = (tmp_path / "out.work" / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "2", "4"]
    result = Model(written).explain(crop(20, 0), crop(20, 1), aligned=True)
    assert result.score == pytest.approx(float(result.contribution.sum()) + result.whole, abs=1e-5)
    w = written.head["whole"]
    asked = VARIANTS[name].get("whole", 0.0)
    assert (0 < w < 1 and w != pytest.approx(0.3)) if asked == "learned" else w == asked
    assert result.explained == pytest.approx(1 - w)
    curve = Model(written).whole_curve
    assert curve.threshold[-1] == written.thresholds["cosine"] and curve.pairs == 12 * 2
    if w == 0:
        assert curve.threshold[0] == written.thresholds["xcos"]


def test_going_on_with_a_model(place, tmp_path):
    """Without a step that counts, grid and head stay; the layers that make the embedding cannot be trained."""
    first = train(config(place, tmp_path, branch="embedding", since="early"))
    more = {"model": str(tmp_path / "out.safetensors"), "output": str(tmp_path / "more.safetensors"), "branch": "grid"}
    second = train(config(place, tmp_path, **more, since="early", rate=0.0, decay=0.0))
    assert second.tensors.keys() == first.tensors.keys()
    for name, tensor in first.tensors.items():
        np.testing.assert_array_equal(second.tensors[name], tensor)
    with pytest.raises(ValueError, match="training from 'x' would change the embedding"):
        train(config(place, tmp_path, **more, since="x", resume="never"))
    with pytest.raises(ValueError, match="expected a model with a head"):
        train(config(place, tmp_path, branch="grid", since="early", resume="never"))


def test_the_same_run_gives_the_same_weights(place, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        train(config(place, tmp_path / folder))
    a, b = ((tmp_path / folder / "out.safetensors").read_bytes() for folder in ("a", "b"))
    assert a == b


@pytest.mark.parametrize(
    "more", [{}, {"optimizer": "reference"}, {"renew": 1, "shake": 0.5}], ids=["adamw", "reference", "renewed"]
)
def test_a_stopped_run_goes_on_as_if_it_had_not(place, tmp_path, more, monkeypatch):
    from xcos.train import loop

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = train(config(place, tmp_path / "a", steps=6, validate="", **more))
    checked = loop._Run._checked

    def stopped(self, numbers):
        checked(self, numbers)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop._Run, "_checked", stopped)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(config(place, tmp_path / "b", steps=6, validate="", **more))
    monkeypatch.undo()
    again = train(config(place, tmp_path / "b", steps=6, validate="", **more))
    for name, tensor in whole.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], tensor)
    steps = [row.split(",")[0] for row in (tmp_path / "b" / "out.work" / "log.csv").read_text().splitlines()]
    assert steps == ["step", "2", "4", "6"]
    assert len(list((tmp_path / "b" / "out.work").glob("activations-*.npy"))) == 1


def test_ctrl_c_tells_of_the_checkpoint(tmp_path, capsys, monkeypatch):
    """Of `python -m xcos.train` and `xcos plug`; nothing where there is none, or where it is not to be gone on from."""
    from xcos import cli

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["xcos.train.cli"], "train", interrupt)
    monkeypatch.setattr(import_module("xcos.plugging.plug"), "plug", interrupt)
    out, work = str(tmp_path / "out.safetensors"), tmp_path / "out.work"
    work.mkdir()
    for hint in ("", f"; the same command goes on from the checkpoint in {work}"):
        for run, name, arguments in (
            (main, "xcos.train", ["--model", "a.onnx", "--data", "people", "--output", out]),
            (cli.main, "xcos", ["plug", "a.onnx", "--data", "people", "-o", out]),
        ):
            assert run(arguments) == 130
            assert capsys.readouterr() == ("", f"{name}: interrupted{hint}\n")
            assert run([*arguments, "--resume", "never"]) == 130
            assert capsys.readouterr() == ("", f"{name}: interrupted\n")
        (work / "checkpoint-0of1.pt").touch()


def test_a_checkpoint_of_another_run_is_refused(place, tmp_path, caplog):
    """Old weights are not published under a new header; what changes no weight does not matter."""
    first = train(config(place, tmp_path))
    with pytest.raises(ValueError, match=r"rate was 0\.001, is 0\.01; seed was 0, is 1. Another `output`") as error:
        train(config(place, tmp_path, seed=1, rate=0.01))
    assert "out.work/checkpoint-0of1.pt" in str(error.value) and "resume" in str(error.value)
    tensors = {**tiny_network().tensors}
    tensors["b"] = 2 * tensors["b"]
    dataclasses.replace(tiny_network(), tensors=tensors).write(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="of another run: another network"):
        train(config(place, tmp_path, model=str(tmp_path / "other.safetensors")))
    shutil.copytree(place / "faces", tmp_path / "faces")
    elsewhere = {"data": [str(tmp_path / "faces")], "name": "renamed", "license": "MIT", "patience": 9, "threads": 2}
    again = train(config(place, tmp_path, **elsewhere))  # the same pictures in another place
    assert again.name == "renamed" and all(np.array_equal(again.tensors[key], first.tensors[key]) for key in tensors)
    (tmp_path / "faces" / "p0" / "0.png").unlink()
    with pytest.raises(ValueError, match="of another run: other pictures"):
        train(config(place, tmp_path, **elsewhere))
    with pytest.raises(ValueError, match="steps was 4, is 6"):
        train(config(place, tmp_path, steps=6, weight_cell=1.0))
    with caplog.at_level("WARNING", "xcos"):
        train(config(place, tmp_path, steps=6, weight_cell=1.0, resume="any"))
    assert "steps was 4, is 6; weight_cell was 0.5, is 1.0" in caplog.text
    log = tmp_path / "out.work" / "log.csv"
    assert [row.split(",")[0] for row in log.read_text().splitlines()] == ["step", "2", "4", "6"]
    with pytest.raises(ValueError, match="do not fit this run"):
        train(config(place, tmp_path, depth=5, resume="any"))
    anew = train(config(place, tmp_path, seed=1, resume="never"))
    (tmp_path / "fresh").mkdir()
    fresh = train(config(place, tmp_path / "fresh", seed=1))
    assert all(np.array_equal(anew.tensors[name], tensor) for name, tensor in fresh.tensors.items())


def test_the_best_step_is_forgotten_where_other_pairs_judge(place, tmp_path):
    """Without pairs the step's number stands for the accuracy; 4 "percent" must not outlive the first validation."""
    train(config(place, tmp_path, validate=""))
    state = torch.load(tmp_path / "out.work" / "checkpoint-0of1.pt", weights_only=True)
    torch.save({**state, "best": 1000.0}, tmp_path / "out.work" / "checkpoint-0of1.pt")
    train(config(place, tmp_path, steps=6, resume="any"))
    best = torch.load(tmp_path / "out.work" / "checkpoint-0of1.pt", weights_only=True)["best"]
    assert 0 < best <= 100


@pytest.mark.parametrize("steps", [4, 5])
def test_a_row_of_the_log_is_the_mean_of_its_steps(place, tmp_path, steps):
    """Rows of one step each say what the steps' losses are; the fifth is a row by itself."""
    rows = {}
    for every in (1, 2):
        (tmp_path / str(every)).mkdir()
        train(config(place, tmp_path / str(every), steps=steps, every=every, validate=""))
        with open(tmp_path / str(every) / "out.work" / "log.csv", newline="") as file:
            rows[every] = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    losses = dict(rows[1])
    expected = [(2, (losses[1] + losses[2]) / 2), (4, (losses[3] + losses[4]) / 2)]
    expected += [(5, losses[5])] if steps == 5 else []
    np.testing.assert_allclose(rows[2], expected, rtol=1e-5)


def test_file_names_that_are_no_utf8(place, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    shutil.copytree(place, folder)
    names = ("faces", "pairs.bin", "tiny.safetensors")
    odd = {name: os.fsdecode(os.fsencode(folder / name) + b"\xfe") for name in names}
    for name, path in odd.items():
        (folder / name).rename(path)
    given = {"model": odd["tiny.safetensors"], "data": [odd["faces"]], "validate": odd["pairs.bin"], "truth": 3}
    file = train(config(place, folder, output=os.fsdecode(os.fsencode(folder) + b"/out\xfd.safetensors"), **given))
    again = ModelFile.read(os.fsdecode(os.fsencode(folder) + b"/out\xfd.safetensors"))
    assert again.name == file.name == r"out\udcfd" and again.training == r"4 steps on faces\udcfe"
    assert Config(data=[odd["faces"]]).to_json().encode()


def test_early_stop(place, tmp_path, monkeypatch):
    train(config(place, tmp_path, steps=40, rate=0.0, patience=2))
    steps = [row.split(",")[0] for row in (tmp_path / "out.work" / "log.csv").read_text().splitlines()]
    assert steps == ["step", "2", "4", "6"]  # the first is the best; two more that are not better


def test_accuracy_is_that_of_the_model(place, tmp_path):
    file = train(config(place, tmp_path))
    rows = (tmp_path / "out.work" / "log.csv").read_text().splitlines()
    logged = [float(row.split(",")[rows[0].split(",").index("xcos")]) for row in rows[1:]]
    report = xcos.evaluate(Model(file), read_bin(place / "pairs.bin", folds=3))
    assert max(logged) == pytest.approx(100 * report.reference.accuracy, abs=1e-3)


@pytest.mark.parametrize("held_out", [False, True])
def test_truth_is_measured_at_the_end(place, tmp_path, caplog, held_out):
    """The file has what xcos.faithfulness.truth finds of it, and the log says on whose pictures."""
    unseen = str(place / "faces") if held_out else ""
    with caplog.at_level("INFO", "xcos"):
        file = train(config(place, tmp_path, truth=5, held_out=unseen))
    assert "| own |" in caplog.text and ("which training saw" in caplog.text) is not held_out
    assert ModelFile.read(tmp_path / "out.safetensors").to_bytes() == file.to_bytes()
    bare = dataclasses.replace(file, truth=None)
    pairs = read_bin(place / "pairs.bin")
    measures = ("alone", "own")
    found = truth(bare, place / "faces", pairs, measures=measures, cells="all", triples=5, folds=3, threads=1)
    for key, value in CellTruth.of(found).to_dict().items():
        np.testing.assert_allclose(np.array(file.truth[key], float), np.array(value, float), atol=1e-3)


def test_a_model_is_not_lost_where_truth_cannot_be_measured(place, tmp_path, caplog):
    (tmp_path / "single" / "one").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "single" / "one" / "0.png"), crop(0, 0))
    file = train(config(place, tmp_path, truth=5, held_out=str(tmp_path / "single")))
    assert "people with two usable pictures; expected at least 2" in caplog.text and file.truth is None
    file = train(config(place, tmp_path, truth=5, validate="", output=str(tmp_path / "other.safetensors")))
    assert "without pairs" in caplog.text and file.truth is None and (tmp_path / "other.safetensors").exists()
    with pytest.raises(OSError, match="absent"):
        train(config(place, tmp_path, truth=5, held_out=str(tmp_path / "absent")))


def identification(folder):
    """The loss of seven classes, and its gradients, as this process sees them, to a file."""
    rank, world = distributed.start("cpu")
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(7, 5, generator=generator)
    x = torch.randn(2, 6, 5, generator=generator)
    labels = torch.tensor([[0, 1, 6, -1, 3, 3], [5, 4, 2, 2, -1, 0]])
    net = torch.nn.Linear(5, 5)
    torch.nn.init.eye_(net.weight)
    torch.nn.init.zeros_(net.bias)
    head = MarginHead("arcface", 5, local_classes(7, rank, world), scale=8.0)
    head.weight.data = weight[rank::world].clone()
    wrapped = torch.nn.parallel.DistributedDataParallel(net) if world > 1 else net
    mine = slice(rank, rank + 1) if world > 1 else slice(0, 2)
    features = functional.normalize(wrapped(x[mine].flatten(0, 1)))
    loss = distributed.identification(head, features, labels[mine].flatten(), rank, world)
    loss.backward()
    np.savez(folder / f"{rank}of{world}.npz", loss=loss.detach(), net=net.weight.grad, head=head.weight.grad)
    distributed.stop()


def as_torchrun_does(environment, function, argument):
    os.environ.update(environment)
    sys.exit(function(argument))


@pytest.fixture(scope="module")
def torchrun():
    """Runs a function in so many processes as `torchrun` starts them, forked from one that has imported all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["xcos.train.cli", "xcos.train.loop", "test_train_run"])

    def run(count, function, argument):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            base = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(count)}
        given = [{**base, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
        running = [context.Process(target=as_torchrun_does, args=(one, function, argument)) for one in given]
        for process in running:
            process.start()
        for process in running:
            process.join(240)
        assert [process.exitcode for process in running] == [0] * count

    return run


def test_classes_shared_out_over_two_processes(tmp_path, torchrun):
    """Loss and gradients with the classes on two processes are those of one process with all."""
    for count in (1, 2):
        torchrun(count, identification, tmp_path)
    one, *two = (np.load(tmp_path / name) for name in ("0of1.npz", "0of2.npz", "1of2.npz"))
    assert [local_classes(7, rank, 2) for rank in (0, 1)] == [4, 3]
    for rank, found in enumerate(two):
        np.testing.assert_allclose(found["loss"], one["loss"], rtol=1e-5)
        np.testing.assert_allclose(found["net"], one["net"], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found["head"], one["head"][rank::2], rtol=1e-4, atol=1e-6)


def test_two_processes_train(place, tmp_path, torchrun):
    settings = config(place, tmp_path, steps=2)
    command = ["--no-tensorboard"]
    for item in dataclasses.fields(settings):
        value, option = getattr(settings, item.name), f"--{item.name.replace('_', '-')}"
        if isinstance(value, list):
            command += [option, *value]
        elif not isinstance(value, bool) and value not in ("", None):
            command += [option, str(value)]
    torchrun(2, main, command)
    states = [
        torch.load(tmp_path / "out.work" / f"checkpoint-{rank}of2.pt", weights_only=True)["student"] for rank in (0, 1)
    ]
    for name, value in states[0].items():
        if "norm" not in name:  # batch norms follow each process's own batches
            torch.testing.assert_close(value, states[1][name])
    assert "xcos" in ModelFile.read(tmp_path / "out.safetensors").thresholds


def test_centroids():
    x = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    found = with_centroids(x, np.array([0, 0, -1]), 1.0)
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5]] * 2 + [[1, 0]], rtol=1e-6)
    np.testing.assert_array_equal(with_centroids(x, np.array([0, 0, -1]), 0.0), x)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"branch": "cell"}, "branch is 'cell'; expected one of projection, embedding, local, cells"),
        ({"batch": 0}, "batch is 0; expected 1 or more"),
        ({"paste": 2.0}, "paste is 2.0; expected a share"),
        ({"views": -1}, "views is -1; expected 0 or more"),
        ({"branch": "embedding"}, "since"),
        ({"branch": "cells"}, "copy"),
    ],
)
def test_bad_settings(more, message):
    with pytest.raises(ValueError, match=message):
        Config(**more)


@pytest.fixture
def stickers(tmp_path):
    """A folder of masks: one, which hides all but a frame."""
    mask = np.zeros((112, 112, 4), np.uint8)
    mask[8:104, 8:104] = (40, 200, 40, 255)
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "one.png"), mask)
    return str(tmp_path / "masks")


@pytest.mark.parametrize("changes", ["masks", "blur", "colour"])
def test_changes_reach_training_from_a_cache(place, tmp_path, stickers, changes):
    more = {"masks": {"masks": stickers}, "blur": {"blur": 0.5}, "colour": {"colour": 0.5}}[changes]
    losses = []
    for name, given in (("plain", {}), ("changed", more)):
        (tmp_path / name).mkdir()
        train(config(place, tmp_path / name, paste=0.0, identification="none", steps=8, every=8, **given))
        losses.append((tmp_path / name / "out.work" / "log.csv").read_text().splitlines()[1].split(",")[1])
    assert losses[0] != losses[1]


@pytest.mark.parametrize(("cached", "views", "flip"), [(False, 0, 0.5), (True, 0, 0.5), (True, 4, 0.5), (True, 3, 0.0)])
def test_share_of_masks_is_that_of_all_versions(stickers, cached, views, flip):
    settings = Config(masks=stickers, views=views, flip=flip)
    augment = augmentation(settings, cached)
    pictures = [crop(0, k) for k in range(1000)]
    random = np.random.default_rng(1)
    hidden = np.mean([np.ptp(augment(p, random)[56, 20:90], 0).max() == 0 for p in pictures])
    clean = 0 if not cached else 2 if flip else 1
    assert hidden * (settings.versions - clean) / settings.versions == pytest.approx(0.25, abs=0.03)


def test_too_few_versions_for_the_changes(stickers):
    for more, wish in (
        ({"masks": stickers, "views": 2}, "mask_share 0.25"),
        ({"colour": 0.1, "views": 1, "flip": 0.0}, "colour 0.1"),
        ({"blur": 0.5, "views": 3}, "blur 0.5"),
    ):
        with pytest.raises(ValueError, match=f"views is {more['views']}: . of . versions .* expected more for {wish}"):
            augmentation(Config(**more), cached=True)
        augmentation(Config(**more), cached=False)


def test_command_line(place, tmp_path, capsys):
    output = tmp_path / "cli.safetensors"
    arguments = ["--model", str(place / "tiny.safetensors"), "--data", str(place / "faces"), "--output", str(output)]
    pairs = ["--validate", str(place / "pairs.bin")]
    assert main([*arguments, *pairs, "--steps", "1", "--batch", "8", "--depth", "4", "--truth", "0"]) == 0
    assert main(["locality", str(output), str(place / "pairs.bin")]) == 0
    assert '"change_auc"' in capsys.readouterr().out
    assert main([*arguments, "--at", "nowhere", "--resume", "never"]) == 2
    assert "no layer gives the value 'nowhere'" in capsys.readouterr().err


def test_a_network_that_does_not_say_how_its_pixels_are_read(place, tmp_path):
    """`--model x.onnx`, its preprocessing on the command line: the embedding is PyTorch's of the pixels so read."""
    network = torch_networks.with_random_state(torch_networks.IResNet((1, 1, 1, 1), (16, 32, 48, 64)))
    (tmp_path / "small.onnx").write_bytes(torch_networks.to_onnx(network))
    output = tmp_path / "out.safetensors"
    arguments = ["--model", str(tmp_path / "small.onnx"), "--data", str(place / "faces"), "--output", str(output)]
    arguments += ["--steps", "1", "--batch", "8", "--depth", "4", "--truth", "0", "--threads", "1"]
    assert main([*arguments, "--color", "BGR", "--mean", "127,120,110.5", "--scale", "0.0078125,0.01,0.007"]) == 0
    crops = np.stack([crop(1, k) for k in range(3)])
    x = (crops[..., ::-1] - np.array([127, 120, 110.5])) * np.array([1 / 128, 0.01, 0.007])
    x = torch.from_numpy(x.astype(np.float32)).permute(0, 3, 1, 2)
    file = dataclasses.replace(ModelFile.read(output), thresholds={"xcos": 0.0})
    with torch.no_grad():
        expected = network(x.contiguous()).numpy()
    np.testing.assert_allclose(Model(file).features(crops, aligned=True).embedding, expected, atol=1e-3)
    (tmp_path / "tiny").mkdir()
    own = train(config(place, tmp_path / "tiny", scale=0.5, steps=1)).preprocess
    assert own == {"color": "BGR", "mean": [127.0] * 3, "scale": [0.5] * 3}  # what is given replaces what is said
    with pytest.raises(ValueError, match="color is 'GRB'; expected one of"):
        Config(color="GRB")


def test_margin_head_defaults():
    assert [(MarginHead(k, 2, 2).scale, MarginHead(k, 2, 2).margin) for k in ("arcface", "cosface")] == [
        (64.0, 0.5),
        (30.0, 0.35),
    ]
