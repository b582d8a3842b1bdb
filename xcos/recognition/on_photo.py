"""From the aligned crop back to the photograph that it was cut from: grid, maps and the photograph itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.values import ByValue
from ..faces.detection import SIDE, Face, landmarks
from ..faces.image import ImageLike, describe, read_image
from ..faces.parts import outlines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..faces.quality import Look

Doubles = NDArray[np.float64]
WHICH = ("first", "second")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OnPhoto(ByValue):
    """An explanation in the coordinates of one of its photographs, as ``Explanation.on_photo`` gives it.

    All coordinates are x and y in pixels of the upright photograph, as ``xcos.read_image`` gives it (orientation of
    Exif applied), pixel centres at integers. They may reach beyond its borders, as the crop may.

    Attributes
    ----------
    face : Face
        Where the face is: box, points, and the matrix that leads here from the crop.
    shape : (int, int)
        Height and width of the photograph.
    maps : dict of (H, W) ndarray of float32
        The explanation's maps, a number for each cell of the crop: cosine, attention, contribution, of a calibrated
        model evidence and deviation.
    name : str
        What the photograph is called.
    crop : (112, 112, 3) ndarray of uint8
        The face aligned, RGB.
    image : image or None
        The photograph or its path; None: not kept.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> there = xcos.explain(a, b).on_photo(1)
    >>> there.grid.shape, there.map("cosine").shape == xcos.read_image(a).shape[:2]
    ((7, 7, 4, 2), True)
    """

    face: Face
    shape: tuple[int, int]
    maps: Mapping[str, NDArray[np.float32]]
    name: str
    crop: NDArray[np.uint8]
    image: ImageLike | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        looks: tuple[Look, Look] | None,
        side: int,
        maps: Mapping[str, NDArray[np.float32]],
        name: str,
        crop: NDArray[np.uint8],
        image: ImageLike | None,
    ) -> OnPhoto:
        """That of one side of a pair.

        Parameters
        ----------
        looks : (Look, Look) or None
            Of the two photographs.
        side : {1, 2}
            Which of them.
        maps : dict of (H, W) ndarray of float32
            The maps.
        name : str
            What the photograph is called.
        crop : (112, 112, 3) ndarray of uint8
            The face aligned.
        image : image or None
            The photograph; None: that of the path in `looks`.

        Returns
        -------
        OnPhoto
            The maps in the photograph.

        Raises
        ------
        ValueError
            Another side, or there is no photograph.
        """
        if looks is None:
            raise ValueError("on_photo: explained from features, which hold no photograph; expected photographs")
        look = looks[side - 1]
        if look.face is None:
            which = WHICH[side - 1]
            raise ValueError(f"on_photo: the {which} picture was given as an aligned crop; expected a photograph")
        return cls(look.face, look.shape, maps, name, crop, look.path if image is None else image)

    def __repr__(self) -> str:
        height, width = self.shape
        return f"OnPhoto({self.name!r}, {width} x {height} pixels, {self.face!r})"

    @property
    def grid(self) -> Doubles:
        """(H, W, 4, 2) float64: the corners of each cell, clockwise from the upper left one of the upright face."""
        rows, columns = next(iter(self.maps.values())).shape
        y, x = np.meshgrid(*(np.arange(n + 1) * SIDE / n - 0.5 for n in (rows, columns)), indexing="ij")
        nodes = self.place(np.stack([x, y], axis=-1))
        return np.stack([nodes[:-1, :-1], nodes[:-1, 1:], nodes[1:, 1:], nodes[1:, :-1]], axis=2)

    @property
    def outline(self) -> Doubles:
        """(4, 2) float64: the corners of the crop, in the same order."""
        end = SIDE - 0.5
        return self.place(np.array([[-0.5, -0.5], [end, -0.5], [end, end], [-0.5, end]]))

    @property
    def parts(self) -> dict[str, list[Doubles]]:
        """The outlines of the parts of the face by name, polygons (n, 2) float64; two for eyes and brows.

        As ``xcos.faces.parts`` draws them by the 68 points of the crop, in an order in which later ones lie over
        earlier ones; background is what is left.
        """
        drawn = outlines(landmarks(self.crop))
        return {name: [self.place(polygon) for polygon in polygons] for name, polygons in drawn.items()}

    def place(self, points: Any) -> Doubles:
        """Where points of the crop lie in the photograph.

        Parameters
        ----------
        points : (..., 2) array_like
            x and y in pixels of the crop of 112 x 112, pixel centres at integers.

        Returns
        -------
        (..., 2) ndarray of float64
            The same in pixels of the photograph.
        """
        matrix = self.face.matrix
        placed: Doubles = np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
        return placed

    def map(self, name: str = "cosine") -> NDArray[np.float32]:
        """A map in the frame of the photograph: each pixel has the number of the cell that it lies in.

        Parameters
        ----------
        name : {"cosine", "attention", "contribution", "evidence", "deviation"}
            Which map.

        Returns
        -------
        (height, width) ndarray of float32
            NaN outside of the crop. Numbers of cells are repeated, not shared out: this map's sum means nothing.

        Raises
        ------
        ValueError
            There is no such map.
        """
        values = self.values(name)
        height, width = self.shape
        mapped = np.full(self.shape, np.nan, np.float32)
        outline = self.outline
        low = np.clip(np.floor(outline.min(axis=0)), 0, (width, height)).astype(int)
        high = np.clip(np.ceil(outline.max(axis=0)) + 1, 0, (width, height)).astype(int)
        y, x = np.mgrid[low[1] : high[1], low[0] : high[0]]
        matrix = self.face.matrix
        back = np.linalg.inv(matrix[:, :2])
        in_crop = (np.stack([x, y], axis=-1) - matrix[:, 2]) @ back.T + 0.5  # edges of pixels at integers
        column, row = (np.floor(in_crop[..., k] * values.shape[1 - k] / SIDE).astype(int) for k in (0, 1))
        inside = (0 <= row) & (row < values.shape[0]) & (0 <= column) & (column < values.shape[1])
        mapped[y[inside], x[inside]] = values[row[inside], column[inside]]
        return mapped

    def values(self, name: str) -> NDArray[np.float32]:
        """A map cell by cell.

        Parameters
        ----------
        name : str
            Which map.

        Returns
        -------
        (H, W) ndarray of float32
            Its numbers.

        Raises
        ------
        ValueError
            There is no such map.
        """
        if name not in self.maps:
            raise ValueError(f"map: expected one of {', '.join(self.maps)}, got {name!r}")
        return self.maps[name]

    def pixels(self) -> NDArray[np.uint8]:
        """The photograph, read again.

        Returns
        -------
        (height, width, 3) ndarray of uint8
            RGB, upright.

        Raises
        ------
        ValueError
            It was given as bytes, pixels or an open file, which are not kept, and not again since; or it is another one
            by now: of another size, or no picture.
        OSError
            It can't be read.
        """
        if self.image is None:
            raise ValueError(f"{self.name}: was given as content, which is not kept; give the photograph to on_photo")
        pixels = read_image(self.image, max_pixels=self.shape[0] * self.shape[1])
        if pixels.shape[:2] != self.shape:
            sizes = [f"{width} x {height}" for height, width in (self.shape, pixels.shape[:2])]
            raise ValueError(f"{describe(self.image)}: expected the photograph of {sizes[0]} pixels, got {sizes[1]}")
        return pixels

    def plot(self, name: str = "cosine", ax: Axes | None = None) -> tuple[Figure, Axes]:
        """Draws a map over the photograph, as far as 0.7 sides of the crop around it. Needs matplotlib.

        Parameters
        ----------
        name : {"cosine", "attention", "contribution", "evidence", "deviation"}
            Which map: the stronger a colour covers the picture, the further the cell's number is from nothing.
        ax : Axes, optional
            Where to draw; None: a new figure.

        Returns
        -------
        (Figure, Axes)
            The figure and its axes.

        Raises
        ------
        ValueError
            There is no such map, or the photograph can't be had (see :meth:`pixels`).
        OSError
            It can't be read.
        """
        from ..drawing import plot

        return plot.on_photo(self, name, ax)
