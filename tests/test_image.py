"""read_image and the decoder under it, against Pillow and NumPy."""

import io
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import NOISE, RNG, SMOOTH, encode, exif
from PIL import Image

import xcos
from xcos import _core
from xcos.faces.image import describe, read_image


def pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def on_white(image: Image.Image) -> np.ndarray:
    image = image.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    assert a.shape == b.shape and a.dtype == b.dtype == np.uint8
    return np.abs(a.astype(int) - b.astype(int))


# ------------------------------------------------------------------ formats


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM"])
def test_lossless_formats_are_exact(kind):
    out = read_image(encode(Image.fromarray(NOISE), kind))
    assert out.flags.c_contiguous and out.dtype == np.uint8
    np.testing.assert_array_equal(out, NOISE)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "PPM"])
def test_grey_is_repeated(kind):
    grey = NOISE[..., 0]
    np.testing.assert_array_equal(read_image(encode(Image.fromarray(grey), kind)), grey[..., None].repeat(3, 2))


def test_one_bit_and_palette():
    one = Image.fromarray(NOISE[..., 0] > 99)
    palette = Image.fromarray(NOISE).quantize(60)
    for image, kinds in ((one, ("PNG", "BMP", "PPM", "GIF")), (palette, ("PNG", "BMP", "GIF"))):
        for kind in kinds:
            data = encode(image, kind)
            np.testing.assert_array_equal(read_image(data), pillow(data), err_msg=kind)


@pytest.mark.parametrize("quality", [30, 90])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_close_to_libjpeg(quality, subsampling, progressive, photos):
    image = Image.open(photos["obama_portrait_2012"]).resize((301, 377))
    data = encode(image, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    d = difference(read_image(data), pillow(data))
    # Two decoders round differently, and stb_image extends chroma differently at the right edge.
    assert d.mean() < 0.5 and d[:, :-2].max() <= 8


def test_jpeg_422_differs_in_the_last_columns_alone(photos):
    """What docs/pictures.md says of it: elsewhere within 4 levels of libjpeg, scores within 0.002."""
    other = photos["obama_portrait_2012"]
    for path in photos.values():
        data = encode(Image.open(path).convert("RGB"), "JPEG", quality=90, subsampling=1)
        pixels = pillow(data)
        assert difference(read_image(data)[:, :-2], pixels[:, :-2]).max() <= 4
        assert xcos.verify(data, other).score == pytest.approx(xcos.verify(pixels, other).score, abs=2e-3)


def test_shipped_photographs(photos):
    for path in photos.values():
        d = difference(read_image(path), pillow(path.read_bytes()))
        assert d.mean() < 0.2 and d.max() <= 4, path


def cosines(n: int) -> np.ndarray:
    """The orthonormal DCT of n points, as a matrix."""
    k = np.arange(n)
    return np.where(k == 0, 1 / n, 2 / n)[:, None] ** 0.5 * np.cos(np.outer(k, k + 0.5) * np.pi / n)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 7}, {"optimize": True}])
@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_reduced_jpeg_has_the_lowest_coefficients(reduction, subsampling, options, photos):
    """Of brightness against an own transform of libjpeg's; colours, of which it keeps more, against means."""
    image = Image.open(photos["obama_portrait_2012"]).resize((320, 400))
    data = encode(image, "JPEG", quality=92, subsampling=subsampling, **options)
    pixels, by = _core.decode_reduced(data, 10**6, 400 // reduction)
    assert by == reduction and pixels.shape == (400 // reduction, 320 // reduction, 3)

    whole = np.asarray(Image.open(io.BytesIO(data)).convert("YCbCr"), float)
    few = 8 // reduction
    down = cosines(few).T @ cosines(8)[:few] * reduction**-0.5
    blocks = whole[..., 0].reshape(50, 8, 40, 8).swapaxes(1, 2)
    luma = (down @ blocks @ down.T).swapaxes(1, 2).reshape(400 // reduction, 320 // reduction)
    mine = np.asarray(Image.fromarray(pixels).convert("YCbCr"), float)
    d = np.abs(mine[..., 0] - luma.clip(0, 255))
    assert d.mean() < 0.6 and np.quantile(d, 0.999) <= 5
    means = whole[..., 1:].reshape(400 // reduction, reduction, 320 // reduction, reduction, 2).mean(axis=(1, 3))
    assert np.abs(mine[..., 1:] - means).mean() < (4 if subsampling == 1 else 1.5)  # 4:2:2: from half as many


def test_what_is_reduced_and_by_how_much(photos):
    image = Image.open(photos["obama_portrait_2012"])

    def reduction(size, at_least, kind="JPEG", **options):
        data = encode(image.resize(size), kind, **options)
        pixels, by = _core.decode_reduced(data, 10**6, at_least)
        assert pixels.shape == (size[1] // by, size[0] // by, 3)
        if by == 1:
            np.testing.assert_array_equal(pixels, _core.decode(data, 10**6))
        return by

    assert [reduction((320, 480), n) for n in (481, 480, 241, 240, 120, 60, 1, 0, -1)] == [1, 1, 1, 2, 4, 8, 8, 8, 8]
    assert [reduction(size, 1) for size in ((320, 481), (322, 480), (316, 480))] == [1, 2, 4]  # whole pixels
    assert [reduction((320, 480), 1, kind) for kind in ("PNG", "BMP", "PPM")] == [1, 1, 1]
    assert reduction((320, 480), 1, progressive=True) == 1
    turned = encode(image.resize((320, 480)), "JPEG", exif=exif(6))
    assert _core.decode_reduced(turned, 10**6, 1)[0].shape == (40, 60, 3)
    damaged = encode(image.resize((320, 480)), "JPEG")
    with pytest.raises(_core.FormatError, match="truncated"):
        _core.decode_reduced(damaged[:-200], 10**6, 1)


def test_grey_jpeg():
    data = encode(Image.fromarray(SMOOTH[..., 0]), "JPEG")
    assert difference(read_image(data), pillow(data)).max() <= 2


def test_cmyk_jpeg_has_pillows_colours():
    cmyk = Image.fromarray(SMOOTH).convert("CMYK")
    data = encode(cmyk, "JPEG", quality=95)
    d = difference(read_image(data), pillow(data))
    assert d.mean() < 1 and d.max() <= 6
    assert difference(read_image(data), SMOOTH).mean() < 6  # and is not inverted


def test_alpha_is_composed_over_white():
    rgba = np.dstack([NOISE, RNG.integers(0, 256, NOISE.shape[:2], np.uint8)])
    for image in (Image.fromarray(rgba), Image.fromarray(rgba).convert("LA")):
        data = encode(image, "PNG")
        assert difference(read_image(data), on_white(image)).max() <= 1
        assert difference(read_image(image), on_white(image)).max() <= 1
    assert difference(read_image(rgba), on_white(Image.fromarray(rgba))).max() <= 1
    grey_alpha = rgba[..., 2:]
    assert difference(read_image(grey_alpha), on_white(Image.fromarray(grey_alpha, "LA"))).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(kind):
    image = Image.fromarray(NOISE).quantize(16)
    data = encode(image, kind, transparency=3)
    opened = Image.open(io.BytesIO(data))
    assert difference(read_image(data), on_white(opened)).max() == 0
    assert (read_image(data)[np.asarray(image) == 3] == 255).all()


def test_a_transparent_colour_is_white():
    image = NOISE.copy()
    image[3:9, 4:11] = (10, 20, 30)
    data = encode(Image.fromarray(image), "PNG", transparency=(10, 20, 30))
    image[3:9, 4:11] = 255
    np.testing.assert_array_equal(read_image(data), image)


def test_bmp_with_alpha_mask_and_without():
    rgba = np.dstack([NOISE, RNG.integers(0, 256, NOISE.shape[:2], np.uint8)])
    data = encode(Image.fromarray(rgba), "BMP")  # 32 bits, no bit fields: the fourth byte means nothing
    np.testing.assert_array_equal(read_image(data), NOISE)


def sixteen_bit_png(samples: np.ndarray, colour_type: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = samples.shape[:2]
    rows = samples.astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_sixteen_bits_become_eight():
    deep = RNG.integers(0, 65536, (*NOISE.shape[:2], 3), np.uint16)
    np.testing.assert_array_equal(read_image(sixteen_bit_png(deep, 2)), (deep >> 8).astype(np.uint8))
    np.testing.assert_array_equal(read_image(deep), (deep >> 8).astype(np.uint8))
    grey = deep[..., 0]
    expected = (grey >> 8).astype(np.uint8)[..., None].repeat(3, 2)
    data = sixteen_bit_png(grey, 0)
    for source in (data, grey, grey.astype(">u2"), Image.open(io.BytesIO(data))):
        np.testing.assert_array_equal(read_image(source), expected)


def test_the_first_frame_of_an_animation():
    frames = [Image.fromarray(NOISE[..., c]) for c in range(3)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(data), NOISE[..., :1].repeat(3, 2))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"P1\n# a comment\n3 2\n1 0 1\n011", [[0, 255, 0], [255, 0, 0]]),
        (b"P2 3 1 9\n0 9 4", [[0, 255, 113]]),
        (b"P3 1 2 255 1 2 3\n250 251 252", [[[1, 2, 3]], [[250, 251, 252]]]),
        (b"P4 10 1\n\xa0\x40", [[0, 255, 0, 255, 255, 255, 255, 255, 255, 0]]),
        (b"P5 2 1 100\n\x32\x64", [[128, 255]]),
        (b"P5 2 1 65535\n\x80\x00\xff\xff", [[128, 255]]),
        (b"P6 1 1 255\n\x01\x02\x03", [[[1, 2, 3]]]),
    ],
)
def test_netpbm(data, expected):
    expected = np.array(expected, np.uint8)
    if expected.ndim == 2:
        expected = expected[..., None].repeat(3, 2)
    np.testing.assert_array_equal(read_image(data), expected)


# -------------------------------------------------------------- orientation


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """What a viewer shows, after the table in Exif 2.32, 4.6.4 (row 0 and column 0 in the picture)."""
    return {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.transpose(1, 0, 2),
        6: np.rot90(image, -1),
        7: image[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(image),
    }[orientation]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation, order):
    jpeg = encode(Image.fromarray(SMOOTH), "JPEG", quality=95, exif=exif(orientation, order))
    expected = turned(read_image(encode(Image.fromarray(SMOOTH), "JPEG", quality=95)), orientation)
    np.testing.assert_array_equal(read_image(jpeg), expected)
    assert difference(read_image(Image.open(io.BytesIO(jpeg))), expected).max() <= 6
    png = encode(Image.fromarray(SMOOTH), "PNG", exif=exif(orientation, order)[6:])
    np.testing.assert_array_equal(read_image(png), turned(SMOOTH, orientation))
    np.testing.assert_array_equal(read_image(Image.open(io.BytesIO(png))), turned(SMOOTH, orientation))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_nonsense_orientation_means_upright(value):
    png = encode(Image.fromarray(SMOOTH), "PNG", exif=exif(value)[6:])
    np.testing.assert_array_equal(read_image(png), SMOOTH)


@pytest.mark.parametrize("length", range(0, 46, 3))
def test_short_exif_blocks_are_harmless(length):
    jpeg = encode(Image.fromarray(SMOOTH), "JPEG", exif=(exif(6) + b"Exif")[: max(length, 6)])
    assert read_image(jpeg).shape in ((48, 64, 3), (64, 48, 3))


# ------------------------------------------------------------------- inputs


@pytest.mark.parametrize("name", ["plain.png", "ümläut ñ.png", "写真 📷.png", "no_suffix", "liar.jpg"])
def test_paths(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(encode(Image.fromarray(NOISE), "PNG"))
    for source in (path, str(path)):
        np.testing.assert_array_equal(read_image(source), NOISE)
    assert describe(path) == str(path)


def test_bytes_and_files(tmp_path):
    data = encode(Image.fromarray(NOISE), "PNG")
    for source in (data, bytearray(data), memoryview(data), io.BytesIO(data), Image.fromarray(NOISE)):
        np.testing.assert_array_equal(read_image(source), NOISE)
    (tmp_path / "x.png").write_bytes(b"skipped" + data)
    with open(tmp_path / "x.png", "rb") as file:
        file.seek(7)
        np.testing.assert_array_equal(read_image(file), NOISE)


def test_arrays():
    assert read_image(NOISE) is NOISE
    np.testing.assert_array_equal(read_image(NOISE, bgr=True), NOISE[..., ::-1])
    np.testing.assert_array_equal(read_image(NOISE[::2, ::-1]), NOISE[::2, ::-1])
    assert read_image(NOISE[::2, ::-1]).flags.c_contiguous
    for grey in (NOISE[..., 0], NOISE[..., :1]):
        np.testing.assert_array_equal(read_image(grey), NOISE[..., :1].repeat(3, 2))
    opaque = np.dstack([NOISE, np.full(NOISE.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(read_image(opaque, bgr=True), NOISE[..., ::-1])
    fortran = np.asfortranarray(NOISE)
    np.testing.assert_array_equal(read_image(fortran), NOISE)


def test_bgr_leaves_files_alone():
    data = encode(Image.fromarray(NOISE), "PNG")
    np.testing.assert_array_equal(read_image(data, bgr=True), NOISE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_pil_modes(mode):
    image = Image.fromarray(SMOOTH).convert(mode)
    np.testing.assert_array_equal(read_image(image), np.asarray(image.convert("RGB")))


def test_pil_is_not_imported(photos):
    code = f"import sys, xcos; xcos.read_image({str(photos['obama_portrait_2012'])!r}); print('PIL' in sys.modules)"
    root = Path(xcos.__file__).parents[1]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_many_threads_at_once(photos):
    data = photos["obama_congress_2009"].read_bytes()
    expected, results = read_image(data), []
    threads = [threading.Thread(target=lambda: results.append(read_image(data))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(np.array_equal(r, expected) for r in results)


# ------------------------------------------------------------------- kernels


def test_normalize():
    stack = RNG.integers(0, 256, (2, 5, 7, 3), np.uint8)
    mean, scale = np.array([127, 120, 110.5], np.float32), np.array([1 / 128, 1, 0.5], np.float32)
    expected = ((stack.astype(np.float32) - mean) * scale).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(_core.normalize(stack, mean, scale), expected)
    expected = ((stack[..., ::-1].astype(np.float32) - mean) * scale).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(_core.normalize(stack, mean, scale, True), expected)
    np.testing.assert_array_equal(_core.normalize(stack[:, ::2], mean, scale, reverse=True), expected[:, :, ::2])
    with pytest.raises(ValueError, match="3 values"):
        _core.normalize(stack, [1.0], scale)
    with pytest.raises(ValueError, match="uint8"):
        _core.normalize(stack.astype(np.float32), mean, scale)


@pytest.mark.parametrize("size", [(20, 31), (37, 53), (90, 17), (1, 1), (150, 200)])
def test_resize_is_pillows_bilinear(size):
    ours = _core.resize(NOISE, *size)
    theirs = np.asarray(Image.fromarray(NOISE).resize(size[::-1], Image.Resampling.BILINEAR))
    assert difference(ours, theirs).max() <= 1


def test_resize_refuses_nonsense():
    with pytest.raises(ValueError, match="at least 1"):
        _core.resize(NOISE, 0, 5)
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        _core.resize(NOISE[..., 0], 5, 5)
