"""The C core of xcos over NumPy buffers. Internal: the package's functions are the public face of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__version__: str

class FormatError(ValueError):
    """Data that is not what it claims to be."""

class LimitError(ValueError):
    """Larger than the caller allowed."""

class UnsupportedError(ValueError):
    """Valid, but not among what the core can do."""

def isa() -> str:
    """Name of the instruction set whose kernels run: avx512, avx2, sse2, neon or generic."""

def isa_available() -> list[str]:
    """Instruction sets that this machine can run, best first."""

def isa_select(name: str, /) -> None:
    """Choose the instruction set for networks and heads made from then on (tests, benchmarks)."""

def conv_select(name: str | None, /) -> None:
    """Compute convolutions of networks made from then on by "tiles", "winograd4", "winograd2", "depthwise" or
    "columns" wherever that way fits; None: by whichever costs least (tests, benchmarks)."""

def operators() -> dict[str, tuple[int, int, int, dict[str, tuple[str, int, bool]]]]:
    """The operators of a plan (csrc/ops/ops.def): name -> fewest inputs, most inputs, how many of them may be
    constants, attributes: key -> type, rank of a tensor (else 0), optional."""

def default_threads() -> int:
    """XCOS_NUM_THREADS as it was at import, else what CPU affinity and the cgroup quotas leave."""

def decode(data: bytes | bytearray | memoryview, max_pixels: int, /) -> NDArray[np.uint8]:
    """Encoded picture -> (H, W, 3) uint8 RGB, EXIF orientation applied. The GIL is free meanwhile."""

def decode_reduced(
    data: bytes | bytearray | memoryview, max_pixels: int, at_least: int, /
) -> tuple[NDArray[np.uint8], int]:
    """The same, and by how much it is made smaller: 1, or of a baseline JPEG the largest of 2, 4 and 8 that divides
    its sides and leaves the longer one `at_least` pixels."""

def warp(
    image: NDArray[np.uint8], matrix: ArrayLike, height: int, width: int, border: tuple[int, int, int] = (0, 0, 0)
) -> NDArray[np.uint8]:
    """Bilinear warp of (H, W, 3) uint8; matrix (2, 3) maps destination to source pixel centres."""

def resize(image: NDArray[np.uint8], height: int, width: int, /) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 -> (height, width, 3): bilinear when enlarging, free of aliasing when reducing."""

def normalize(
    images: NDArray[np.uint8], mean: ArrayLike, scale: ArrayLike, reverse: bool = False
) -> NDArray[np.float32]:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32, (x - mean[c]) * scale[c]; reverse flips the channel order first."""

def yunet_faces(
    cls: Sequence[NDArray[np.float32]],
    obj: Sequence[NDArray[np.float32]],
    bbox: Sequence[NDArray[np.float32]],
    kps: Sequence[NDArray[np.float32]],
    height: int,
    width: int,
    min_score: float,
    max_iou: float,
    /,
) -> NDArray[np.float32]:
    """YuNet's outputs at strides 8, 16, 32 for one image -> (K, 15) float32 rows
    left, top, right, bottom, score, five points x, y; sorted by score, after non-maximum suppression."""

def nms(boxes: NDArray[np.float32], scores: NDArray[np.float32], max_iou: float, /) -> NDArray[np.intp]:
    """Indices of the boxes (K, 4) kept by greedy non-maximum suppression, best score first."""

def mask_blend(
    images: ArrayLike, fills: ArrayLike, masks: ArrayLike, which: ArrayLike, threads: int = 0
) -> NDArray[np.float32]:
    """Images and fills (N, C, H, W), masks (M, H, W) in 0..1, which (M,) image each is for ->
    (M, C, H, W): mask * image + (1 - mask) * fill. The GIL is free meanwhile."""

def transport(
    a: ArrayLike,
    b: ArrayLike,
    cross: bool = True,
    regularization: float = 0.05,
    iterations: int = 100,
    flow: bool = False,
    threads: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Entropic optimal transport between the cells of grids (N, D, H, W); a may be one for all ->
    similarity (N,), flow (N, H*W, H*W) or None. csrc/head/transport.c says how."""

class Network:
    """A plan of layers, ready to run. Immutable; any number of threads may run it at once."""

    def __init__(
        self,
        inputs: Sequence[Mapping[str, Any]],
        layers: Sequence[Mapping[str, Any]],
        outputs: Sequence[str],
        tensors: Mapping[str, NDArray[np.float32]],
        precision: str = "fp32",
    ) -> None:
        """`inputs`, `layers`, `outputs` as in docs/model-file.md; tensors are copied."""

    def run(self, inputs: Sequence[ArrayLike], threads: int = 0) -> list[NDArray[np.float32]]:
        """Inputs in the order of `inputs`, outputs in the order of `outputs`, float32, batch first."""

    def run_masked(
        self, image: ArrayLike, fill: ArrayLike, masks: ArrayLike, threads: int = 0
    ) -> list[NDArray[np.float32]]:
        """As run on an image (C, H, W) seen through masks (N, H, W), with a filling behind them."""

    def output_shapes(self, shapes: Sequence[Sequence[int]], /) -> list[tuple[int, ...]]:
        """Shapes of the outputs for the given shapes of the inputs (batch included)."""

class Head:
    """The xCos head: patch cosine + attention + weighted sum, fused. Immutable, thread-safe."""

    def __init__(
        self,
        embed_weight: ArrayLike,
        embed_bias: ArrayLike,
        embed_slope: float,
        attend1_weight: ArrayLike,
        attend1_bias: ArrayLike,
        attend1_slope: float,
        attend2_weight: ArrayLike,
        attend2_bias: ArrayLike,
        attend2_slope: float,
        height: int = 7,
        width: int = 7,
        temperature: float = 1.0,
        minmax: bool = False,
        whole: float = 0.0,
    ) -> None: ...
    def compare(
        self,
        a: ArrayLike,
        b: ArrayLike,
        maps: bool = True,
        threads: int = 0,
        a_whole: ArrayLike | None = None,
        b_whole: ArrayLike | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """Grids (N, D, H, W) twice -> scores (N,), cosine (N, H, W), attention (N, H, W); maps=False: None, None.
        a_whole, b_whole: embeddings (N, E), which a head with whole > 0 needs."""

    def compare_all(
        self,
        a: ArrayLike,
        b: ArrayLike,
        maps: bool = False,
        threads: int = 0,
        a_whole: ArrayLike | None = None,
        b_whole: ArrayLike | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """Grids (N, D, H, W) and (M, D, H, W) -> scores (N, M), maps (N, M, H, W) or None; embeddings as above."""
