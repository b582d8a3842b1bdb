"""What "no answer" buys: the error-reject curve of photographs made worse.

    python benchmarks/quality.py lfw_photos.tar

Takes photographs NAME_0001.jpg, NAME_0002.jpg of people with two of them, makes the second worse in the ways of
tools/fit_quality.py, and compares: pairs of one person, and of each person with the next. Prints both error rates at
the model's threshold among the pairs that are answered, by the share that is not: the lowest qualities first.
"""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

import xcos
from xcos.faces import detection as faces
from xcos.faces import quality
from xcos.faces.folders import collection

place = Path(__file__).parents[1] / "tools" / "fit_quality.py"
spec = importlib.util.spec_from_file_location("fit_quality", place)
fit = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", help="folder or archive")
    parser.add_argument("--people", type=int, default=70)
    options = parser.parse_args()
    model = xcos.load()
    names, read = collection(options.photos)
    people: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        people.setdefault(name.rsplit("/", 1)[-1].rsplit("_", 1)[0], []).append(i)
    pairs = [both[:2] for both in people.values() if len(both) > 1][: options.people]
    first = model.features([read(a) for a, _ in pairs])
    crops, values, which = [], [], []
    for k, (_, b) in enumerate(pairs):
        image = Image.fromarray(xcos.read_image(read(b)))
        width = 112 / faces.crop_scale(faces.cut(np.asarray(image)).face.points)
        kinds = list(fit.KINDS.items())
        for change, strength in [(None, 0)] + [(c, s) for _, (c, strengths) in kinds for s in strengths[k % 2 :: 2]]:
            try:
                cut = faces.cut(np.asarray(change(image, width, strength) if change else image))
            except xcos.NoFaceError:
                continue
            crops.append(cut.crop)
            values.append(quality.measure(cut.crop, cut.face).value)
            which.append(k)
    seen, value, index = model.features(np.stack(crops), aligned=True), np.array(values), np.array(which)
    same = model.compare(first[index], seen, maps=False).same
    other = model.compare(first[(index + 1) % len(pairs)], seen, maps=False).same
    order = np.argsort(-value, kind="stable")
    print(f"{len(pairs)} people, {len(value)} photographs made worse; no answer below {quality.THRESHOLD}: "
          f"{(value < quality.THRESHOLD).mean():.1%}")  # fmt: skip
    print("| not answered | value from | one person called two | two called one |\n|---|---|---|---|")
    for share in (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, float((value < quality.THRESHOLD).mean())):
        kept = order[: max(1, round(len(order) * (1 - share)))]
        print(f"| {share:.1%} | {value[kept].min():.2f} | {1 - same[kept].mean():.1%} | {other[kept].mean():.2%} |")


if __name__ == "__main__":
    main()
