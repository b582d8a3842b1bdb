"""Arguments of xcos._core, drawn from bytes: sound ones for each function and type, of which some are replaced."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from xcos import _core

ERRORS = (TypeError, ValueError, OverflowError, MemoryError, BufferError, RecursionError)
COMPARED = 1 << 24  # bytes of arguments up to which a call is repeated with copies of them

RNG = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


WEIGHTS = [normal(4, 8, 3, 3), normal(4), 0.2, normal(4, 8, 3, 3), normal(4), 0.2, normal(1, 4, 3, 3), normal(1), 0.2]
GRIDS = normal(5, 8, 7, 7)
EMBEDDINGS = normal(5, 12)
PICTURE = RNG.integers(0, 256, (20, 30, 3), np.uint8)
X = normal(2, 3, 9, 8)
INPUTS = [{"name": "x", "shape": [3, None, None]}]
LAYERS = [
    {"op": "conv", "inputs": ["x"], "output": "a", "weight": "w", "bias": "b", "pad": [1, 1, 1, 1], "stride": [1, 1]},
    {"op": "batch_norm", "inputs": ["a"], "output": "c", **dict.fromkeys(("gamma", "beta", "mean", "var"), "b")},
    {"op": "prelu", "inputs": ["c"], "output": "d", "slope": "b"},
    {"op": "mul", "inputs": ["d", "k"], "output": "e"},
    {"op": "max_pool", "inputs": ["e"], "output": "f", "kernel": [2, 2], "stride": [2, 2]},
    {"op": "concat", "inputs": ["f", "f"], "output": "g", "axis": 1},
    {"op": "slice", "inputs": ["g"], "output": "h", "axis": 1, "start": 1, "stop": 5},
    {"op": "transpose", "inputs": ["h"], "output": "i", "perm": [0, 2, 3, 1]},
    {"op": "softmax", "inputs": ["i"], "output": "j", "axis": 3},
    {"op": "avg_pool", "inputs": ["h"], "output": "l"},
    {"op": "reshape", "inputs": ["l"], "output": "m", "shape": [-1]},
    {"op": "linear", "inputs": ["m"], "output": "n", "weight": "v"},
    {"op": "clip", "inputs": ["n"], "output": "y", "min": -1.0, "max": 1.0},
]
TENSORS = {"w": normal(4, 3, 3, 3), "b": np.ones(4, np.float32), "k": normal(1, 4, 1, 1), "v": normal(5, 4)}
YUNET = [[normal(count * width) for count in (16, 4, 1)] for width in (1, 1, 4, 10)]
BOXES = np.array([[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]], np.float32)
NET = _core.Network(INPUTS, LAYERS, ["y", "j"], TENSORS)
HEAD = _core.Head(*WEIGHTS)
WHOLE = _core.Head(*WEIGHTS, whole=0.5)


def network(*arguments: Any) -> Any:
    """A new network, run where its outputs are small."""
    net = _core.Network(*arguments)
    shapes = net.output_shapes([X.shape] * len(arguments[0]))
    return net.run([X] * len(arguments[0])) if sum(np.prod(s, dtype=float) for s in shapes) < 1e6 else shapes


def head(*arguments: Any) -> Any:
    """A new head, that compares."""
    return _core.Head(*arguments).compare(GRIDS, GRIDS[::-1])


CALLS: list[tuple[Callable[..., Any], list[Any]]] = [
    (network, [INPUTS, LAYERS, ["y", "j"], TENSORS]),
    (NET.run, [[X], 2]),
    (NET.output_shapes, [[[2, 3, 9, 8]]]),
    (head, [*WEIGHTS, 7, 7, 1.0, False, 0.0]),
    (HEAD.compare, [GRIDS, GRIDS[::-1], True, 2]),
    (HEAD.compare_all, [GRIDS, GRIDS[:3], True, 2]),
    (WHOLE.compare, [GRIDS, GRIDS[::-1], True, 2, EMBEDDINGS, EMBEDDINGS]),
    (WHOLE.compare_all, [GRIDS, GRIDS[:3], True, 2, EMBEDDINGS, EMBEDDINGS[:3]]),
    (_core.transport, [GRIDS[:1], GRIDS, True, 0.05, 3, True, 2]),
    (_core.decode, [b"P6 2 1 255\nabcdef", 10**6]),
    (_core.decode_reduced, [b"P6 2 1 255\nabcdef", 10**6, 1]),
    (_core.warp, [PICTURE, np.array([[1.0, 0.1, 2.0], [-0.1, 1.0, 3.0]]), 12, 11, (1, 2, 3)]),
    (_core.resize, [PICTURE, 7, 50]),
    (_core.normalize, [PICTURE[None], [1, 2, 3], normal(3), True]),
    (_core.yunet_faces, [*YUNET, 32, 32, 0.05, 0.5]),
    (_core.nms, [BOXES, normal(3), 0.5]),
    (_core.mask_blend, [normal(2, 3, 6, 5), normal(2, 3, 6, 5), abs(normal(4, 6, 5)) / 9, [0, 1, 1, 0], 2]),
    (_core.isa_select, ["generic"]),
]
NUMBERS = [0, -1, 1, 2, 3, 7, 31, 33, 1000, 2**15, 2**31 - 1, 2**31, -(2**31), 2**63, 2**64, -(2**63), 10**30]
NUMBERS += [0.0, -0.0, 1.5, 1e-45, 1e38, 1e300, float("nan"), float("inf"), True, np.int8(-1), np.float16(2), 1j]
TEXTS = ["", "x", "y", "w", "conv", "add", "div", "resize", "sigmoid", "linear", "\0", "\ud800", "é" * 300, "avx2"]
DTYPES = ["f4", "f8", "f2", "g", "i1", "u1", "i8", "u8", "?", "c8", "O", "S3", "U2", "M8[s]", "m8[s]", "V5", "f4,i4"]


class Evil:
    """Empties the container it stands in, moves the memory and changes the shapes of the arrays beside it, or raises,
    whenever it is asked for anything."""

    def __init__(self, victim: Any, neighbours: list[np.ndarray], answer: Any) -> None:
        self.victim, self.neighbours, self.answer = victim, neighbours, answer

    def _ask(self, *_: Any, **__: Any) -> Any:
        if hasattr(self.victim, "clear"):
            self.victim.clear()
        for neighbour in self.neighbours:
            for change in (
                lambda a: a.resize(7, refcheck=False),
                lambda a: setattr(a, "shape", (-1,)),
                lambda a: setattr(a, "dtype", np.uint8),
            ):
                with contextlib.suppress(ValueError, AttributeError, TypeError), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    change(neighbour)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    __array__ = __index__ = __float__ = __int__ = __len__ = __getitem__ = __bool__ = __iter__ = __str__ = _ask
    __eq__ = __fspath__ = __buffer__ = _ask
    __hash__ = object.__hash__


class Reader:
    """Bytes as choices; past their end all are the first."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.evil = data, 0, False
        self.arrays: list[np.ndarray] = []  # of the call, each with memory of its own

    def below(self, count: int) -> int:
        self.at += 1
        return self.data[self.at - 1] % count if self.at <= len(self.data) else 0

    def pick(self, choices: Any) -> Any:
        return choices[self.below(len(choices))]


SHARED = np.arange(1 << 14, dtype=np.uint8).repeat(2)  # arrays cut from it overlap


def layout(r: Reader, a: np.ndarray) -> np.ndarray:
    """The values of `a` in other memory; some kinds change the values too."""
    kind = r.below(9)
    if kind == 1:
        return np.asfortranarray(a)
    if kind == 2 and a.ndim:
        return np.ascontiguousarray(a[::-1])[::-1]
    if kind == 3 and a.ndim:
        return a.repeat(2, -1)[..., ::2]
    if kind == 4:
        return a.astype(a.dtype.newbyteorder())
    if kind == 5 and not a.dtype.hasobject:
        raw = np.zeros(a.nbytes + 1, np.uint8)
        raw[1:] = np.frombuffer(a.tobytes(), np.uint8)
        return raw[1:].view(a.dtype).reshape(a.shape)
    if kind == 6 and not a.dtype.hasobject and a.nbytes < len(SHARED) - 256:
        start = r.below(256)
        return SHARED[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    if kind == 7:
        return a.view(r.pick([np.recarray, np.ma.MaskedArray]))
    a = a.copy()
    a.flags.writeable = kind != 8
    return a


def array(r: Reader, a: np.ndarray) -> Any:
    """`a` with another shape, type, values or layout."""
    kind = r.below(8)
    if kind == 1:
        a = a.astype(r.pick(DTYPES))
    elif kind == 2:
        a = np.moveaxis(a, r.below(max(a.ndim, 1)), 0) if a.ndim else a[None]
    elif kind == 3:
        shape = [r.pick([*a.shape[i : i + 1], 0, 1, 2, 3, 8, 33]) for i in range(r.below(7))]
        a = np.resize(a, shape) if np.prod(shape, dtype=float) < COMPARED else a
    elif kind == 4:
        a = np.broadcast_to(a, (r.pick([0, 1, 2, 2**20, 2**40]), *a.shape))
    elif kind == 5 and a.size and a.dtype.kind == "f":
        a = a.copy()
        a.flat[r.below(a.size)] = r.pick([np.nan, np.inf, -np.inf, 3e38, 1e-45, -0.0])
    elif kind == 6:
        return r.pick([a.tolist(), list(a), memoryview(a), a.tobytes(), bytearray(a), a[..., None], a[:0], a[()]])
    return layout(r, a) if a.nbytes < COMPARED else a


def changed(r: Reader, value: Any, owner: Any = None) -> Any:
    """A copy of `value` in which some part, at any depth, is replaced."""
    if r.below(12) == 1:
        r.evil = r.evil or r.below(4) == 1
        answers = [X, 1, 2**70, "x", ValueError("evil"), None, np.zeros(0), b"x", iter("x"), 1.5]
        other = [*NUMBERS, *TEXTS, None, [], {}, (), b"", object(), range(5), X, X[0, 0, 0, 0], float]
        return Evil(owner, r.arrays, r.pick(answers)) if r.evil else r.pick(other)
    if isinstance(value, np.ndarray):
        given = array(r, value)
        if isinstance(given, np.ndarray) and given.flags.owndata and given is not value:
            r.arrays.append(given)
        return given
    if isinstance(value, dict):
        copy: Any = {}
        for key, item in value.items():
            kind = r.below(40)
            if kind != 1:
                copy[r.pick([*TEXTS, 3, None]) if kind == 2 else key] = changed(r, item, copy)
        return copy
    if isinstance(value, (list, tuple)):
        copy = []
        for item in value:
            copy.extend([changed(r, item, copy)] * r.pick([1] * 30 + [0, 2]))
        return tuple(copy) if isinstance(value, tuple) or r.below(30) == 1 else copy
    if isinstance(value, str):
        return r.pick([value] * 20 + TEXTS)
    if isinstance(value, (int, float)):
        return r.pick([value] * 40 + NUMBERS)
    return value


def plain(value: Any) -> Any:
    """The same values in memory of their own, as NumPy would lay them."""
    if isinstance(value, np.ndarray):
        return np.array(value, value.dtype.newbyteorder("=") if value.dtype.kind in "fiu" else None, order="C")
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


def arrays(value: Any) -> Iterator[np.ndarray]:
    """All arrays in a nest of containers."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from arrays(item)


def contents(value: Any) -> list[bytes]:
    return [np.ascontiguousarray(a).astype(a.dtype.newbyteorder("="), copy=False).tobytes() for a in arrays(value)]


def arguments(data: bytes) -> None:
    """One call: a result that copies of the arguments give too and that leaves them as they were, or a clear error."""
    r = Reader(data)
    _core.isa_select(r.pick(_core.isa_available()))
    call, sound = r.pick(CALLS)
    try:
        given = changed(r, sound)
        given = list(given) if isinstance(given, (list, tuple)) else [given]
        small = not r.evil and sum(a.nbytes for a in arrays(given)) < COMPARED
        copies = plain(given) if small else None
        before = contents(given) if small else None
    except MemoryError:  # NumPy's, of large elements times large shapes
        return
    try:
        got = call(*given)
    except ERRORS as error:
        assert str(error) or isinstance(error, MemoryError)
        return
    if small:
        assert contents(given) == before, "an argument was written to"
        if call is not _core.isa_select:
            again = call(*copies)
            assert contents(got) == contents(again) and repr(got) == repr(again), "memory layout matters"
