"""Quality of faces: what is worse is called worse, and a face that is too poor is no answer."""

import io
import json

import numpy as np
import pytest
from PIL import Image, ImageFilter

import xcos
from xcos.cli import main
from xcos.faces import quality


def noisy(image, sigma):
    noise = np.random.default_rng(0).normal(0, sigma, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def compressed(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


# By Pillow; weak to strong. The face of the portrait is about 190 pixels wide.
WORSE = {
    "dark": lambda image, k: image.point(lambda v: v * (0.3, 0.1, 0.06)[k]),
    "blurred": lambda image, k: image.filter(ImageFilter.GaussianBlur((4, 7, 10)[k])),
    "small": lambda image, k: image.resize([round(n * (0.3, 0.15, 0.09)[k]) for n in image.size], Image.Resampling.BOX),
    "flat": lambda image, k: image.point(lambda v: 128 + (v - 128) * (0.3, 0.12, 0.07)[k]),
    "bright": lambda image, k: image.point(lambda v: min(255, v * (1.8, 3.0, 4.5)[k])),
    "noisy": lambda image, k: noisy(image, (30, 70, 120)[k]),
    "compressed": lambda image, k: compressed(image, (30, 8, 1)[k]),
    "half, compressed": lambda image, k: compressed(image.reduce(2), (12, 4, 1)[k]),
}
MEASURE = {"dark": "brightness", "blurred": "sharpness", "small": "size", "flat": "contrast"}


@pytest.mark.parametrize("kind", WORSE)
def test_worse_is_called_worse(photos, kind):
    """Value and the measure that the change is about fall with it; where the decision is lost, it says so."""
    image = Image.open(photos["obama_portrait_2012"]).convert("RGB")
    values, measures = [], []
    for k in range(-1, 3):
        try:
            v = xcos.verify(image, WORSE[kind](image, k) if k >= 0 else image)
        except xcos.NoFaceError:
            break
        first, second = (look.quality for look in v.looks)
        assert first.value > 0.85 and v.quality == min(first, second, key=lambda q: q.value)
        assert v.same or not v.reliable
        assert not (kind == "noisy" and k == 2 and v.reliable)
        values.append(second.value)
        measures.append(getattr(second, MEASURE.get(kind, "value")))
    assert len(values) >= 3 and (np.diff(values) < 0.025).all() and values[-1] < values[0] - 0.2
    assert kind not in MEASURE or (np.diff(measures) < 0).all()


def test_grey_photographs_are_good(photos):
    for path in photos.values():
        assert xcos.verify(Image.open(path).convert("L"), path).quality.value > 0.85


def test_no_answer(photos, tmp_path, capsys):
    a, b = photos["obama_portrait_2012"], tmp_path / "dark.png"
    WORSE["dark"](Image.open(a).convert("RGB"), 2).save(b)
    e = xcos.explain(a, b)
    assert not e.reliable and e.sentence().startswith("no answer") and e.quality.reason() == "too dark"
    assert e.notes() == ["No answer: the face in the second photograph is too dark."]
    assert "No answer" in e.plot()[0].get_suptitle() and "too dark" in (xcos.verify(a, b)._repr_html_() or "")
    value = json.loads(json.dumps(e.to_dict()))
    assert value["reliable"] is False and value["quality_first"] > 0.85
    assert value["quality_second"] == e.quality.value < quality.THRESHOLD
    assert main(["verify", str(a), str(b)]) == 3
    assert "No answer: the face in the second photograph is too dark." in capsys.readouterr().out
    assert main(["verify", str(a), str(photos["obama_congress_2009"])]) == 0


def test_crops_and_stacks(photos):
    """Crops have no size; a stack of one stands for all; the benchmark's usual crops are good enough."""
    model = xcos.load()
    paths = list(photos.values())
    crops = model.crops(paths)
    for v in model.verify(crops[0], crops, aligned=True):
        assert v.reliable and v.quality.size is None and v.looks[0].face is None and v.looks[0].turn == 0
    alone = [xcos.verify(paths[0], path) for path in paths]
    for one, many in zip(alone, model.verify(paths[0], paths), strict=True):
        assert one.quality == many.quality and one.looks[1].face.box == many.looks[1].face.box


def test_benchmark_crops_are_reliable(shared):
    pairs = xcos.datasets.read_bin(shared / "data/lfw_dev.bin")
    crops = [xcos.read_image(pairs.images[i]) for i in range(0, len(pairs.images), 40)]
    assert all(quality.measure(crop, None).reliable for crop in crops)
