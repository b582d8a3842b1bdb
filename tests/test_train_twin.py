"""The twin of a plan in torch, against the NumPy interpreter, the core, and the file it came from."""

import numpy as np
import plan_oracle
import pytest
import test_layers
import torch
import torch_networks as networks
from plans import plan
from torch import nn

from xcos import ModelFile, Network
from xcos.plan.branch import embedding_branch, value_shape
from xcos.plan.local import local_branch
from xcos.plugging import find_map, read_network
from xcos.recognition.shipped import DEFAULT, model_path
from xcos.train import back, cell_branch, front, larger_map, last_map, own_copy, projection, twin
from xcos.train.plan import main_axes

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def default():
    return ModelFile.read(model_path(DEFAULT))


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).uniform(-1, 1, (2, 3, 112, 112)).astype(np.float32)


def run_twin(file, *inputs):
    with torch.no_grad():
        return {name: value.numpy() for name, value in twin(file)(*map(torch.from_numpy, inputs)).items()}


LAYERS = [*test_layers.LAYERS, *((layer, {}) for layer, low in test_layers.FUNCTIONS if low < 0)]


@pytest.mark.parametrize(("layer", "tensors"), LAYERS, ids=[str(layer) for layer, _ in LAYERS])
def test_layers(layer, tensors):
    x = np.random.default_rng(2).uniform(-2, 2, (3, 3, 9, 10)).astype(np.float32)
    file = plan([{"inputs": ["x"], "output": "y", **layer}], tensors)
    expected = plan_oracle.run(file, {"x": x})["y"]
    np.testing.assert_allclose(run_twin(file, x)["y"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pad", [[1, 1, 1, 1], [0, 0, 1, 1], [2, 0, 1, 3]])
@pytest.mark.parametrize("groups", [1, 3])
def test_conv(pad, groups):
    rng = np.random.default_rng(3)
    tensors = {
        "w": rng.standard_normal((6, 3 // groups, 3, 2)).astype(np.float32),
        "b": rng.standard_normal(6).astype(np.float32),
    }
    layer = {"op": "conv", "weight": "w", "bias": "b", "stride": [2, 1], "pad": pad, "dilation": [1, 2]}
    layer["groups"] = groups
    file = plan([{"inputs": ["x"], "output": "y", **layer}], tensors)
    x = rng.standard_normal((2, 3, 9, 10)).astype(np.float32)
    np.testing.assert_allclose(run_twin(file, x)["y"], plan_oracle.run(file, {"x": x})["y"], rtol=1e-5, atol=1e-5)


def test_default_model(default, pictures):
    expected, found = Network(default).run(pictures), run_twin(default, pictures)
    for name in default.outputs:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5 * np.abs(expected[name]).max())


def test_writes_the_same_file(default):
    assert twin(default).model_file().to_bytes() == default.to_bytes()


def test_gradients_reach_every_tensor(default, pictures):
    model = twin(default)
    outputs = model(torch.from_numpy(pictures))
    sum(value.square().sum() for value in outputs.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_wrong_number_of_inputs(default):
    with pytest.raises(ValueError, match="got 0 inputs; expected 1"):
        twin(default)()


def test_cut_in_two(default, pictures):
    cut = last_map(default, "embedding")
    assert len(value_shape(default, cut)) == 3 and value_shape(default, cut)[1:] == (7, 7)
    middle = Network(front(default, [cut])).run(pictures)
    end = Network(back(default, [cut], ["embedding"])).run(middle)
    np.testing.assert_array_equal(end["embedding"], Network(default).run(pictures)["embedding"])


def test_cuts_that_cannot_be(default):
    with pytest.raises(ValueError, match="no layer gives the value 'nothing'"):
        front(default, ["nothing"])
    with pytest.raises(ValueError, match="embedding cannot be had from grid"):
        back(default, ["grid"], ["embedding"])


def test_own_copy_computes_the_same(default, pictures):
    plain = front(default, ["embedding"])
    at = last_map(plain, "embedding")
    since = plain.layers[60]["output"]
    file, name = own_copy(plain, since, at)
    both = front(file, [at, name])
    found = Network(both).run(pictures)
    np.testing.assert_array_equal(found[at], found[name])
    with pytest.raises(ValueError, match="no value or input 'nothing'"):
        own_copy(plain, "nothing", at)
    with pytest.raises(ValueError, match="does not come from"):
        own_copy(plain, "embedding", at)


def test_projection_leaves_the_embedding(default, pictures):
    plain = front(default, ["embedding"])
    file, fresh = projection(plain, last_map(plain, "embedding"), 24)
    assert len(fresh) == 3 and fresh <= set(file.tensors) - set(plain.tensors)
    found = Network(file).run(pictures)
    assert found["grid"].shape == (2, 24, 7, 7)
    np.testing.assert_array_equal(found["embedding"], Network(default).run(pictures)["embedding"])


def test_embedding_branch_sums_to_the_embedding(default, pictures):
    plain = front(default, ["embedding"])
    since = plain.layers[73]["output"]  # the last map of 14 x 14
    embedding = Network(plain).run(pictures)["embedding"]
    mean = np.random.default_rng(1).standard_normal(512).astype(np.float32)
    basis = main_axes(np.random.default_rng(2).standard_normal((600, 512)).astype(np.float32), 40)
    file = embedding_branch(plain, "embedding", since, basis, mean).file
    grid = Network(file).run(pictures)["grid"]
    assert grid.shape == (2, 40, 7, 7)
    np.testing.assert_allclose(grid.sum((2, 3)), (embedding - mean) @ basis, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="not made from a map by linear layers"):
        embedding_branch(default, "grid", since, basis, mean)


class Swapped(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1)


ENDS = {
    "SFace": [nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(392, 16), nn.BatchNorm1d(16)],
    "convolution": [nn.Conv2d(8, 24, 7), nn.BatchNorm2d(24), nn.Conv2d(24, 16, 1), nn.Flatten()],
    "depthwise": [nn.Conv2d(8, 8, 7, groups=8), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 16)],
    "channels last": [Swapped(), nn.Flatten(), nn.Linear(392, 16, bias=False)],
    "IResNet": None,
}


@pytest.mark.parametrize("end", ENDS)
def test_embedding_branch_of_other_ends(end, tmp_path):
    """However linear layers lead from the last map to the embedding: the grid's cells sum up to it, and the copy of
    the last stage starts at the last larger map."""
    torch.manual_seed(0)
    if ENDS[end] is None:
        network = networks.with_random_state(networks.IResNet((1, 1, 1, 1), (16, 32, 48, 64)))
    else:
        stages = nn.Conv2d(3, 6, 3, 8, 1), nn.PReLU(6), nn.Conv2d(6, 8, 3, 2, 1), nn.PReLU(8)
        network = nn.Sequential(*stages, *ENDS[end]).eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for value, low, high in (("running_mean", -1, 1), ("running_var", 0.5, 2), ("weight", 0.5, 2)):
                    nn.init.uniform_(getattr(module, value), low, high)
                nn.init.uniform_(module.bias, -1, 1)
    (tmp_path / "n.onnx").write_bytes(networks.to_onnx(network))
    file, name = read_network(tmp_path / "n.onnx", {})
    since = larger_map(file, find_map(file, name)[0])
    assert value_shape(file, since)[1:] == (14, 14)
    x = networks.pictures(3).numpy()
    embedding = Network(file).run(x)[name]
    random = np.random.default_rng(1)
    mean = random.standard_normal(embedding.shape[1]).astype(np.float32)
    basis = main_axes(random.standard_normal((600, len(mean))).astype(np.float32), 12)
    whole, fresh = embedding_branch(file, name, since, basis, mean)
    found = Network(whole).run(x)
    assert found["grid"].shape == (3, 12, 7, 7) and not fresh
    expected = (embedding - mean) @ basis
    np.testing.assert_allclose(found["grid"].sum((2, 3)), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_array_equal(found[name], embedding)
    assert found["grid"].std((0, 2, 3)).min() > 0


def test_cells_of_the_local_branch_do_not_look_at_each_other(default, pictures):
    """Changing one place of the 14 x 14 map changes the cells whose stride-2 window (2i - 1 to 2i + 1) holds it, and
    with spread their neighbours; the embedding branch's change far around."""
    plain = front(default, ["embedding"])
    since = plain.layers[73]["output"]
    basis = main_axes(np.random.default_rng(2).standard_normal((600, 512)).astype(np.float32), 24)
    mean = np.zeros(512, np.float32)
    x = np.random.default_rng(4).standard_normal((1, 128, 14, 14)).astype(np.float32)
    y = x.copy()
    y[0, :, 6, 7] += 1
    for spread, rows, columns in ((0, (3, 4), (3, 5)), (1, (2, 5), (2, 6)), (2, (1, 6), (1, 7))):
        whole, fresh = local_branch(plain, "embedding", since, basis, mean, blocks=1, spread=spread)
        assert len(fresh) == 5 and fresh <= set(whole.tensors) - set(plain.tensors)
        file = back(whole, [since], ["grid"])
        before, after = (Network(file).run(value)["grid"] for value in (x, y))
        expected = np.zeros((7, 7), bool)
        expected[slice(*rows), slice(*columns)] = True
        np.testing.assert_array_equal(np.abs(after - before).max((0, 1)) > 0, expected)
        np.testing.assert_allclose(run_twin(file, x)["grid"], before, rtol=1e-4, atol=1e-4)
    found = Network(whole).run(pictures)
    np.testing.assert_array_equal(found["embedding"], Network(default).run(pictures)["embedding"])
    # With all copied convolutions and no blocks it is the embedding branch.
    same = local_branch(plain, "embedding", since, basis, mean, blocks=0, spread=2).file
    other = embedding_branch(plain, "embedding", since, basis, mean).file
    np.testing.assert_array_equal(Network(same).run(pictures)["grid"], Network(other).run(pictures)["grid"])
    with pytest.raises(ValueError, match="no residual block"):
        local_branch(plain, "embedding", plain.layers[90]["output"], basis, mean)


def test_cells_of_the_local_branch_start_at_the_cell(default):
    """Changing one place of the 14 x 14 map changes the cells whose window (2i to 2i + 2) holds it, no others."""
    plain = front(default, ["embedding"])
    at, copy = plain.layers[73]["output"], plain.layers[78]["output"]
    file = back(cell_branch(plain, at, copy, depth=8, width=16).file, [at], ["grid"])
    x = np.random.default_rng(4).standard_normal((1, 128, 14, 14)).astype(np.float32)
    before = Network(file).run(x)["grid"]
    for row, column in ((4, 4), (5, 7), (13, 0)):
        y = x.copy()
        y[0, :, row, column] += 1
        changed = np.abs(Network(file).run(y)["grid"] - before).max((0, 1)) > 0
        expected = np.zeros((7, 7), bool)
        expected[(row - 1) // 2 : row // 2 + 1, max(0, (column - 1) // 2) : column // 2 + 1] = True
        np.testing.assert_array_equal(changed, expected)
    np.testing.assert_allclose(run_twin(file, x)["grid"], before, rtol=1e-4, atol=1e-5)


def test_cell_branch_needs_a_strided_unit(default):
    plain = front(default, ["embedding"])
    with pytest.raises(ValueError, match="is not made by conv, prelu"):
        cell_branch(plain, plain.layers[73]["output"], "embedding")
