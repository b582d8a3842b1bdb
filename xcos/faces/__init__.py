"""Faces in pictures: reading, finding, aligning, cutting out, judging."""

from .detection import SIDE, TEMPLATE, Cut, Face, How, align, choose, crop, cut, detect, landmarks
from .looks import MAX_SIDE, TURNS
from .many import crop_all, cut_each

__all__ = [
    "MAX_SIDE", "SIDE", "TEMPLATE", "TURNS", "Cut", "Face", "How", "align", "choose", "crop", "crop_all", "cut",
    "cut_each", "detect", "landmarks",
]  # fmt: skip
