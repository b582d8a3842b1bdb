"""Faces in pictures: reading, finding, aligning, cutting out, judging."""

from .detection import MAX_SIDE, SIDE, TEMPLATE, TURNS, Cut, Face, How, align, choose, crop, cut, detect

__all__ = ["MAX_SIDE", "SIDE", "TEMPLATE", "TURNS", "Cut", "Face", "How", "align", "choose", "crop", "cut", "detect"]
