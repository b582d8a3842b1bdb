"""Small plans, and the comparison of the core with the NumPy interpreter of plans."""

import numpy as np
import plan_oracle

from xcos.plan.file import ModelFile
from xcos.plan.network import Network


def plan(layers, tensors=None, inputs=None, outputs=None):
    """A model file from layers; outputs default to the last layer's."""
    inputs = inputs or [{"name": "x", "shape": [3, 9, 10]}]
    layers = [{"inputs": ["x"], "output": "y", **layer} for layer in layers]
    return ModelFile("recognizer", "test", inputs, layers, outputs or [layers[-1]["output"]], tensors or {})


def check(file, inputs, tolerance=1e-5):
    """Core against oracle for a batch, one at a time, and two threads. Tolerances relative to the outputs' rms
    where that is above 1."""
    network = Network(file)
    expected = plan_oracle.run(file, inputs)
    got = network.run(inputs, threads=1)
    spread = network.run(inputs, threads=2)
    single = network.run({name: array[-1:] for name, array in inputs.items()}, threads=1)
    for name, reference in expected.items():
        scale = max(1.0, float(np.sqrt(np.mean(reference**2))))
        assert got[name].dtype == np.float32 and got[name].shape == reference.shape
        np.testing.assert_allclose(got[name], reference, atol=tolerance * scale, rtol=1e-6)
        np.testing.assert_allclose(spread[name], got[name], atol=1e-6 * scale, rtol=0)
        np.testing.assert_allclose(single[name][0], got[name][-1], atol=1e-6 * scale, rtol=0)
