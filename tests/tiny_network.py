"""A network small enough to differentiate on paper, as a model file and in NumPy."""

import numpy as np

from xcos import ModelFile, Network

CELLS, SIDE, CHANNELS, NUMBERS = 7, 16, 2, 6


class Tiny:
    """16 x 16 patches -> 2 channels (convolution), PReLU, flattened -> batch norm -> 6 numbers (linear)."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.w1 = rng.normal(0, 0.05, (CHANNELS, 3, SIDE, SIDE)).astype(np.float32)
        self.b1 = rng.normal(0, 0.2, CHANNELS).astype(np.float32)
        self.slope = np.array([0.25, -0.5], np.float32)
        self.gamma, self.beta, self.mean = (rng.normal(1, 0.3, CHANNELS).astype(np.float32) for _ in range(3))
        self.var = rng.uniform(0.5, 2, CHANNELS).astype(np.float32)
        self.w2 = rng.normal(0, 0.3, (NUMBERS, CHANNELS * CELLS**2)).astype(np.float32)
        self.b2 = rng.normal(0, 0.3, NUMBERS).astype(np.float32)

    def file(self, **changes):
        layers = [
            {"op": "conv", "inputs": ["input"], "output": "h", "weight": "w1", "bias": "b1", "stride": [SIDE, SIDE]},
            {"op": "prelu", "inputs": ["h"], "output": "map", "slope": "slope"},
            {"op": "batch_norm", "inputs": ["map"], "output": "n", "epsilon": 0.0,
             "gamma": "gamma", "beta": "beta", "mean": "mean", "var": "var"},
            {"op": "reshape", "inputs": ["n"], "output": "flat", "shape": [-1]},
            {"op": "linear", "inputs": ["flat"], "output": "embedding", "weight": "w2", "bias": "b2"},
        ]  # fmt: skip
        names = ("w1", "b1", "slope", "gamma", "beta", "mean", "var", "w2", "b2")
        tensors = {name: getattr(self, name) for name in names}
        fields = {
            "kind": "recognizer", "name": "tiny", "inputs": [{"name": "input", "shape": [3, 112, 112]}],
            "layers": layers, "outputs": ["embedding"], "tensors": tensors,
            "preprocess": {"color": "RGB", "mean": [127.5] * 3, "scale": [1 / 127.5] * 3},
            "thresholds": {"cosine": 0.1},
        }  # fmt: skip
        return ModelFile(**{**fields, **changes})

    def network(self):
        return Network(self.file())

    def run(self, crops):
        """(N, 112, 112, 3) uint8 -> map (N, 2, 7, 7), embedding (N, 6), slope of the map (N, 2, 7, 7)."""
        x = ((crops - 127.5) / 127.5).transpose(0, 3, 1, 2)
        patches = x.reshape(len(x), 3, CELLS, SIDE, CELLS, SIDE)
        h = np.einsum("ncyixj,ocij->noyx", patches, self.w1.astype(float)) + self.b1[:, None, None]
        steepness = np.where(h > 0, 1, self.slope[:, None, None])
        return h * steepness, self.tail(h * steepness), steepness

    @property
    def _factor(self):
        return (self.gamma / np.sqrt(self.var.astype(float)))[:, None, None]

    def tail(self, maps):
        normed = (maps - self.mean[:, None, None]) * self._factor + self.beta[:, None, None]
        return normed.reshape(len(maps), -1) @ self.w2.T.astype(float) + self.b2

    def by_map(self):
        """Derivative of the embedding by the map: (6, 2, 7, 7)."""
        return self.w2.reshape(NUMBERS, CHANNELS, CELLS, CELLS) * self._factor

    def by_input(self, steepness):
        """Derivative of the embedding by the normalised input, for one image's slopes (2, 7, 7): (6, 3, 112, 112)."""
        cells = self.by_map() * steepness
        pixels = np.einsum("koyx,ocij->kcyixj", cells, self.w1.astype(float))
        return pixels.reshape(NUMBERS, 3, 112, 112)
