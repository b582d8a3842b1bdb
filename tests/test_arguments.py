"""Arguments of every function of xcos._core: whatever is given, the answer is a result that a plain copy of the
argument gives too, or an exception that says what was expected. Never a crash."""

import contextlib
import gc
import itertools
import threading
import warnings

import numpy as np
import pytest

from xcos import _core

RNG = np.random.default_rng(3)
HEAD = {
    "embed_weight": RNG.normal(size=(4, 8, 3, 3)).astype(np.float32),
    "embed_bias": np.zeros(4, np.float32),
    "embed_slope": 0.2,
    "attend1_weight": RNG.normal(size=(4, 8, 3, 3)).astype(np.float32),
    "attend1_bias": np.zeros(4, np.float32),
    "attend1_slope": 0.2,
    "attend2_weight": RNG.normal(size=(1, 4, 3, 3)).astype(np.float32),
    "attend2_bias": np.zeros(1, np.float32),
    "attend2_slope": 0.2,
}
LAYERS = [{"op": "conv", "inputs": ["x"], "output": "y", "weight": "w", "pad": [1, 1, 1, 1]}]
TENSORS = {"w": RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)}
ERRORS = (TypeError, ValueError, OverflowError, MemoryError, BufferError, RecursionError)


def network():
    return _core.Network([{"name": "x", "shape": [3, None, None]}], LAYERS, ["y"], TENSORS)


def yunet(cls, min_score=0.05):
    sizes = (16, 4, 1)
    outputs = [[np.full(n * width, 0.1, np.float32) for n in sizes] for width in (1, 1, 4, 10)]
    outputs[0][0] = cls
    return _core.yunet_faces(*outputs, 32, 32, min_score, 0.5)


GRIDS = RNG.normal(size=(5, 8, 7, 7)).astype(np.float32)
PICTURE = RNG.integers(0, 256, (20, 30, 3), np.uint8)
AFFINE = np.array([[1.0, 0.1, 2.0], [-0.1, 1.0, 3.0]])
BOXES = np.array([[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]], np.float32)

MASKS = RNG.random((3, 6, 5)).astype(np.float32)
FILLS = RNG.normal(size=(1, 3, 6, 5)).astype(np.float32)

# What takes an array, and a sound one.
CALLS = {
    "run": (lambda a: network().run([a]), RNG.normal(size=(2, 3, 9, 8)).astype(np.float32)),
    "compare": (lambda a: _core.Head(**HEAD).compare(a, GRIDS), GRIDS),
    "compare_all": (lambda a: _core.Head(**HEAD).compare_all(GRIDS, a, maps=True), GRIDS),
    "embeddings": (
        lambda a: _core.Head(**HEAD, whole=0.5).compare(GRIDS, GRIDS, a_whole=a, b_whole=a),
        GRIDS[:, :, 0, 0],
    ),
    "head weight": (lambda a: _core.Head(**{**HEAD, "embed_weight": a}).compare(GRIDS, GRIDS), HEAD["embed_weight"]),
    "net weight": (
        lambda a: _core.Network([{"name": "x", "shape": [3, 9, 9]}], LAYERS, ["y"], {"w": a}).run(
            [np.ones((1, 3, 9, 9), np.float32)]
        ),
        TENSORS["w"],
    ),
    "nms boxes": (lambda a: _core.nms(a, np.ones(3, np.float32), 0.5), BOXES),
    "nms scores": (lambda a: _core.nms(BOXES, a, 0.5), np.array([0.1, 0.9, 0.5], np.float32)),
    "yunet": (yunet, np.full(16, 0.9, np.float32)),
    "warp image": (lambda a: _core.warp(a, AFFINE, 12, 11), PICTURE),
    "warp matrix": (lambda a: _core.warp(PICTURE, a, 12, 11), AFFINE),
    "resize": (lambda a: _core.resize(a, 7, 50), PICTURE),
    "normalize": (lambda a: _core.normalize(a, [1, 2, 3], [1, 1, 1]), PICTURE[None]),
    "normalize mean": (lambda a: _core.normalize(PICTURE[None], a, [1, 1, 1]), np.ones(3, np.float32)),
    "decode reduced": (lambda a: _core.decode_reduced(a, 10**6, 1)[0], np.frombuffer(b"P6 2 1 255\nabcdef", np.uint8)),
    "decode": (lambda a: _core.decode(a, 10**6), np.frombuffer(b"P6 2 1 255\nabcdef", np.uint8)),
}


def layouts(a):
    """The same values in memory as odd as NumPy allows."""
    yield "fortran", np.asfortranarray(a)
    yield "reversed", a[::-1].copy()[::-1]
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    yield "strided", wide[..., ::2]
    yield "swapped", a.astype(a.dtype.newbyteorder())
    raw = np.zeros(a.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(a.tobytes(), np.uint8)
    yield "misaligned", raw[1:].view(a.dtype).reshape(a.shape)
    fixed = a.copy()
    fixed.flags.writeable = False
    yield "read-only", fixed
    yield "subclass", a.view(np.matrix) if a.ndim == 2 else a.view(np.recarray)


def leaves(value):
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif value is not None:
        yield np.asarray(value)


@pytest.mark.parametrize("name", CALLS)
def test_layout_of_memory_does_not_matter(name):
    call, sound = CALLS[name]
    expected = list(leaves(call(sound)))
    for layout, array in layouts(sound):
        if name.startswith("decode") and layout in ("strided", "reversed"):
            continue  # a buffer has to be contiguous
        before = array.copy()
        got = list(leaves(call(array)))
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=layout)
        np.testing.assert_array_equal(array, before, err_msg=layout)  # inputs stay as they are


class Evil:
    """Changes the list it stands in while it is being converted."""

    def __init__(self, victim, value):
        self.victim, self.value = victim, value

    def __array__(self, dtype=None, copy=None):
        self.victim.clear()
        gc.collect()
        return np.array(self.value)

    def __index__(self):
        self.victim.clear()
        return 1


class Neighbour:
    """While it is being converted it tries to move the memory of another argument, and to change its shape."""

    def __init__(self, victim, value):
        self.victim, self.value, self.ran = victim, value, False

    def __array__(self, dtype=None, copy=None):
        self.ran = True
        for change in (
            lambda: self.victim.resize((1,), refcheck=False),
            lambda: setattr(self.victim, "shape", (self.victim.size,)),
            lambda: setattr(self.victim, "strides", (0,) * self.victim.ndim),
        ):
            with contextlib.suppress(ValueError, AttributeError, TypeError):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    change()
        gc.collect()
        return np.array(self.value)


def own(a):
    """A copy large enough that its memory goes back to the system when it is freed."""
    return np.concatenate([a] * (1 + (1 << 22) // a.nbytes))


NEIGHBOURS = {
    "normalize": lambda a, evil: _core.normalize(a, evil, [1, 1, 1]),
    "warp": lambda a, evil: _core.warp(a, evil, 12, 11),
    "compare_all": lambda a, evil: _core.Head(**HEAD).compare_all(a, evil),
    "compare": lambda a, evil: _core.Head(**HEAD).compare(a, evil),
    "mask_blend": lambda a, evil: _core.mask_blend(a, np.zeros_like(a), np.ones((2, 6, 5)), evil),
    "nms": lambda a, evil: _core.nms(a, evil, 0.5),
    "run": lambda a, evil: _core.Network(
        [{"name": "a", "shape": [4]}, {"name": "b", "shape": [4]}],
        [{"op": "add", "inputs": ["a", "b"], "output": "y"}], ["y"], {},
    ).run([a, evil]),
    "head": lambda a, evil: _core.Head(**{**HEAD, "embed_weight": a, "attend1_weight": evil}).compare(GRIDS, GRIDS),
    "network": lambda a, evil: _core.Network(
        [{"name": "x", "shape": [3, 9, 9]}], [{**LAYERS[0], "bias": "b"}], ["y"], {"w": a, "b": evil}
    ).run([np.ones((1, 3, 9, 9), np.float32)]),
}  # fmt: skip


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_arguments_that_change_their_neighbours(name):
    """The answer is that for the arguments as they were given, whatever converting one does to another."""
    many = own(GRIDS)
    victim, value = {
        "normalize": (own(PICTURE[None]), np.ones(3)),
        "warp": (own(PICTURE), AFFINE),
        "compare_all": (many, GRIDS[:2]),
        "compare": (many, many.copy()),
        "mask_blend": (own(FILLS), [len(own(FILLS)) - 1, 0]),
        "nms": (own(BOXES), np.arange(len(own(BOXES)), dtype=np.float32)),
        "run": (own(np.ones((1, 4), np.float32)), own(np.ones((1, 4), np.float32))),
        "head": (HEAD["embed_weight"].copy(), HEAD["attend1_weight"]),
        "network": (TENSORS["w"].copy(), np.ones(4, np.float32)),
    }[name]
    if name == "nms":  # quadratic in what is kept
        victim, value = victim[:300].copy(), value[:300]
    call = NEIGHBOURS[name]
    expected = list(leaves(call(victim.copy(), np.array(value))))
    evil = Neighbour(victim, value)
    got = list(leaves(call(victim, evil)))
    assert evil.ran
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_number_that_moves_the_picture():
    """The bytes to decode lie in an array; the limit's __index__ resizes it."""
    header = b"P6 1000 1000 255\n"
    data = np.concatenate([np.frombuffer(header, np.uint8), np.full(3_000_000, 7, np.uint8)])

    class Limit:
        def __index__(self):
            data.resize(9, refcheck=False)
            gc.collect()
            return 10**6

    with pytest.raises(ValueError, match="PNM"):  # what is left of it has no header
        _core.decode(data, Limit())


def test_indices_are_read_once():
    """Another thread writes them while the masks are blended: none of the old and the new is out of range unseen."""
    count = 20_000
    which, stop = np.zeros(count, np.int64), threading.Event()
    images = RNG.normal(size=(1, 1, 4, 4)).astype(np.float32)
    masks = np.ones((count, 4, 4), np.float32)

    def write():
        while not stop.is_set():
            which[count // 2 :] = 1 << 40
            which[count // 2 :] = 0

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(200):
            with contextlib.suppress(ValueError):
                assert (_core.mask_blend(images, images, masks, which, threads=2) == images).all()
    finally:
        stop.set()
        thread.join()


def hostile():
    shapes = [(), (0,), (0, 3, 9, 9), (3,), (1, 3, 0, 9), (2, 2), (1, 3, 9, 9), (5, 8, 7, 7), (1,) * 20, (20, 30, 3)]
    dtypes = ["f4", "f8", "f2", "i8", "u1", "?", "c8", "O", "S3", "U2", "M8[s]", "m8[s]", "V5", ">f4", "g"]
    for shape, kind in itertools.product(shapes, dtypes):
        yield np.zeros(shape, kind)
    yield from (None, "text", b"bytes", 3, 1.5, [], [[]], [[1], [1, 2]], {}, object(), range(5), np.float32(1), float)
    yield np.zeros(3, [("a", "f4"), ("b", "i4")])
    yield np.broadcast_to(np.float32(1), (2**20, 3, 2**15, 2**15))  # 3 PiB without memory
    yield np.full((1, 3, 9, 9), np.nan, np.float32)
    yield np.full((5, 8, 7, 7), np.inf, np.float32)
    if hasattr(np.dtypes, "StringDType"):
        yield np.array(["a", "b"], np.dtypes.StringDType())


@pytest.mark.parametrize("name", CALLS)
def test_hostile_arguments(name):
    call, _ = CALLS[name]
    for value in hostile():
        try:
            call(value)
        except ERRORS as error:
            assert str(error) or isinstance(error, MemoryError)


def test_lists_that_change_while_they_are_read():
    for position in range(2):
        inputs = [{"name": name, "shape": [4]} for name in "ab"]
        adder = _core.Network(inputs, [{"op": "add", "inputs": ["a", "b"], "output": "y"}], ["y"], {})
        given = [np.ones((1, 4), np.float32), np.ones((1, 4), np.float32)]
        given[position] = Evil(given, np.ones((1, 4), np.float32))
        np.testing.assert_array_equal(adder.run(given)[0], np.full((1, 4), 2))
        shape = [1, 4]
        shape[position] = Evil(shape, 0)
        try:
            adder.output_shapes([shape, (1, 4)])
        except ValueError:
            pass
    outputs = [[np.zeros(n * width, np.float32) for n in (16, 4, 1)] for width in (1, 1, 4, 10)]
    outputs[2][0] = Evil(outputs[2], np.zeros(64, np.float32))
    assert len(_core.yunet_faces(*outputs, 32, 32, 0.5, 0.5)) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda a: _core.normalize(PICTURE[None], a, np.ones(3)),
        lambda a: _core.normalize(PICTURE[None], np.ones(3), [a, [], a]),
        lambda a: _core.mask_blend(FILLS, FILLS, MASKS, a),
        lambda a: _core.warp(PICTURE, a, 3, 3),
        lambda a: _core.warp(PICTURE, [a, a], 3, 3),
        lambda a: _core.nms(BOXES, a, 0.5),
        lambda a: _core.Head(**{**HEAD, "embed_bias": a}),
        lambda a: network().run([a]),
    ],
)
@pytest.mark.parametrize("length", [3, 50])
def test_lists_that_change_while_numpy_reads_them(call, length):
    # NumPy 2.4.6 by itself reads freed memory here, now and then.
    for answer in (np.zeros(3), np.zeros(0), 1, "x", ValueError("evil")):
        given: list = []
        given += [Evil(given, answer), *[7] * (length - 1)]
        try:
            call(given)
        except ERRORS as error:
            assert str(error)
        assert not given, "nothing asked the item"


def test_nests_of_lists():
    boxes = [(0, 0, 10, 10), [1, 1, 10, 10], (20, 20, 30, 30.0)]
    np.testing.assert_array_equal(_core.nms(boxes, [0.1, 0.9, 0.5], 0.5), [1, 2])
    endless: list = []
    endless.append(endless)
    for bad in (endless, [endless, endless]):
        with pytest.raises((RecursionError, ValueError)):
            _core.nms(bad, [0.5], 0.5)


def test_nothing_of_the_caller_runs_once_an_error_is_set():
    ran = []

    class Watching(np.ndarray):
        def __array_finalize__(self, obj):
            ran.append(obj)

    matrix = np.asfortranarray(AFFINE).view(Watching)
    ran.clear()
    with pytest.raises(ValueError, match="image: expected an array of shape"):
        _core.warp(PICTURE[..., :2], matrix, 12, 11)
    assert not ran
    _core.warp(PICTURE, matrix, 12, 11)
    _core.normalize(PICTURE[None].view(Watching)[:, ::-1], np.ones(3), np.ones(3))
    assert len(ran) == 2  # the two views of this test: copies are of the base class


def test_tensors_that_are_no_mapping_of_names():
    for tensors in (np.zeros((2, 3, 9, 9)), np.float32(1)):
        with pytest.raises(ValueError, match="layer 'y': there is no tensor 'w'"):
            _core.Network([{"name": "x", "shape": [3, 9, 9]}], LAYERS, ["y"], tensors)


def test_inputs_may_overlap_and_repeat():
    base = RNG.normal(size=(9, 8, 7, 7)).astype(np.float32)
    head = _core.Head(**HEAD)
    expected = head.compare(base[:5].copy(), base[2:7].copy())
    for a, b in zip(head.compare(base[:5], base[2:7]), expected, strict=True):
        np.testing.assert_array_equal(a, b)


NUMBERS = [0, -1, 1, 31, 33, 2**31 - 1, 2**31, -(2**31), 2**63, 2**64, 1.5, float("nan"), None, "3", [], object()]


@pytest.mark.parametrize(
    "call",
    [
        lambda n: _core.decode(b"P6 2 1 255\nabcdef", n),
        lambda n: _core.decode_reduced(b"P6 2 1 255\nabcdef", 9, n),
        lambda n: _core.warp(PICTURE, AFFINE, 2, n),
        lambda n: _core.warp(PICTURE, AFFINE, 2, 2, n),
        lambda n: _core.warp(PICTURE, AFFINE, 2, 2, (n, n, n)),
        lambda n: _core.resize(PICTURE, n, 3),
        lambda n: _core.nms(BOXES, BOXES[:, 0], n),
        lambda n: yunet(np.zeros(16, np.float32), n),
        lambda n: _core.yunet_faces([], [], [], [], n, n, 0.5, 0.5),
        lambda n: _core.Head(**HEAD, height=n),
        lambda n: _core.Head(**HEAD, temperature=n),
        lambda n: _core.Head(**HEAD, whole=n),
        lambda n: _core.Head(**{**HEAD, "embed_slope": n}),
        lambda n: _core.Head(**HEAD).compare(GRIDS, GRIDS, threads=n),
        lambda n: network().run([np.zeros((1, 3, 9, 9), np.float32)], threads=n),
        lambda n: network().output_shapes([[n, 3, 9, 9]]),
        lambda n: network().output_shapes([[1, 3, 9, n]]),
        lambda n: network().output_shapes(n),
        lambda n: _core.isa_select(n),
        lambda n: _core.Network(n, LAYERS, ["y"], TENSORS),
        lambda n: _core.Network([{"name": "x", "shape": [n]}], LAYERS, ["y"], TENSORS),
        lambda n: _core.Network([{"name": "x", "shape": [3, 9, 9]}], n, ["y"], TENSORS),
        lambda n: _core.Network([{"name": "x", "shape": [3, 9, 9]}], LAYERS, [n], TENSORS),
        lambda n: _core.Network([{"name": "x", "shape": [3, 9, 9]}], LAYERS, ["y"], n),
    ],
)
def test_hostile_numbers(call):
    for number in NUMBERS:
        try:
            call(number)
        except ERRORS as error:
            assert str(error) or isinstance(error, MemoryError)


ATTRIBUTES = {
    "conv": ("weight", "bias", "stride", "pad", "dilation", "groups"),
    "max_pool": ("kernel", "stride", "pad", "dilation"),
    "avg_pool": ("kernel", "stride", "pad", "count_include_pad"),
    "slice": ("axis", "start", "stop"),
    "concat": ("axis",),
    "softmax": ("axis",),
    "transpose": ("perm",),
    "reshape": ("shape",),
    "resize": ("scale",),
    "clip": ("min", "max"),
    "pow": ("exponent",),
    "hard_sigmoid": ("alpha", "shift"),
    "batch_norm": ("gamma", "beta", "mean", "var", "epsilon"),
    "layer_norm": ("gamma", "beta", "epsilon"),
    "prelu": ("slope",),
    "nothing": ("op", "inputs", "output", "name"),
}
VALUES = [*NUMBERS, [1, 1], [0, 0], [-1, -1], [2**30, 2**30], [2**70, 1], [1, 1, 1, 1], [2**15] * 4, [0, 2, 3, 1]]
VALUES += [[-1], [-1, -1], [0.5, 0.5], [float("inf")] * 2, [1024, 1024], ["x"], ["w"], ["y"], "w", "x", "\ud800", True]


@pytest.mark.parametrize("op", ATTRIBUTES)
def test_hostile_attributes(op):
    tensors = {"w": TENSORS["w"], "v": np.ones(3, np.float32)}
    sound = {"op": op, "inputs": ["x"], "output": "y", "weight": "w", "slope": "v", "perm": [0, 1, 2, 3]}
    sound |= {"gamma": "v", "beta": "v", "mean": "v", "var": "v", "axis": 1, "shape": [-1], "scale": [1, 1]}
    x = np.ones((1, 3, 9, 9), np.float32)
    for attribute, value in itertools.product(ATTRIBUTES[op], VALUES):
        try:
            net = _core.Network([{"name": "x", "shape": [3, 9, 9]}], [{**sound, attribute: value}], ["y"], tensors)
            (shape,) = net.output_shapes([(1, 3, 9, 9)])
            if np.prod(shape, dtype=float) < 1e7:
                assert net.run([x])[0].shape == shape
        except ERRORS as error:
            assert str(error) or isinstance(error, MemoryError)


@pytest.mark.parametrize("key", ["stride", "weight"])
def test_layers_that_change_while_they_are_read(key):
    """A number's __index__ or a tensor's __array__ empties the layer's dict: the plan is that of the dict as given."""
    layer, tensors = dict(LAYERS[0]), dict(TENSORS)

    class Emptying:
        def __index__(self):
            layer.clear()
            gc.collect()
            return 1

        def __array__(self, dtype=None, copy=None):
            layer.clear()
            tensors.clear()
            gc.collect()
            return TENSORS["w"].copy()

    if key == "stride":
        layer["stride"] = [Emptying(), 1]
    else:
        tensors["w"] = Emptying()
    x, inputs = np.ones((1, 3, 9, 9), np.float32), [{"name": "x", "shape": [3, 9, 9]}]
    got = _core.Network(inputs, [layer], ["y"], tensors).run([x])[0]
    assert not layer
    np.testing.assert_array_equal(got, _core.Network(inputs, LAYERS, ["y"], TENSORS).run([x])[0])


def test_keys_and_values_of_other_types():
    half = {"name": "\ud800", "shape": [1]}
    for bad in (None, 3, "x", [], {}, {3: 4}, {"name": "x"}, {"name": 3, "shape": [1]}, half):
        with pytest.raises(ERRORS):
            _core.Network([bad], LAYERS, ["y"], TENSORS)
        with pytest.raises(ERRORS):
            _core.Network([{"name": "x", "shape": [3, 9, 9]}], [bad], ["y"], TENSORS)


def test_types_cannot_be_filled_later():
    with pytest.raises(TypeError):
        _core.Network.__new__(_core.Network)
    one = network()
    x = np.ones((1, 3, 9, 9), np.float32)
    expected = one.run([x])[0]
    one.__init__([], [], [], {})  # object's: does nothing
    np.testing.assert_array_equal(one.run([x])[0], expected)
