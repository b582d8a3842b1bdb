"""Import of PyTorch checkpoints against the networks in PyTorch, with random weights and batch norm statistics."""

import itertools
import json
import os
import re

import numpy as np
import pytest
import safetensors.torch
import torch
import torch_networks as networks
from torch import nn

import xcos
from xcos.cli import main
from xcos.errors import ModelFileError
from xcos.importers.torch import import_torch
from xcos.plan.network import Network
from xcos.train.plan import read_teacher

NARROW = (16, 32, 48, 64)


class Attention(nn.Module):
    """The attention of the xCos reference, without its last normalisation."""

    def __init__(self):
        super().__init__()
        self.embedding_net = nn.Sequential(nn.Conv2d(32, 16, 3, padding=1), nn.BatchNorm2d(16), nn.PReLU())
        self.attention = nn.Sequential(
            nn.Conv2d(32, 16, 3, padding=1), nn.BatchNorm2d(16), nn.PReLU(),
            nn.Conv2d(16, 1, 3, padding=1), nn.BatchNorm2d(1), nn.PReLU(),
        )  # fmt: skip

    def forward(self, a, b):
        return self.attention(torch.cat([self.embedding_net(a), self.embedding_net(b)], 1))


class XCos(nn.Module):
    """The whole of the reference: own backbone, attention, target backbone."""

    def __init__(self, depths, widths=networks.WIDTHS, se=True):
        super().__init__()
        self.backbone = networks.IR(depths, se, widths)
        self.attention = Attention()
        self.backbone_target = networks.IR(depths, se, widths)
        del self.backbone_target.conv1x1

    def plain(self, x):
        target = self.backbone_target
        return target.output_layer(target.body(target.input_layer(x)))

    def forward(self, x):
        """The plain embedding, and the comparison of the first half of the pictures with the second."""
        a, b = self.backbone(x)[1].chunk(2)
        cosine = nn.functional.cosine_similarity(a, b, dim=1, eps=1e-6)
        attention = self.attention(a, b).flatten(1).softmax(1).view_as(cosine)
        return self.plain(x), (attention * cosine).sum((1, 2)), cosine, attention


def checkpoint(network, path, prefix="", **beside):
    """Saves what the reference's trainer saves: the weights, and much else."""
    state = {prefix + name: tensor for name, tensor in network.state_dict().items()}
    best = np.float64(0.99)  # as pickled by NumPy
    torch.save({"arch": "xCos", "epoch": 7, "state_dict": state, "monitor_best": best, **beside}, path)
    return path


def agrees(network, file, size):
    """Embeddings as unit vectors, which is how they are compared, to 1e-5; their lengths to 1e-5 of themselves."""
    x = networks.pictures(2, size, seed=3)
    with torch.no_grad():
        result = network(x)
    expected = (result[0] if isinstance(result, tuple) else result).numpy()
    got = Network(file).run(x.numpy())["embedding"]
    lengths = [np.linalg.norm(values, axis=1, keepdims=True) for values in (got, expected)]
    np.testing.assert_allclose(got / lengths[0], expected / lengths[1], atol=1e-5, rtol=0)
    np.testing.assert_allclose(*lengths, rtol=1e-5)


@pytest.mark.parametrize("depth", networks.IRESNET_DEPTHS)
def test_iresnet(depth, tmp_path):
    network = networks.with_random_state(networks.IResNet(networks.IRESNET_DEPTHS[depth], NARROW, 64), 64)
    path = tmp_path / "backbone.pth"
    torch.save(network.state_dict(), path)  # as published: nothing around it
    file = import_torch(path)
    assert file.outputs == ["embedding"] and file.inputs[0]["shape"] == [3, 64, 64]
    assert file.origin.endswith(f"iresnet{depth}") and file.name == "backbone"
    agrees(network, file, 64)


@pytest.mark.parametrize("se", [False, True], ids=["ir", "ir-se"])
@pytest.mark.parametrize("depth", networks.IR_DEPTHS)
def test_ir(depth, se, tmp_path):
    network = networks.with_random_state(networks.IR(networks.IR_DEPTHS[depth], se, NARROW, 64), 64)
    del network.conv1x1
    network.forward = lambda x: network.output_layer(network.body(network.input_layer(x)))
    file = import_torch(checkpoint(network, tmp_path / "ir.pth"))
    assert f"IR{'-SE' * se}-{depth} backbone" in file.origin
    agrees(network, file, 64)


def test_full_iresnet18(tmp_path):
    network = networks.with_random_state(networks.IResNet(networks.IRESNET_DEPTHS[18]))
    torch.save(network.half().state_dict(), tmp_path / "half.pth")
    agrees(network.float(), import_torch(tmp_path / "half.pth"), 112)


def test_safetensors_need_no_torch(tmp_path, monkeypatch):
    network = networks.with_random_state(networks.IResNet((1, 2, 1, 1), NARROW, 48), 48)
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)  # with the integers num_batches_tracked
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    agrees(network, import_torch(path), 48)
    with pytest.raises(ImportError, match=re.escape("xcos[train]")):
        import_torch(path.with_suffix(".pth"))


def test_epsilon(tmp_path):
    network = networks.with_random_state(networks.IResNet((1, 1, 1, 1), NARROW, 48), 48)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eps = 0.02
    torch.save(network.state_dict(), tmp_path / "w.pth")
    agrees(network, import_torch(tmp_path / "w.pth", epsilon=0.02), 48)


def crops(n):
    """(n, 112, 112, 3) uint8 RGB, and what the reference feeds its network, with channels in RGB."""
    pixels = ((networks.pictures(n, seed=5).permute(0, 2, 3, 1).numpy() + 1) * 127.5).round().astype(np.uint8)
    return pixels, ((torch.from_numpy(pixels).float() / 255 - 0.5) / 0.5).permute(0, 3, 1, 2)


def same_results(network, model, color):
    pixels, x = crops(4)
    with torch.no_grad():
        plain, score, cosine, attention = network(x.flip(1) if color == "BGR" else x)
    seen = model.features(pixels, aligned=True)
    compared = model.compare(seen[:2], seen[2:])
    expected = {"score": score, "cosine_map": cosine, "attention": attention}
    expected["cosine"] = nn.functional.cosine_similarity(*plain.chunk(2))
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(compared, name), value.numpy(), atol=1e-5, rtol=0, err_msg=name)
    assert attention.numpy().std() > 1e-3 and cosine.numpy().std() > 0.05  # there was something to compare


@pytest.mark.parametrize("color", ["RGB", "BGR"])
@pytest.mark.parametrize("se", [False, True], ids=["ir", "ir-se"])
def test_xcos_checkpoint(color, se, tmp_path, capsys):
    network = networks.with_random_state(XCos((1, 2, 1, 1), NARROW, se))
    network.register_parameter("head", None)
    path = checkpoint(network, tmp_path / "xcos.pth", prefix="module.")
    out = tmp_path / "out.safetensors"
    assert main(["convert", str(path), str(out), "--color", color, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "xcos"
    model = xcos.load(out)
    assert model.threshold == 0.2545 and "not measured" in model.file.thresholds_from
    same_results(network, model, color)


@pytest.mark.parametrize(
    ("depths", "widths", "kind"),
    [(networks.IR_DEPTHS[50], NARROW, "-50"), ((1, 1, 1, 1), networks.WIDTHS, " of [1, 1, 1, 1] units")],
)
def test_xcos_checkpoint_as_deep_and_as_wide_as_the_reference(depths, widths, kind, tmp_path):
    """Each by itself: both at once are 700 MB, and no other layers."""
    network = networks.with_random_state(XCos(depths, widths))
    file = import_torch(checkpoint(network, tmp_path / "20200217_accu_9931_Arcface.pth"))
    assert f"xCos on IR-SE{kind} for the grid, IR-SE{kind} for the embedding" in file.origin
    same_results(network, xcos.Model(file), "RGB")


def test_classes_are_dropped_and_the_target_may_be_missing(tmp_path):
    network = networks.with_random_state(XCos((1, 1, 1, 1), NARROW))
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("backbone_target.")}
    state["head.kernel"] = torch.zeros(512, 10)
    torch.save({"state_dict": state}, tmp_path / "own.pth")
    file = import_torch(tmp_path / "own.pth")
    assert not [name for name in file.tensors if name.startswith("head.kernel")]
    network.backbone_target = network.backbone  # its own output layer gives the embedding
    same_results(network, xcos.Model(file), "RGB")

    kept = {k: v for k, v in state.items() if not k.startswith("backbone.output_layer.")}
    torch.save({"state_dict": kept}, tmp_path / "grid.pth")
    file = import_torch(tmp_path / "grid.pth")
    assert file.outputs == ["grid"] and file.head["embedding"] is None
    assert xcos.Model(file).features(crops(1)[0], aligned=True).embedding.shape == (1, 32 * 49)


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickled_code_is_not_executed(tmp_path):
    network = networks.IResNet((1, 1, 1, 1), NARROW, 48)
    path = checkpoint(network, tmp_path / "evil.pth", config=Harmful(tmp_path / "executed"))
    with pytest.raises(ModelFileError, match=r"evil\.pth: holds Python objects \(posix\.mkdir\)"):
        import_torch(path)
    assert not (tmp_path / "executed").exists()
    torch.save(network, tmp_path / "module.pth")
    with pytest.raises(ModelFileError, match="Python objects"):
        import_torch(tmp_path / "module.pth")


def changed(change):
    state = networks.IResNet((1, 1, 1, 1), NARROW, 48).state_dict()
    change(state)
    return state


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(lambda s: s.pop("layer2.0.bn2.running_var")), "'layer2.0.bn2.running_var' is missing"),
        (changed(lambda s: s.update({"layer5.0.weight": torch.zeros(1)})), "unknown tensors: layer5.0.weight"),
        (changed(lambda s: s.update({"conv1.weight": torch.zeros(16, 3, 5, 5)})), r"'conv1.weight' has the shape"),
        (changed(lambda s: s.update({"bn1.bias": torch.zeros(4)})), r"'bn1.bias' .* \(4,\); expected \(16\)"),
        (changed(lambda s: s.update({"fc.weight": torch.zeros(512, 640)})), "no square map of 64 channels"),
        (changed(lambda s: s.update({"layer2.0.conv1.weight": torch.zeros(32, 8, 3, 3)})), "layer2.0.conv1"),
        (changed(lambda s: s.update({"bn1.bias": torch.full((16,), torch.nan)})), "NaN"),
        ({"conv.weight": torch.zeros(1)}, "a layout that is not known .*export them as ONNX"),
        ({"state_dict": {}}, "holds nothing"),
        ([1, 2], "holds a list"),
        ({"epoch": 3}, "values of type int"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(content, message, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelFileError, match=message):
        import_torch(tmp_path / "w.pth")


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        import_torch(tmp_path / "absent.pth")
    for content in (b"", b"text", b"\x80\x02}q\x00.", b"PK\x03\x04 cut short"):
        (tmp_path / "x.pth").write_bytes(content)
        with pytest.raises(ModelFileError, match=r"x\.pth: "):
            import_torch(tmp_path / "x.pth")
    xcos.load().save(tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match="already"):
        xcos.convert(tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match=r"expected a file that ends in \.onnx, \.pth"):
        xcos.convert(tmp_path / "model.txt")


class AdaFaceUnit(nn.Module):
    """AdaFace's BasicBlockIR: a batch norm more than the reference's, after the first convolution."""

    def __init__(self, inside, outside, stride, squeeze):
        super().__init__()
        self.shortcut_layer = nn.MaxPool2d(1, stride)
        if inside != outside:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inside), nn.Conv2d(inside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside),
            nn.PReLU(outside), nn.Conv2d(outside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside),
        )  # fmt: skip
        if squeeze:
            self.res_layer.append(networks.SqueezeExcite(outside))

    def forward(self, x):
        return self.shortcut_layer(x) + self.res_layer(x)


class AdaFace(nn.Module):
    def __init__(self, squeeze):
        super().__init__()
        self.input_layer = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.PReLU(16))
        widths = (16, *NARROW)
        units = []
        for inside, outside in itertools.pairwise(widths):
            units += [AdaFaceUnit(inside, outside, 2, squeeze), AdaFaceUnit(outside, outside, 1, squeeze)]
        self.body = nn.Sequential(*units)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(NARROW[-1]), nn.Dropout(0.4), nn.Flatten(), nn.Linear(NARROW[-1] * 49, 32),
            nn.BatchNorm1d(32),
        )  # fmt: skip

    def forward(self, x):
        return self.output_layer(self.body(self.input_layer(x)))


@pytest.mark.parametrize("squeeze", [False, True])
def test_adaface(squeeze, tmp_path):
    network = networks.with_random_state(AdaFace(squeeze))
    network.output_layer[4].affine = False  # as AdaFace has it: no weight, no bias
    network.output_layer[4].weight = network.output_layer[4].bias = None
    path = tmp_path / "adaface.ckpt"
    state = {f"model.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": {**state, "head.kernel": torch.zeros(32, 7)}, "epoch": 3}, path)
    x = networks.pictures(3)
    with torch.no_grad():
        expected = network(x).numpy()
    got = Network(import_torch(path)).run(x.numpy())["embedding"]
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


PREFIXES = [
    "module.", "module.module.", "_orig_mod.", "module._orig_mod.", "backbone.", "model.", "features.module.",
    "feat_net.",
]  # fmt: skip


@pytest.mark.parametrize("layout", ["iresnet", "reference"])
def test_prefixes_and_wrappers(layout, tmp_path):
    """What parallel training, compiling and wrapping put in front; the same tensors come out of all."""
    if layout == "iresnet":
        network = networks.with_random_state(networks.IResNet((1, 1, 1, 1), NARROW))
    else:
        network = networks.with_random_state(networks.IR((1, 1, 1, 1), True, NARROW))
        del network.conv1x1
    torch.save(network.state_dict(), tmp_path / "plain.pth")
    plain = import_torch(tmp_path / "plain.pth")

    def same(path):
        file = import_torch(path)
        assert file.layers == plain.layers and file.tensors.keys() == plain.tensors.keys()
        for name, tensor in plain.tensors.items():
            np.testing.assert_array_equal(file.tensors[name], tensor)

    others = {"state_dict_softmax_fc": {"weight": torch.zeros(3, 512)}, "state_optimizer": {"state": {}}, "epoch": 1}
    for prefix in PREFIXES:
        state = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
        nested = {"state_dict": {"model": state}}
        wrapped = [{key: state, **others} for key in ("state_dict_backbone", "net", "backbone", "params", "params_ema")]
        for content in (state, nested, *(wrapped if prefix in PREFIXES[:2] else ())):
            torch.save(content, tmp_path / "wrapped.pth")
            same(tmp_path / "wrapped.pth")
        safetensors.torch.save_file(state, tmp_path / "x.SAFETENSORS")
        same(tmp_path / "x.SAFETENSORS")


def test_files_of_another_kind_than_their_name_says(tmp_path):
    """And those that break off: each door names the file and what it is."""
    network = networks.IResNet((1, 1, 1, 1), NARROW, 48).eval()
    torch.save(network.state_dict(), tmp_path / "zip")
    safetensors.torch.save_file(network.state_dict(), tmp_path / "tensors")
    (tmp_path / "onnx").write_bytes(networks.to_onnx(network, 48))
    said = {"zip": "a zip archive, as torch.save", "tensors": "a safetensors file", "onnx": "an ONNX graph"}
    for kind, what in said.items():
        whole = (tmp_path / kind).read_bytes()
        for suffix, own in ((".pth", "zip"), (".safetensors", "tensors"), (".onnx", "onnx")):
            path = tmp_path / f"x{suffix}"
            doors = [xcos.convert, xcos.load, lambda path: read_teacher(path, {})]
            half = whole[: len(whole) // 2]
            for content, expected in ((whole, what), (half, "cut short|an ONNX graph|a safetensors")):
                path.write_bytes(content)
                for door in doors if kind != own or content is not whole else [xcos.load]:
                    with pytest.raises(ModelFileError, match=expected) as caught:
                        door(path)
                    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
                    assert "I64" not in str(caught.value)


PAGES = {
    "an HTML page": b"<!DOCTYPE html><html><title>Virus scan warning</title></html>", "zeros": bytes(5000),
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "text, not a network": b"404: Not Found\n", "gzip": b"\x1f\x8b\x08" + bytes(90),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(90),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".onnx", ".pth", ".safetensors"])
def test_files_that_are_no_networks_are_told_as_what_they_are(suffix, tmp_path):
    path = tmp_path / f"x{suffix}"
    for said, data in PAGES.items():
        path.write_bytes(data)
        for read in (xcos.convert, xcos.load, lambda path: read_teacher(path, {})):  # the last one: plug and train
            with pytest.raises(ModelFileError, match=said) as caught:
                read(path)
            assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
