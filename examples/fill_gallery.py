"""Enrols a folder person/photograph in a gallery, its photographs looked at by all workers of a Ray cluster.

python examples/fill_gallery.py PHOTOS GALLERY [--workers 8]      (needs pip install 'xcos[gallery,ray]')
"""

import argparse
from pathlib import Path

import numpy as np
import ray

import xcos
from xcos.ray import FeatureExtractor


def fill(gallery: xcos.Gallery, photos: str, workers: int) -> list[str]:
    """Enrols each photograph under the name of its folder; gives the paths of those that could not be used."""
    files = ray.data.read_binary_files(photos, include_paths=True)
    pool = ray.data.ActorPoolStrategy(size=workers)
    seen = files.map_batches(FeatureExtractor, batch_size=64, compute=pool, fn_constructor_kwargs={"threads": 1})
    failed: list[str] = []
    for batch in seen.iter_batches(batch_size=4096):
        good = np.asarray(batch["error"]) == ""
        paths = np.asarray(batch["path"])
        failed += paths[~good].tolist()
        if good.any():  # one writer, here; the workers only look
            features = xcos.Features(batch["grid"][good], batch["embedding"][good])
            found = paths[good].tolist()
            gallery.add_features([Path(path).parent.name for path in found], features, photos=found)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description="Enrol a folder person/photograph by a Ray cluster.")
    parser.add_argument("photos")
    parser.add_argument("gallery", help="a folder, made where it is missing")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    gallery = xcos.Gallery(arguments.gallery)
    failed = fill(gallery, arguments.photos, arguments.workers)
    print(f"{len(gallery)} faces of {len(gallery.names)} people; {len(failed)} photographs without one: {failed[:5]}")


if __name__ == "__main__":
    main()
