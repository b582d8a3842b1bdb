"""Photographs turned by quarters and by any angle: are they still the person that they are upright?

    python benchmarks/turned.py celeba_photos.tar lfw_photos.tar [--count 40] [--angles 45 60]

Each photograph is compared with itself, turned without a word in Exif. Prints one table: how many are the same person,
no face, or different people, the lowest score, and how long the crop took beside the upright one's.
"""

import argparse
import time

import numpy as np
from PIL import Image

import xcos
from xcos import faces
from xcos.faces.folders import collection


def turned(pixels: np.ndarray, angle: int) -> np.ndarray:
    if angle % 90 == 0:
        return np.ascontiguousarray(np.rot90(pixels, -angle // 90))
    return np.asarray(Image.fromarray(pixels).rotate(-angle, Image.Resampling.BICUBIC, expand=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", help="folders or archives of photographs")
    parser.add_argument("--count", type=int, default=0, help="so many of each (default: all)")
    parser.add_argument("--angles", type=int, nargs="*", default=[], help="more angles, degrees clockwise")
    options = parser.parse_args()
    model = xcos.load()
    columns = ("photographs", "turned by", "same person", "different", "no face", "lowest score", "ms, beside upright")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for source in options.photos:
        names, read = collection(source)
        chosen = [xcos.read_image(read(i)) for i in range(len(names))][: options.count or None]
        begin = time.perf_counter()
        upright = [faces.cut(pixels) for pixels in chosen]
        base = (time.perf_counter() - begin) / len(chosen)
        first = model.features(np.stack([cut.crop for cut in upright]), aligned=True)
        for angle in (0, 90, 180, 270, *options.angles):
            pictures = [turned(pixels, angle) for pixels in chosen]
            begin = time.perf_counter()
            found = []
            for pixels in pictures:
                try:
                    found.append(faces.cut(pixels))
                except xcos.NoFaceError:
                    found.append(None)
            took = (time.perf_counter() - begin) / len(chosen)
            have = [i for i, cut in enumerate(found) if cut]
            second = model.features(np.stack([found[i].crop for i in have]), aligned=True)
            compared = model.compare(first[have], second, maps=False)
            same = int(compared.same.sum())
            print(f"| {source.split('/')[-1]}, {len(chosen)} | {angle}° | {same} | {len(have) - same} "
                  f"| {len(chosen) - len(have)} | {compared.score.min():.3f} | {1000 * took:.1f}, {1000 * base:.1f} |",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
