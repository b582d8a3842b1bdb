"""Writes tests/golden.json: scores of the default model on the shipped photographs, by the NumPy twins in float64.

    python tests/golden.py      after a change of the default model, its preprocessing or the crops

The aligned crops, which it keeps in tests/golden.png, are those of the package (test_faces.py compares them with
OpenCV's); network and head are the twins, plan_oracle and head_oracle, which share no code with the core.
"""

import itertools
import json
from pathlib import Path

import numpy as np

import xcos

PLACE = Path(__file__).with_name("golden.json")
CROPS = PLACE.with_suffix(".png")  # one above the other
PHOTOS = sorted((Path(__file__).parents[1] / "examples").glob("*.jpg"))
PAIRS = list(itertools.combinations([path.stem for path in PHOTOS], 2))


def head_weights(file):
    import head_oracle

    parts = {}
    for layer in ("embed", "attend1", "attend2"):
        parts[f"{layer}_weight"] = file.tensors[f"head.{layer}.weight"]
        parts[f"{layer}_bias"] = file.tensors[f"head.{layer}.bias"]
        parts[f"{layer}_slope"] = float(file.tensors[f"head.{layer}.prelu"][0])
    more = {"temperature": file.head.get("temperature", 1.0), "minmax": file.head.get("normalization") == "minmax"}
    more["whole"] = file.head.get("whole", 0.0)
    return head_oracle.Weights(**parts, **more)


def main():
    import head_oracle  # here, since the test, which needs no twins, also runs where PyTorch is not (tools/arm.sh)
    import plan_oracle
    from PIL import Image

    model = xcos.load()
    pre, head = model.file.preprocess, model.file.head
    crops = model.crops([str(path) for path in PHOTOS])
    Image.fromarray(np.concatenate(list(crops))).save(CROPS, optimize=True)
    x = crops.astype(np.float64)
    x = x[..., ::-1] if pre["color"] == "BGR" else x
    x = ((x - pre["mean"]) * pre["scale"]).transpose(0, 3, 1, 2)
    outputs = plan_oracle.run(model.file, {model.file.inputs[0]["name"]: x})
    outputs = outputs if isinstance(outputs, dict) else dict(zip(model.file.outputs, outputs, strict=True))
    grid = outputs[head["grid"]]
    first, second = zip(*itertools.combinations(range(len(PHOTOS)), 2), strict=True)
    whole = outputs[head["embedding"]]
    score, cosine, attention = head_oracle.numpy_head(
        head_weights(model.file), grid[list(first)], grid[list(second)], whole[list(first)], whole[list(second)]
    )
    golden = {
        f"{a}, {b}": {"score": s, "least cosine": c.min(), "most attention": w.max()}
        for (a, b), s, c, w in zip(PAIRS, score, cosine, attention, strict=True)
    }
    PLACE.write_text(json.dumps({"model": model.name, "pairs": golden}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
