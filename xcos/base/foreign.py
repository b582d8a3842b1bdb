"""What a file is that was meant to be a network, a benchmark or an archive and is none: half a download, a page, the
format of another program."""

from __future__ import annotations

import os
import zipfile

_LFS = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<script", b"<body", b"<title")
_BEGINNINGS = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes"), (b"\x80\x02", "a pickle, as torch.save wrote once"),
    (b"\x80\x04", "a pickle"), (b"\x1f\x8b", "gzip data: unpack it first"), (b"\xfd7zXZ", "xz data: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"), (b"Rar!", "a rar archive: unpack it first"),
    (b"\x89HDF", "HDF5, as Keras writes"), (b"GGUF", "a GGUF file"), (b"7767517", "the param file of ncnn"),
    (b"\xff\xd8\xff", "a JPEG picture"), (b"\x89PNG", "a PNG picture"), (b"%PDF", "a PDF document"),
    (b"\x93NUMPY", "a NumPy file"),
)  # fmt: skip
_FIELDS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)  # of an ONNX message after the first, ir_version


def what_it_is(path: str | os.PathLike[str], wanted: str = "a network") -> str:
    """What a file that cannot be read as `wanted` looks like, as a phrase; empty where its beginning tells nothing.

    Raises OSError where it cannot be opened.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        return "the file is empty"
    if not head.strip(b"\0"):
        return f"{size} bytes that begin with nothing but zeros: a download that broke off"
    if head.startswith(_LFS):
        return "a Git LFS pointer, not the file itself: `git lfs pull` fetches it"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:9].lower().startswith(_PAGES):
        return f"an HTML page, not {wanted}: the download gave a page of the site"
    if head.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path):
        return f"the beginning of a zip archive, as torch.save writes: cut short after {size:,} bytes"
    for beginning, what in _BEGINNINGS:
        if head.startswith(beginning):
            return what
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000:
        return "a safetensors file"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite file"
    if is_onnx(head):
        return "an ONNX graph"
    if all(c >= 32 or c in b"\t\r\n" for c in head):
        line = text.splitlines()[0][:60].decode("utf-8", "replace") if text.splitlines() else ""
        return f"text, not {wanted}: {line!r}"
    return ""


def complaint(path: object, error: object, wanted: str, readable: tuple[str, ...]) -> str:
    """What to say of a file that could not be read: what it is, unless it is of the kinds that are `readable`, whose
    own errors say more."""
    if not isinstance(path, (str, os.PathLike)):
        return str(error)
    what = what_it_is(path)
    said = str(error) if not what or what.startswith(readable) else f"{what}; expected {wanted}"
    return f"{os.fspath(path)}: {said}"


def is_onnx(head: bytes) -> bool:
    """Does it begin as an ONNX file: the version of the format, then a text (producer) or the graph?"""
    return len(head) > 3 and head[0] == 0x08 and 1 <= head[1] <= 20 and head[2] in _FIELDS
