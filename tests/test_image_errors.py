"""What read_image refuses, and how it says so."""

import io
import os
import struct
import sys
from tempfile import NamedTemporaryFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import NOISE, SMOOTH, encode, exif
from PIL import Image, ImageFile

from xcos.errors import ImageError, XcosError
from xcos.faces.image import read_image


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "PPM"])
def test_every_truncation_is_refused_or_shown_as_pillow_shows_it(kind, tmp_path, caplog):
    image = Image.fromarray(SMOOTH).quantize(8) if kind == "GIF" else Image.fromarray(SMOOTH)
    data = encode(image, kind)
    read_image(data)
    for length in {*range(0, len(data), max(1, len(data) // 150)), len(data) - 1}:
        path = tmp_path / "cut"
        path.write_bytes(data[:length])
        caplog.clear()
        try:
            shown = np.asarray(Image.open(path).convert("RGB"))
        except Exception:
            with pytest.raises(ImageError) as caught:
                read_image(path)
            assert str(caught.value).startswith(str(path))
        else:
            np.testing.assert_array_equal(read_image(path), shown)
            assert str(path) in caplog.text and "truncated" in caplog.text


@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_that_break_off_near_their_end(photos, progressive, caplog, monkeypatch):
    """Read with a warning where no more than a tenth of the pixels is missing, refused where it is more; Pillow, told
    to show what is there, is the judge."""
    data = encode(Image.open(photos["obama_portrait_2012"]), "JPEG", progressive=progressive)
    whole, read = read_image(data).astype(int), []
    for length in [*range(1000, len(data), len(data) // 50), len(data) - 100, len(data) - 2, len(data) - 1]:
        caplog.clear()
        try:
            pixels = read_image(data[:length])
        except ImageError as error:
            assert "truncated JPEG" in str(error)
            continue
        read.append(length)
        with monkeypatch.context() as patch:
            patch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
            shown = np.asarray(Image.open(io.BytesIO(data[:length])).convert("RGB")).astype(int)
        assert (np.abs(shown - whole).max(axis=2) > 8).mean() <= 0.1
        assert (np.abs(pixels - whole).max(axis=2) > 8).mean() <= 0.1
        assert "truncated JPEG" in caplog.text
    assert {len(data) - 100, len(data) - 2, len(data) - 1} <= set(read) and min(read) > 0.9 * len(data)
    np.testing.assert_array_equal(read_image(data[:-1]), whole)


def test_without_pillow_every_truncation_is_refused(monkeypatch):
    data = encode(Image.fromarray(SMOOTH), "PNG")
    monkeypatch.setitem(sys.modules, "PIL", None)
    for length in (len(data) - 1, len(data) - 12, len(data) // 2):
        with pytest.raises(ImageError, match=r"truncated PNG; PIL \(Pillow\) reads more: pip install xcos\[images\]"):
            read_image(data[:length])


def test_truncation_inside_a_jpeg_with_a_thumbnail():
    inner = encode(Image.fromarray(SMOOTH[:16, :16]), "JPEG")
    data = encode(Image.fromarray(SMOOTH), "JPEG", exif=exif(1) + inner)  # its own end of image is not ours
    with pytest.raises(ImageError, match="truncated JPEG"):
        read_image(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"just some words\n", "text"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WebP"),
        (b"\0\0\0\x20ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x20ftypavif\0\0\0\0", "AVIF"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"MM\0*\0\0\0\x08", "TIFF"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\3\4\0\0", "ZIP"),
        (b"\x00\x01\x02\x03\x04\x05", "unknown"),
    ],
)
def test_what_is_no_picture_is_named(content, said, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=said) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, XcosError)


def test_missing_paths_and_directories(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No such file.*nobody\.jpg"):
        read_image(tmp_path / "nobody.jpg")
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="null"):
        read_image("a\0b.jpg")


def test_forbidden_paths(unprivileged):
    with NamedTemporaryFile(suffix="secret.jpg") as file:  # not in pytest's folder, which others may not enter
        os.fchmod(file.fileno(), 0)
        with pytest.raises(PermissionError, match=r"secret\.jpg"):
            read_image(file.name)


@pytest.mark.parametrize("url", ["https://example.org/a.jpg", "HTTP://x/y", "s3://b/k", "data:image/png;base64,AA"])
def test_urls_are_not_fetched(url):
    with pytest.raises(ImageError, match="URL"):
        read_image(url)


def test_oversized_pictures_are_refused_before_decoding(tmp_path):
    for kind in ("PNG", "JPEG", "BMP", "GIF", "PPM"):
        data = encode(Image.fromarray(NOISE), kind)
        assert read_image(data, max_pixels=37 * 53).shape == (37, 53, 3)
        with pytest.raises(ImageError, match=r"<bytes>: 53 x 37 pixels.*1960"):
            read_image(data, max_pixels=37 * 53 - 1)
    with pytest.raises(ImageError, match="53 x 37"):
        read_image(Image.fromarray(NOISE), max_pixels=100)
    # Headers that promise terabytes, with next to nothing behind them.
    huge = bytearray(encode(Image.fromarray(NOISE), "PNG"))
    huge[16:24] = struct.pack(">II", 2**24 - 1, 2**24 - 1)
    with pytest.raises(ImageError, match="16777215 x 16777215"):
        read_image(bytes(huge))
    with pytest.raises(ImageError, match="999999999"):
        read_image(b"P6 999999999 999999999 255\n\0\0\0")
    with pytest.raises(ValueError, match="max_pixels"):
        read_image(NOISE, max_pixels=0)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32.*round"),
        (np.zeros((4, 4), bool), "bool"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
        (np.zeros((3, 40, 50), np.uint8), "transpose"),
        (np.zeros((2, 40, 50, 3), np.uint8), "stack"),
        (np.zeros((4, 4, 5), np.uint8), r"\(4, 4, 5\)"),
        (np.zeros(7, np.uint8), r"\(7,\)"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
    ],
)
def test_other_arrays_are_refused(array, said):
    with pytest.raises(ImageError, match=said):
        read_image(array)


def test_other_objects_are_refused():
    for thing in (7, None, [NOISE], object()):
        with pytest.raises(TypeError, match=f"got {type(thing).__name__}"):
            read_image(thing)
    with pytest.raises(ImageError, match="text mode"):
        read_image(io.StringIO("x"))
    with pytest.raises(ImageError, match="mode F"):
        read_image(Image.new("F", (4, 4)))
    with pytest.raises(ImageError, match="truncated"):
        read_image(Image.open(io.BytesIO(encode(Image.fromarray(NOISE), "PNG")[:900])))


def test_jpegs_of_other_kinds_are_named():
    data = bytearray(encode(Image.fromarray(SMOOTH), "JPEG"))
    at = data.index(b"\xff\xc0") + 1
    data[at] = 0xC3
    with pytest.raises(ImageError, match="lossless"):
        read_image(bytes(data))
    data[at], data[at + 3] = 0xC0, 12
    with pytest.raises(ImageError, match="12 bits"):
        read_image(bytes(data))


def test_overfull_huffman_tables_are_refused():
    data = bytearray(encode(Image.fromarray(SMOOTH), "JPEG"))
    at = data.index(b"\xff\xc4") + 5
    data[at : at + 16] = b"\xff" * 16  # more codes than a table holds, and than the segment has
    with pytest.raises(ImageError, match="Huffman"):
        read_image(bytes(data))


SEEDS = [
    encode(Image.fromarray(SMOOTH), "JPEG", exif=exif(6)),
    encode(Image.fromarray(SMOOTH), "JPEG", progressive=True),
    encode(Image.fromarray(NOISE[:9, :9]), "PNG", exif=exif(5)[6:]),
    encode(Image.fromarray(NOISE[:9, :9]).quantize(7), "PNG", transparency=1),
    encode(Image.fromarray(NOISE[:9, :9]).quantize(7), "GIF"),
    encode(Image.fromarray(NOISE[:9, :9]), "BMP"),
    encode(Image.fromarray(NOISE[:9, :9, 0]), "PPM"),
    b"P3 2 2 255 1 2 3 4 5 6 7 8 9 10 11 12",
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8))
def test_damaged_data_gives_a_picture_or_an_error(data, changes):
    damaged = bytearray(data)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    try:
        out = read_image(bytes(damaged), max_pixels=10**6)
    except ImageError:
        return
    assert out.ndim == 3 and out.shape[2] == 3
