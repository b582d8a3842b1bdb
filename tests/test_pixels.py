"""How pixels become the input of a network, channel by channel. Oracles: NumPy, PyTorch."""

import numpy as np
import pytest

import xcos
from xcos import _core
from xcos.cli import main
from xcos.plan.pixels import per_channel, preprocess

MEAN, SCALE = (123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375)  # ImageNet's, for 0 to 255
CROPS = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)


def normalized(color):
    """(N, 3, 112, 112) float32, in NumPy; three numbers stand in the order of the network's channels."""
    pixels = CROPS if color == "RGB" else CROPS[..., ::-1]
    return ((pixels - np.array(MEAN)) * np.array(SCALE)).transpose(0, 3, 1, 2).astype(np.float32)


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_the_core_is_numpy(color):
    got = _core.normalize(CROPS, MEAN, SCALE, color == "BGR")
    np.testing.assert_allclose(got, normalized(color), atol=1e-5)


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_converted_networks_see_what_pytorch_sees(color, tmp_path):
    """By keywords and on the command line; the twin, too, which is fed the same input."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    import torch_networks

    from xcos.twin.network import twin

    network = torch_networks.with_random_state(torch_networks.IResNet((1, 1, 1, 1), (16, 32, 48, 64)))
    source, target, other = (tmp_path / name for name in ("net.onnx", "net.safetensors", "other.safetensors"))
    source.write_bytes(torch_networks.to_onnx(network))
    file = xcos.convert(source, target, color=color, mean=MEAN, scale=np.array(SCALE))
    options = ["--mean", ",".join(map(repr, MEAN)), "--scale", ",".join(map(repr, SCALE))]
    assert main(["convert", str(source), str(other), "--color", color, *options]) == 0
    assert xcos.ModelFile.read(other).preprocess == file.preprocess
    assert file.preprocess == {"color": color, "mean": list(MEAN), "scale": list(SCALE)}
    with torch.no_grad():
        expected = network(torch.from_numpy(normalized(color))).numpy()
    (name,) = file.outputs
    inputs = _core.normalize(CROPS, file.preprocess["mean"], file.preprocess["scale"], color == "BGR")
    np.testing.assert_allclose(xcos.Network.load(target).run(inputs)[name], expected, atol=1e-3)
    with torch.no_grad():
        np.testing.assert_allclose(twin(file)(torch.from_numpy(inputs))[name].numpy(), expected, atol=1e-3)


def test_one_number_is_three():
    assert preprocess("BGR", 127, [2]) == {"color": "BGR", "mean": [127.0] * 3, "scale": [2.0] * 3}
    assert preprocess(mean=np.float32(1)) == {"color": "RGB", "mean": [1.0] * 3, "scale": [1 / 127.5] * 3}
    assert per_channel("127.5") == 127.5 and per_channel("1, 2,3e1") == [1, 2, 30]


@pytest.mark.parametrize("value", [(1, 2), [[1, 2, 3]], "dark", float("nan"), (1, 2, float("inf")), ()])
def test_what_is_no_number_for_each_channel(value, tmp_path):
    for name in ("mean", "scale"):
        with pytest.raises(ValueError, match=f"{name}: expected a finite number, or three"):
            preprocess(**{name: value})


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "dark", "1,nan,2"])
def test_what_is_no_number_on_the_command_line(text, capsys):
    with pytest.raises(SystemExit):
        main(["convert", "a.onnx", "b.safetensors", "--mean", text])
    assert "expected a number, or three with commas between them" in capsys.readouterr().err
