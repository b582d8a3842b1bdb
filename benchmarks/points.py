"""Which five points make the best crops: YuNet's own, or the 68-point network's, and after how many looks.

    python benchmarks/points.py ../shared

Photographs: LFW (70 people x 2) and CelebA (150, of whom 28 pairs show one person), from SHARED/data, also
turned by 20 degrees to either side. Every pair of two photographs is compared with the plain cosine of the
default model's embeddings. Printed for each way to find the points: the mean cosine of pairs of one
person and of two, their distance in standard deviations (d'), and the accuracy at the best threshold,
both kinds of pairs weighing the same.
"""

import io
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import xcos
from xcos import _core
from xcos.faces import detection as faces
from xcos.faces.looks import find

Image = NDArray[np.uint8]

WAYS: dict[str, tuple[float, ...]] = {
    "YuNet's own": (),
    "68 points, one look x 1.0": (1.0,),
    "68 points, one look x 1.2": (1.2,),
    "68 points, one look x 1.4": (1.4,),
    "68 points, two looks x 1.2, 1.2": (1.2, 1.2),
    "68 points, two looks x 1.2, 1.3": (1.2, 1.3),
    "68 points, two looks x 1.2, 1.4": (1.2, 1.4),
    "68 points, three looks x 1.2, 1.3, 1.3": (1.2, 1.3, 1.3),
}


def members(tar: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(tar) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                yield member.name, file.read()


def photographs(data: Path) -> tuple[list[Image], NDArray[np.str_]]:
    """Photographs and who is on them."""
    with tarfile.open(data / "celeba_crops.tar") as archive:
        person = {Path(name).stem: Path(name).parent.name for name in archive.getnames()}
    images, who = [], []
    for name, content in members(data / "lfw_photos.tar"):
        images.append(xcos.read_image(io.BytesIO(content)))
        who.append(Path(name).parent.name)
    for name, content in members(data / "celeba_photos.tar"):
        images.append(xcos.read_image(io.BytesIO(content)))
        who.append(person[Path(name).stem])
    return images, np.array(who)


def turn(image: Image, degrees: float) -> Image:
    """The picture turned about its middle, in a frame that holds all of it."""
    height, width = image.shape[:2]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    back = np.array([[cos, sin], [-sin, cos]])
    w, h = np.ceil(np.abs(back).T @ [width, height]).astype(int)
    shift = np.array([width - 1, height - 1]) / 2 - back @ [(w - 1) / 2, (h - 1) / 2]
    return _core.warp(image, np.column_stack([back, shift]), int(h), int(w), (128, 128, 128))


def summary(embeddings: NDArray[np.float32], who: NDArray[np.str_]) -> str:
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    pairs = np.triu_indices(len(unit), 1)
    cosine, same = (unit @ unit.T)[pairs], (who[:, None] == who)[pairs]
    one, two = cosine[same], np.sort(cosine[~same])
    distance = (one.mean() - two.mean()) / np.sqrt((one.var() + two.var()) / 2)
    right = [((one > t).mean() + np.searchsorted(two, t, "right") / len(two)) / 2 for t in cosine[cosine > 0]]
    return f"{one.mean():8.4f} {two.mean():8.4f} {distance:7.3f} {100 * max(right):8.2f} %"


def table(images: list[Image], who: NDArray[np.str_], embed: Callable[[list[Image]], NDArray[np.float32]]) -> None:
    found = []
    for image in images:
        rows = find(image, 0.5, 0.3, 1280, True, None)
        middle = np.array(image.shape[1::-1]) / 2
        away = np.linalg.norm((rows[:, :2] + rows[:, 2:4]) / 2 - middle, axis=1)
        found.append(rows[away.argsort()[:1]])
    seen = [i for i, rows in enumerate(found) if len(rows)]
    print(f"faces in {len(seen)} of {len(images)} photographs\n")
    print(f"{'points':40s} {'one':>7s} {'two':>8s} {'dprime':>7s} {'accuracy':>10s}")
    for name, looks in WAYS.items():
        crops = []
        for i in seen:
            five = faces._five_points(images[i], found[i], None, looks)
            crops.append(xcos.align(images[i], five[0]))
        print(f"{name:40s} {summary(embed(crops), who[seen])}", flush=True)
    print()


def main() -> None:
    images, who = photographs(Path(sys.argv[1]) / "data")
    model = xcos.load()

    def embed(crops: list[Image]) -> NDArray[np.float32]:
        return model.features(crops, aligned=True).embedding

    for title, degrees in (("As they are", 0.0), ("Turned by 20 degrees", 20.0)):
        turned = [turn(x, degrees if i % 2 else -degrees) for i, x in enumerate(images)] if degrees else images
        print(f"{title}: ", end="")
        table(turned, who, embed)


if __name__ == "__main__":
    main()
