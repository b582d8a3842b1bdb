"""What people bring as a picture: orientation wherever it is written, formats, damage, and every kind of input. The
oracle is Pillow."""

import base64
import importlib.util
import io
import logging
import mmap
import struct
import zlib

import numpy as np
import pytest
from pictures import NOISE, SMOOTH, encode, exif
from PIL import Image, ImageOps, PngImagePlugin, features

from xcos.errors import ImageError
from xcos.faces.image import as_list, read_image

XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {} >{}</rdf:Description></rdf:RDF></x:xmpmeta>'
ATTRIBUTE, ELEMENT = 'tiff:Orientation="{}"', "<tiff:Orientation>{}</tiff:Orientation>"


def upright(data: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def tiff(orientation: int, kind: int, order: str) -> bytes:
    """A TIFF block whose orientation is of the integer type `kind`."""
    value = struct.pack(order + {3: "H2x", 4: "I", 6: "b3x", 8: "h2x", 9: "i"}[kind], orientation)
    head = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, 1)
    return head + struct.pack(f"{order}HHI", 0x0112, kind, 1) + value + bytes(4)


def png_with(*chunks: tuple[bytes, bytes]) -> bytes:
    data = encode(Image.fromarray(SMOOTH), "PNG")

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return data[:33] + b"".join(chunk(*one) for one in chunks) + data[33:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_wherever_it_is_written(orientation):
    attribute = XMP.format(ATTRIBUTE.format(orientation), "").encode()
    element = XMP.format("", ELEMENT.format(orientation)).encode()
    block = tiff(orientation, 3, ">")
    profile = f"\nexif\n{len(block) + 6:8}\n{(b'Exif' + bytes(2) + block).hex()}\n".encode()
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", element.decode(), zip=True)
    files = [
        *[encode(Image.fromarray(SMOOTH), "JPEG", xmp=xmp, quality=95) for xmp in (attribute, element)],
        *[encode(Image.fromarray(SMOOTH), "JPEG", exif=b"Exif\0\0" + tiff(orientation, kind, order), quality=95)
          for kind in (3, 4, 6, 8, 9) for order in "<>"],
        png_with((b"eXIf", block)),
        png_with((b"eXIf", b"Exif\0\0" + block)),
        png_with((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + attribute)),
        encode(Image.fromarray(SMOOTH), "PNG", pnginfo=text),
        png_with((b"tEXt", b"Raw profile type exif\0" + profile)),
        png_with((b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile))),
        # Exif has the word where both speak.
        encode(Image.fromarray(SMOOTH), "JPEG", exif=exif(orientation), xmp=XMP.format(ELEMENT.format(3), "").encode()),
    ]  # fmt: skip
    for data in files:
        expected = upright(data)
        assert expected.shape == ((64, 48, 3) if orientation >= 5 else (48, 64, 3))
        for source in (data, Image.open(io.BytesIO(data))):
            got = read_image(source)
            assert got.shape == expected.shape
            assert np.abs(got.astype(int) - expected).max() <= 4


def test_orientation_in_a_bomb_or_in_damage_is_none():
    bomb = zlib.compress(bytes(100_000_000), 9)
    for body in (b"Raw profile type exif\0\0" + bomb, b"Raw profile type exif\0\0nonsense", b"Raw profile type exif\0"):
        np.testing.assert_array_equal(read_image(png_with((b"zTXt", body))), SMOOTH)
    name = b"tiff:Orientation"
    for text in (name, name + b"=", name + b" 6", name + b'="9"', b"<" + name + b"/>6"):
        np.testing.assert_array_equal(read_image(png_with((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text))), SMOOTH)


FORMATS = [
    ("WEBP", {"lossless": True}), ("WEBP", {"quality": 80}), ("AVIF", {}), ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}), ("JPEG2000", {}),
    ("ICO", {"sizes": [(64, 48)]}), ("ICNS", {}), ("HEIF", {"quality": 90}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), FORMATS)
def test_formats_that_pillow_reads(kind, options, tmp_path):
    if kind in ("WEBP", "AVIF") and not features.check(kind.lower()):
        pytest.skip(f"this Pillow has no {kind}")
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    data = encode(Image.fromarray(SMOOTH), kind, **options)
    path = tmp_path / "a.jpg"  # the content decides, not the name
    path.write_bytes(data)
    for source in (data, path, Image.open(path)):
        np.testing.assert_array_equal(read_image(source), upright(data))
    with pytest.raises(ImageError, match=r"a\.jpg: .*more than the limit of 100 \(max_pixels\)"):
        read_image(path, max_pixels=100)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_other_formats_stand_upright(kind, orientation):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    elif not features.check({"TIFF": "libtiff"}.get(kind, kind.lower())):
        pytest.skip(f"this Pillow has no {kind}")
    tags = Image.Exif()
    tags[0x0112] = orientation
    block = tags if kind == "TIFF" else b"Exif\0\0" + tiff(orientation, 3, "<")
    data = encode(Image.fromarray(SMOOTH), kind, exif=block)
    assert read_image(data).shape == ((SMOOTH.shape[0], SMOOTH.shape[1], 3) if orientation < 5
                                      else (SMOOTH.shape[1], SMOOTH.shape[0], 3))  # fmt: skip
    np.testing.assert_array_equal(read_image(data), upright(data))


def test_pillows_limit_is_not_ours(monkeypatch):
    """Pillow's own limit of pixels is the process's; what we refuse is told by max_pixels."""
    data = [encode(Image.fromarray(SMOOTH), "WEBP", lossless=True), encode(Image.fromarray(SMOOTH), "TIFF")]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for one in data:
        np.testing.assert_array_equal(read_image(one), SMOOTH)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_what_neither_reads_is_named():
    heic = "HEIC" if importlib.util.find_spec("pillow_heif") else "HEIC.*pillow-heif"  # what to install, if it is not
    for data, said in ((b"\xff\x0a" + bytes(40), "JPEG XL"), (b"\0\0\0\x18ftypheic" + bytes(40), heic),
                       (b"%PDF-1.4" + bytes(40), "PDF"), (b"<html>" + b" " * 40, "HTML")):  # fmt: skip
        with pytest.raises(ImageError, match=said):
            read_image(data)


def gif(changes) -> bytes:
    data = bytearray(encode(Image.fromarray(SMOOTH).quantize(8), "GIF"))
    changes(data)
    return bytes(data)


def larger_frame(data: bytearray) -> None:
    data[6:10] = struct.pack("<HH", 40, 30)


def no_trailer(data: bytearray) -> None:
    del data[-1]


def no_adobe() -> bytes:
    data = encode(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG", quality=95)
    at = data.index(b"\xff\xee\x00\x0eAdobe")
    return data[:at] + data[at + 16 :]


@pytest.mark.parametrize(("data", "damaged"), [
    (gif(no_trailer), True), (gif(larger_frame), True), (encode(Image.fromarray(SMOOTH), "PNG")[:-12], True),
    (no_adobe(), False),
], ids=["GIF without trailer", "GIF with a frame larger than its canvas", "PNG without IEND", "CMYK"])  # fmt: skip
def test_damage_that_leaves_a_picture(data, damaged, caplog):
    got = read_image(data)
    assert np.abs(got.astype(int) - upright(data)).max() <= 1
    assert ("<bytes>" in caplog.text) is damaged


def test_bytes_in_arrays_and_texts(tmp_path):
    data = encode(Image.fromarray(SMOOTH), "PNG")
    flat = np.frombuffer(data, np.uint8)
    text = base64.b64encode(data).decode()
    path = tmp_path / "a picture.png"
    path.write_bytes(data)
    sources = [
        flat, flat[:, None], flat[None], flat.view(np.int8), np.array(data, object), np.void(data), memoryview(data),
        memoryview(bytearray(data)), np.array(str(path)), path.as_uri(), f"data:image/png;base64,{text}", text,
        text.encode(), base64.urlsafe_b64encode(data).decode().rstrip("="), base64.encodebytes(data).decode(),
        io.BytesIO(data), io.BytesIO(text.encode()), path, str(text.encode()), f'"{text}"',
    ]  # fmt: skip
    for source in sources:
        np.testing.assert_array_equal(read_image(source), SMOOTH)
    np.testing.assert_array_equal(read_image(np.full((5, 1), 7, np.uint8)), np.full((5, 1, 3), 7))  # a picture, still


def test_a_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.png").write_bytes(encode(Image.fromarray(SMOOTH), "PNG"))
    np.testing.assert_array_equal(read_image("~/a.png"), SMOOTH)


def test_a_file_object_twice():
    file = io.BytesIO(b"junk" + encode(Image.fromarray(SMOOTH), "PNG"))
    file.seek(4)
    for _ in range(2):
        np.testing.assert_array_equal(read_image(file), SMOOTH)
    file.seek(0, 2)
    with pytest.raises(ImageError, match=r"seek\(0\)"):
        read_image(file)


def test_mapped_files_twice(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode(Image.fromarray(SMOOTH), "PNG"))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for _ in range(2):
            np.testing.assert_array_equal(read_image(mapped), SMOOTH)


def test_what_cannot_be_read_says_what_to_do(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(Image.fromarray(SMOOTH), "JPEG"))
    long = "A" * 170_000
    with open(path, encoding="latin-1") as text:
        for source, said in (
            (text, "text mode"), (np.arange(100, dtype=np.uint8), "encoded"), ("data:image/png;base64", "damaged"),
            ("data:image/png;base64,%%%", "damaged"), ("https://host/a.jpg", "download"), ("file://h/a.jpg", "machine"),
            (np.array([str(path)] * 2, object), "one by one"),
            (np.array([[str(path)]] * 2), "texts.*one by one"), (torch.zeros(3, 4, 4, requires_grad=True), "float32"),
        ):  # fmt: skip
            with pytest.raises(ImageError, match=said) as caught:
                read_image(source)
            assert len(str(caught.value)) < 300
    with pytest.raises(ImageError, match=r"170000 characters>: is no path, nor") as caught:
        read_image(long)
    assert len(str(caught.value)) < 300


def test_tensors_and_columns_of_tables(tmp_path):
    torch, pandas = pytest.importorskip("torch"), pytest.importorskip("pandas")
    picture = torch.from_numpy(SMOOTH.copy())
    np.testing.assert_array_equal(read_image(picture), SMOOTH)
    many, single = as_list(torch.stack([picture, picture]))
    assert not single and len(many) == 2
    np.testing.assert_array_equal(read_image(many[1]), SMOOTH)
    names = ["a", "b"]
    for column in (pandas.Series(names), np.array(names), np.array(names, object), pandas.Index(names)):
        assert as_list(column) == (names, False)
    for one in (SMOOTH, np.zeros(9, np.uint8), picture, "a", b"a", Image.fromarray(SMOOTH), io.BytesIO()):
        assert as_list(one) == ([one], True)


@pytest.mark.parametrize("mode", ["L", "LA", "La", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "P", "PA", "1", "I;16"])
def test_modes_of_pillow(mode):
    image = Image.fromarray(np.dstack([NOISE, NOISE[..., :1]]))
    if mode == "I;16":
        image = Image.fromarray(NOISE[..., 0].astype(np.uint16) << 8)
    elif mode in ("La", "PA"):
        image = image.convert("LA").convert(mode)
    elif mode in ("CMYK", "YCbCr", "HSV", "P", "1"):
        image = image.convert("RGB").convert(mode)
    else:
        image = image.convert(mode)
    assert image.mode == mode
    plain = {"La": "LA", "RGBa": "RGBA"}.get(mode)
    rgba = (image.convert(plain) if plain else image).convert("RGBA") if mode != "I;16" else None
    if rgba is None:
        expected = np.repeat(NOISE[..., :1], 3, axis=2)
    else:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(rgba)
        expected = np.asarray(white.convert("RGB"))
    assert np.abs(read_image(image).astype(int) - expected).max() <= 1


def test_transparency_of_a_palette():
    image = Image.fromarray(SMOOTH).quantize(16)
    for clear in (3, bytes(range(0, 256, 16))):
        data = encode(image, "PNG", transparency=clear)
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(Image.open(io.BytesIO(data)).convert("RGBA"))
        for source in (data, Image.open(io.BytesIO(data))):
            assert np.abs(read_image(source).astype(int) - np.asarray(white.convert("RGB"))).max() <= 1


def test_pillows_own_messages_stay_out_of_the_way(caplog):
    with caplog.at_level(logging.WARNING):
        read_image(encode(Image.fromarray(SMOOTH), "WEBP", lossless=True))
    assert caplog.text == ""
