"""Fits the weights of xcos/faces/quality.py and chooses its threshold, on photographs made worse.

    python tools/fit_quality.py celeba_photos.tar [how many photographs]

Prints the constants, how well they predict, and the errors among pairs by threshold. Pairs of one person: each
photograph made worse with the photograph itself; of two: with the next one. Half of the photographs are held out.
"""

import io
import sys

import numpy as np
from PIL import Image, ImageFilter
from scipy.optimize import lsq_linear

import xcos
from xcos.faces import detection as faces
from xcos.faces import quality
from xcos.faces.folders import collection

UPRIGHT = faces.How(upright=True)  # they are, and looks at turned ones take long
RNG = np.random.default_rng(0)


def jpeg(image, q):
    data = io.BytesIO()
    image.save(data, "JPEG", quality=q)
    return Image.open(data).convert("RGB")


def noisy(image, sigma):
    pixels = np.asarray(image, np.float32)
    return Image.fromarray(np.clip(pixels + RNG.normal(0, sigma, pixels.shape), 0, 255).astype(np.uint8))


def scaled(image, gain, lift=0.0):
    return Image.fromarray(np.clip(np.asarray(image, np.float32) * gain + lift, 0, 255).astype(np.uint8))


def smaller(image, eyes, wanted):
    """So that the face is `wanted` pixels wide."""
    factor = min(1.0, wanted / eyes)
    return image.resize([max(1, round(n * factor)) for n in image.size], Image.Resampling.BOX)


# What noise and compression may do to the value: more grain beside the contrast and flatter neighbours no good, more
# structures of colour no harm. 0: either.
SIGNS = np.array([0] * 17 + [-1, 1, 1, 1, -1])


# Each takes the photograph, the width of its face in pixels and a strength, weak to strong.
KINDS = {
    "dark": (lambda im, w, g: scaled(im, g), (0.5, 0.25, 0.12, 0.05, 0.025)),
    "small": (smaller, (80, 48, 32, 20, 12)),
    "blur": (lambda im, w, s: im.filter(ImageFilter.GaussianBlur(s * w)), (0.01, 0.025, 0.05, 0.08, 0.12)),
    "noise": (lambda im, w, s: noisy(im, s), (10, 25, 50, 80, 120)),
    "flat": (lambda im, w, g: scaled(im, g, 128 * (1 - g)), (0.5, 0.25, 0.12, 0.06, 0.03)),
    "bright": (lambda im, w, g: scaled(im, g), (1.5, 2.0, 3.0, 5.0, 9.0)),
    "jpeg": (lambda im, w, q: jpeg(im, q), (50, 20, 10, 5, 2)),
    "half, jpeg": (lambda im, w, q: jpeg(smaller(im, w, w / 2), q), (50, 20, 10, 5, 2)),
    "dark and noisy": (lambda im, w, g: noisy(scaled(im, g), 4), (0.5, 0.25, 0.12, 0.06, 0.03)),
}


def main() -> None:
    model = xcos.load()
    names, read = collection(sys.argv[1])
    names = names[: int(sys.argv[2])] if len(sys.argv) > 2 else names
    rows = []
    crops = []
    for i in range(len(names)):
        pixels = xcos.read_image(read(i))
        whole = faces.cut(pixels, UPRIGHT)
        image = Image.fromarray(pixels)
        width = 112 / faces.crop_scale(whole.face.points)
        crops.append(whole.crop)
        rows.append((i, "none", 0, whole))
        for kind, (change, strengths) in KINDS.items():
            for k, strength in enumerate(strengths):
                try:
                    rows.append((i, kind, k + 1, faces.cut(np.asarray(change(image, width, strength)), UPRIGHT)))
                except xcos.NoFaceError:
                    pass
    clean = model.features(np.stack(crops), aligned=True)
    seen = model.features(np.stack([row[3].crop for row in rows]), aligned=True)
    index = np.array([row[0] for row in rows])
    same = model.compare(clean[index], seen, maps=False)
    other = model.compare(clean[(index + 1) % len(crops)], seen, maps=False)
    left = same.cosine.astype(float)
    x = np.stack([quality.describe(row[3].crop, row[3].face)[1] for row in rows])
    target = np.log(np.clip(left, 0.02, 0.98) / (1 - np.clip(left, 0.02, 0.98)))
    half = index % 2 == 0
    bar = x[half].mean(0)
    system = np.concatenate([x[half] - bar, np.eye(x.shape[1])])  # ridge regression
    aims = np.concatenate([target[half] - target[half].mean(), np.zeros(x.shape[1])])
    weights = lsq_linear(system, aims, bounds=(np.where(SIGNS > 0, 0, -np.inf), np.where(SIGNS < 0, 0, np.inf))).x
    bias = target[half].mean() - bar @ weights
    print("_WEIGHTS = np.array(", np.round(weights, 3).tolist(), ")\n_BIAS =", round(float(bias), 3))
    value = 1 / (1 + np.exp(-(x @ weights + bias)))
    held = ~half
    print(f"{len(rows)} faces; held out: correlation {np.corrcoef(value[held], left[held])[0, 1]:.3f}, "
          f"mean error {np.abs(value - left)[held].mean():.3f}")  # fmt: skip
    for kind in ("none", *KINDS):
        for k in range(6):
            chosen = held & np.array([row[1] == kind and row[2] == k for row in rows])
            if chosen.any():
                means = [array[chosen].mean() for array in (left, value, same.same)]
                print(f"{kind:15} {k}  {chosen.sum():4d} found", *(f"{mean:7.3f}" for mean in means))
    print("threshold  no answer  one person called two: all, answered   two called one   no answer of unchanged")
    none = np.array([row[1] == "none" for row in rows])
    for threshold in np.arange(0.2, 0.85, 0.05):
        kept = held & (value >= threshold)
        shares = (1 - kept.sum() / held.sum(), 1 - same.same[held].mean(), 1 - same.same[kept].mean(),
                  other.same[kept].mean(), (value[none] < threshold).mean())  # fmt: skip
        print(f"{threshold:9.2f}", *(f"{share:9.4f}" for share in shares))


if __name__ == "__main__":
    main()
