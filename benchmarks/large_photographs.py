"""A photograph of 12 megapixels from its file to its embedding: xcos beside Pillow's draft mode, OpenCV's YuNet and
SFace; and what reading at reduced scale does to scores. Prints two tables.

    python benchmarks/large_photographs.py [ARCHIVE.tar ...] > benchmarks/results/large_photographs.md

The photograph is the shipped portrait, enlarged to 3,024 x 4,032 pixels, with noise as a sensor makes it, without which
its file would be a fifth as large as a camera's. All take turns in one process with one thread; processor time, of all
rounds the least. What is asked of the rivals grows from row to row:

- Pillow reduces eight times, YuNet looks at all of that: the least that is enough for a face as large as this;
- Pillow keeps what xcos keeps, YuNet looks at it made as small as xcos makes it: the same plan from their parts;
- Pillow keeps what xcos keeps, YuNet looks at all of that.

The second table compares embeddings and scores of crops from reduced and from whole pictures: of the shipped
photographs and those of archives of JPEGs named NAME_0001.jpg, each enlarged to 4,032 pixels.
"""

import argparse
import io
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import PIL
from machine import Machine
from networks import network
from PIL import Image

import xcos
from xcos.faces.detection import crop_scale, cut
from xcos.faces.looks import SMALLEST

ROOT = Path(__file__).resolve().parents[1]
NOISE, QUALITY = 6.0, 92  # levels, of Pillow: a file of 4 MB
LONGER = 4032


def encoded(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def photograph() -> bytes:
    image = Image.open(ROOT / "examples" / "obama_portrait_2012.jpg").crop((22, 0, 697, 900))
    pixels = np.asarray(image.resize((3024, LONGER), Image.Resampling.BICUBIC), np.float32)
    noise = np.random.default_rng(0).normal(0, NOISE, (LONGER, 3024, 1))
    return encoded(Image.fromarray(np.clip(pixels + noise, 0, 255).round().astype(np.uint8)), QUALITY)


def rival(path: Path, models: tuple[Path, Path]) -> Callable[[int, int], object]:
    """Reads a file with a longer side of at least so many pixels, finds its face at that many at most, embeds it."""
    detector = cv2.FaceDetectorYN.create(str(models[0]), "", (320, 320), 0.6, 0.3)
    recogniser = cv2.FaceRecognizerSF.create(str(models[1]), "")

    def run(keep: int, look: int) -> object:
        image = Image.open(path)
        scale = keep / max(image.size)
        image.draft("RGB", tuple(int(side * scale) for side in image.size))
        pixels = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR)
        small = min(1.0, look / max(pixels.shape))
        seen = pixels if small == 1 else cv2.resize(pixels, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
        detector.setInputSize(seen.shape[1::-1])
        face = detector.detect(seen)[1][0]
        face[:14] /= small
        return recogniser.feature(recogniser.alignCrop(pixels, face))

    return run


def least(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of processor time of each, of as many turns the least."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            run()  # the caches are its own then
            begin = time.process_time()
            run()
            times[name].append(1e3 * (time.process_time() - begin))
    return {name: min(taken) for name, taken in times.items()}


def photographs(archives: list[Path], most: int) -> Iterator[tuple[str, bytes]]:
    """Who it shows, and the file."""
    for path in sorted((ROOT / "examples").glob("*.jpg")):
        yield path.stem.partition("_")[0], path.read_bytes()
    for archive in archives:
        with tarfile.open(archive) as tar:
            members = [member for member in tar if member.name.endswith(".jpg")]
            for member in members[:most]:
                file = tar.extractfile(member)
                assert file is not None
                yield Path(member.name).stem.rpartition("_")[0], file.read()


def moved_scores(archives: list[Path], most: int) -> None:
    model = xcos.load()
    names, points = [], []
    crops: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for name, data in photographs(archives, most):
        image = Image.open(io.BytesIO(data)).convert("RGB")
        scale = LONGER / max(image.size)
        size = [round(side * scale / 8) * 8 for side in image.size]
        large = encoded(image.resize(size, Image.Resampling.BICUBIC), 90)
        whole, reduced = cut(xcos.read_image(large)), cut(large)
        names.append(name)
        crops[0].append(whole.crop)
        crops[1].append(reduced.crop)
        points.append(float(np.abs(reduced.face.points - whole.face.points).max()) * crop_scale(whole.face.points))
    features = [model.features(np.stack(stack), aligned=True) for stack in crops]
    units = [f.embedding / np.linalg.norm(f.embedding, axis=1, keepdims=True) for f in features]
    cosines = (units[0] * units[1]).sum(axis=1)
    first, second = np.triu_indices(len(names), 1)
    scores = [model.compare_all(f, f)[first, second] for f in features]
    one = np.array([names[i] == names[j] for i, j in zip(first, second, strict=True)])
    apart = np.abs(scores[0] - scores[1])
    decisions = [score >= model.threshold for score in scores]
    print("\nReduced against whole:\n\n| what | |\n|---|---|")
    print(f"| photographs; pairs of one person, of two | {len(names)}; {one.sum()}, {(~one).sum()} |")
    print(f"| cosine of the embeddings of both, least and median | {cosines.min():.4f}, {np.median(cosines):.4f} |")
    print(f"| points apart, pixels of the crop, most and median | {max(points):.2f}, {statistics.median(points):.2f} |")
    print(f"| scores apart, most and mean | {apart.max():.4f}, {apart.mean():.4f} |")
    print(f"| decisions that differ | {(decisions[0] != decisions[1]).sum()} |")
    print(f"| wrong decisions, whole and reduced | {(decisions[0] != one).sum()}, {(decisions[1] != one).sum()} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="A photograph of 12 megapixels: time, and scores at reduced scale.")
    parser.add_argument("archives", nargs="*", type=Path, metavar="ARCHIVE.tar", help="photographs, NAME_0001.jpg")
    parser.add_argument("--most", type=int, default=60, help="photographs of each archive (%(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each way (%(default)s)")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder with models/ (%(default)s)")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache", help="where made networks lie (%(default)s)")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    models = tuple(network(name, 1, options.shared, options.cache) for name in ("yunet", "sface"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.jpg"
        path.write_bytes(photograph())
        size = path.stat().st_size
        model, theirs = xcos.load(), rival(path, (models[0], models[1]))
        ways = {
            "xcos": lambda: model.features(path, threads=1),
            "Pillow at 1/8, YuNet on it, SFace": lambda: theirs(504, 504),
            f"Pillow at {SMALLEST} pixels or more, YuNet at 320, SFace": lambda: theirs(SMALLEST, 320),
            f"Pillow at {SMALLEST} pixels or more, YuNet on it, SFace": lambda: theirs(SMALLEST, 10_000),
        }
        found = least(ways, options.rounds)
    machine = Machine.here()
    print(
        "# A photograph of 12 megapixels\n\n"
        f"{machine.cpu} ({machine.isa}), one thread; Pillow {PIL.__version__}, OpenCV {cv2.__version__}; "
        f"3,024 x {LONGER:,} pixels in {size / 1e6:.1f} MB.\n\n"
        "| from the file to the embedding | ms | beside xcos |\n|---|---|---|"
    )
    for name, taken in found.items():
        print(f"| {name} | {taken:.1f} | {taken / found['xcos']:.2f} |")
    moved_scores(options.archives, options.most)


if __name__ == "__main__":
    main()
