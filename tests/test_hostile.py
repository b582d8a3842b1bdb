"""Inputs that were made to hurt: each was found by a fuzz target or written after a known attack."""

import io
import os
import pickle
import resource
import struct
import time
import zlib

import numpy as np
import pytest
from pictures import NOISE, SMOOTH, encode
from PIL import Image

from xcos import ImageError, _core, read_image
from xcos.datasets import plain_pickle

JPEG = encode(Image.fromarray(SMOOTH), "JPEG")
# AddressSanitizer has shadow memory for whatever is asked for.
SHADOWED = "libasan" in os.environ.get("LD_PRELOAD", "")
PROGRESSIVE = encode(Image.fromarray(SMOOTH), "JPEG", progressive=True)


def peak():
    """The most resident memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def png(width, height, data, *extra):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def segment(data, marker):
    """Where a JPEG's segment of this marker begins, and where it ends."""
    start = data.index(bytes([0xFF, marker]))
    return start, start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")


def test_a_png_that_swells_beyond_its_size():
    bomb = zlib.compressobj(9)
    data = b"".join([bomb.compress(bytes(1 << 20)) for _ in range(400)]) + bomb.flush()
    assert len(data) < 500_000
    before = peak()
    with pytest.raises(ImageError, match="data is larger than its 8 x 8 pixels"):
        read_image(png(8, 8, data))
    assert peak() - before < 50_000_000 or SHADOWED


def test_a_declared_size_costs_nothing():
    before = peak()
    for width, height in ((30_000, 30_000), (2**31 - 1, 2**31 - 1), (1, 2_000_000), (2_000_000, 1)):
        with pytest.raises(ImageError, match="limit of"):
            read_image(png(width, height, zlib.compress(b"")))
    assert peak() - before < 50_000_000


@pytest.mark.parametrize("shape", [(1, 50_000), (50_000, 1)])
def test_a_side_of_50000_pixels(shape):
    """A panorama has it; of more than a million no camera knows."""
    assert read_image(encode(Image.fromarray(np.zeros(shape, np.uint8)), "PNG")).shape == (*shape, 3)
    with pytest.raises(ImageError, match="a side is longer than the limit of 1000000"):
        read_image(png(*(side * 30 if side > 1 else 1 for side in shape), zlib.compress(b"")))


@pytest.mark.parametrize("size", [(2, 2**31 - 1), (2**31 - 1, 2), (1, 1_000_001)])
def test_results_have_bounded_sides(size):
    """A warp to 2 x 2,147,483,647 pixels took 12.9 GB."""
    before = peak()
    for make in (_core.resize, lambda picture, *size: _core.warp(picture, np.eye(2, 3), *size)):
        with pytest.raises((_core.LimitError, MemoryError)):  # the array, or what would fill it
            make(SMOOTH, *size)
    assert peak() - before < 50_000_000 or SHADOWED


def test_a_second_frame_does_not_hide_the_size_of_the_first():
    start, end = segment(JPEG, 0xC0)
    large = bytearray(JPEG[start:end])
    large[5:9] = struct.pack(">HH", 60_000, 60_000)
    with pytest.raises(ImageError, match="two frames"):
        read_image(JPEG[:start] + bytes(large) + JPEG[start:])


def test_thousands_of_scans():
    start = PROGRESSIVE.rindex(b"\xff\xda")
    scan = PROGRESSIVE[start:-2]
    begin = time.perf_counter()
    with pytest.raises(ImageError, match="more than 100 scans"):
        read_image(PROGRESSIVE[:-2] + scan * 5000 + PROGRESSIVE[-2:])
    assert time.perf_counter() - begin < 1


def test_huffman_tables_that_were_never_defined():
    """stb_image 2.27 reads its uninitialised tables then, and fails an assertion."""
    for data in (JPEG, PROGRESSIVE):
        while b"\xff\xc4" in data:
            start, end = segment(data, 0xC4)
            data = data[:start] + data[end:]
        try:
            first = read_image(data)
        except ImageError:
            continue
        np.testing.assert_array_equal(read_image(data), first)


def test_every_cut_of_every_format():
    for kind in ("JPEG", "PNG", "BMP", "GIF", "PPM"):
        data = encode(Image.fromarray(NOISE), kind)
        for length in [*range(60), *range(60, len(data) - 1, 211)]:
            try:
                assert read_image(data[:length]).shape == NOISE.shape  # a GIF needs no trailer
            except ImageError as error:
                assert str(error).startswith("<bytes>: ")


def test_bytes_that_change_while_they_are_decoded():
    """Buffers that can change are copied first: what was checked is what is decoded."""
    data = bytearray(JPEG)
    for buffer in (data, memoryview(data), memoryview(data).toreadonly(), np.frombuffer(JPEG, np.uint8)):
        np.testing.assert_array_equal(_core.decode(buffer, 10**6), _core.decode(JPEG, 10**6))


# ------------------------------------------------------------------ pickles


def nested(levels):
    """((((x, x), (x, x)), …): short as a pickle, 2 ** levels as a tree."""
    value = (b"",)
    for _ in range(levels):
        value = (value, value)
    return value


def refused(data):
    begin, before = time.perf_counter(), peak()
    with pytest.raises(pickle.UnpicklingError):
        plain_pickle.load(io.BytesIO(data))
    assert time.perf_counter() - begin < 2 and peak() - before < 100_000_000


def test_shared_content_is_not_multiplied():
    begin = time.perf_counter()
    value = plain_pickle.load(io.BytesIO(pickle.dumps(nested(200))))
    elapsed, length = time.perf_counter() - begin, len(value)
    del value  # whose text would have no end, should pytest wish to print it
    assert length == 2 and elapsed < 2


def test_pickles_that_would_hash_for_ever():
    for opcode in (b"}", b"(d", b"\x8f"):  # EMPTY_DICT, DICT, EMPTY_SET
        refused(b"\x80\x04" + opcode + pickle.dumps(nested(60))[2:-1] + b"K\x01s.")


def test_pickles_that_would_take_memory():
    read = plain_pickle.load(io.BytesIO(b"\x80\x04K\x01r\xff\xff\xff\x7f."))  # LONG_BINPUT of a far place
    assert read == 1
    refused(b"\x80\x05\x96" + struct.pack("<Q", 1 << 36) + b".")  # BYTEARRAY8
    refused(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 36) + b".")  # BINBYTES8


def test_messages_do_not_print_what_has_no_end():
    shape = pickle.dumps(nested(60), 2)[2:-1]
    refused(b"\x80\x02cnumpy\nndarray\n(" + shape + b"cnumpy\ndtype\nU\x02i4\x85RU\x00tR.")


# -------------------------------------------------------------------- plans


def test_ten_thousand_layers_are_planned_in_seconds():
    """All values live at once: the layout of the arena must not be cubic in their number."""
    layers = [{"op": "sigmoid", "inputs": ["x"], "output": f"v{i}"} for i in range(5000)]
    last = "x"
    for i in range(5000):
        layers.append({"op": "add", "inputs": [last, f"v{i}"], "output": f"a{i}"})
        last = f"a{i}"
    begin = time.perf_counter()
    network = _core.Network([{"name": "x", "shape": [4]}], layers, [last], {})
    x = np.linspace(-1, 1, 4, dtype=np.float32)[None]
    np.testing.assert_allclose(network.run([x])[0], x + 5000 / (1 + np.exp(-x)), rtol=1e-4)
    assert time.perf_counter() - begin < 30


@pytest.mark.parametrize("sizes", [(2**28,) * 5, (2**24,) * 3, (2**62, 4)])
def test_sizes_of_inputs_that_overflow(sizes):
    with pytest.raises(ValueError):  # LimitError or ValueError: said, not computed with
        network = _core.Network(
            [{"name": "x", "shape": [None] * len(sizes)}],
            [{"op": "reshape", "inputs": ["x"], "output": "y", "shape": [-1]}],
            ["y"],
            {},
        )
        network.output_shapes([(1, *sizes)])


def test_activations_beyond_memory():
    layers = [
        {"op": "resize", "inputs": ["x"], "output": "a", "scale": [1024, 1024]},
        {"op": "resize", "inputs": ["a"], "output": "y", "scale": [4, 4]},
        {"op": "max_pool", "inputs": ["y"], "output": "z"},
    ]
    network = _core.Network([{"name": "x", "shape": [1, 64, 64]}], layers, ["z"], {})
    with pytest.raises(MemoryError):
        network.run([np.zeros((1, 1, 64, 64), np.float32)])
