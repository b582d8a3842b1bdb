"""Speed and accuracy of precision="bf16" and "int8" beside fp32, OpenVINO and ONNX Runtime. Prints two tables.

    python benchmarks/precision.py [--shared ../shared] [--networks mobilefacenet sface iresnet50]

Speed: processor time of one thread and one image, engines taking turns in one process; the median of the rounds, and
the median of the rounds' ratios to our fp32. The int8 network of the two others is quantised by ONNX Runtime (QDQ,
weights per channel, calibrated on crops of CelebA, never on LFW); ours takes scales from the picture at hand.

Accuracy: plain cosine on the pairs of lfw_dev.bin, 5 folds, thresholds in steps of 0.005 as the reference has them and
chosen exactly; and how many pairs change sides at fp32's best threshold.
"""

import argparse
import statistics
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import Machine
from networks import SHARED_FILES, images, input_shape, network
from numpy.typing import NDArray
from options import log
from peers import OnnxRuntime, OpenVino, Setting

import xcos
from xcos.evaluation.protocol import best_threshold, exact_folds, fold_numbers, reference_folds

PRECISIONS = ("fp32", "bf16", "int8")
FOLDS = 5
CALIBRATION = 128  # crops
Array = NDArray[np.float32]


def prepared(name: str, crops: NDArray[np.uint8]) -> Array:
    """What the network reads of RGB crops: SFace scales by itself."""
    planes = crops.transpose(0, 3, 1, 2).astype(np.float32)
    return planes if name == "sface" else (np.ascontiguousarray(planes[:, ::-1]) - 127) / 128


def calibration_crops(path: Path) -> NDArray[np.uint8]:
    """Crops at even distances in a tar of faces."""
    with tarfile.open(path) as tar:
        members = sorted((m for m in tar if m.name.endswith(".jpg")), key=lambda m: m.name)
        chosen = members[:: len(members) // CALIBRATION][:CALIBRATION]
        return np.stack([xcos.read_image(tar.extractfile(member).read()) for member in chosen])


def quantised(name: str, model: Path, crops: Path) -> Path:
    """The network in int8 by ONNX Runtime, made once."""
    target = model.with_suffix(".int8.onnx")
    if target.exists():
        return target
    import onnx.version_converter
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    pictures = prepared(name, calibration_crops(crops))
    graph = onnx.version_converter.convert_version(onnx.load(model), 17)  # scales per channel came with 13

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter([{graph.graph.input[0].name: picture[None]} for picture in pictures])

        def get_next(self) -> dict[str, Array] | None:
            return next(self.rest, None)

    quantize_static(
        graph, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return target


def engines(name: str, model: Path, crops: Path) -> dict[str, Callable[[Array], Array]]:
    """Who takes part, ready to run on one thread; those that are not installed are left out."""
    file = xcos.Network.from_onnx(model).file
    ready: dict[str, Callable[[Array], Array]] = {}
    for precision in PRECISIONS:
        net = xcos.Network(file, precision=precision)
        ready[f"xcos {precision}"] = lambda x, net=net: next(iter(net.run(x, threads=1).values()))
    if name != "iresnet50" and Setting(OnnxRuntime).version():
        ready["ONNX Runtime int8"] = OnnxRuntime(quantised(name, model, crops), 1).run
    if Setting(OpenVino).version():
        ready["OpenVINO fp32"] = OpenVino(model, 1).run
        ready["OpenVINO bf16"] = OpenVino(model, 1, "bf16").run
        if name != "iresnet50":
            ready["OpenVINO int8"] = OpenVino(quantised(name, model, crops), 1).run
    return ready


def speed(name: str, ready: dict[str, Callable[[Array], Array]], shape: list[int], rounds: int) -> list[str]:
    """Rows of the table of speed."""
    x = images(shape, seed=1)
    seconds: dict[str, list[float]] = {engine: [] for engine in ready}
    for turn in range(rounds + 1):
        for engine, run in ready.items():
            times = []
            for _ in range(5):
                start = time.process_time()
                run(x)
                times.append(time.process_time() - start)
            if turn:  # the first warms up
                seconds[engine].append(min(times))
    ours = seconds["xcos fp32"]
    return [
        f"| {name} | {engine} | {statistics.median(taken) * 1e3:.2f} "
        f"| {statistics.median(a / b for a, b in zip(ours, taken, strict=True)):.2f} |"
        for engine, taken in seconds.items()
    ]


def accuracy(name: str, model: Path, pairs: Path) -> list[str]:
    """Rows of the table of accuracy."""
    import io
    import pickle

    from PIL import Image

    pictures, same = pickle.loads(pairs.read_bytes(), encoding="bytes")
    crops = np.stack([np.asarray(Image.open(io.BytesIO(bytes(one))).convert("RGB")) for one in pictures])
    labels = np.array(same)
    fold = fold_numbers(len(labels), FOLDS)
    file = xcos.Network.from_onnx(model).file
    rows, exact_side = [], np.array([])
    for precision in PRECISIONS:
        net = xcos.Network(file, precision=precision)
        runs = [next(iter(net.run(prepared(name, crops[i : i + 1])).values())) for i in range(len(crops))]
        found = np.concatenate(runs).astype(np.float64)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        scores = (found[::2] * found[1::2]).sum(1)
        if precision == "fp32":
            threshold = best_threshold(scores, labels)
            exact_side = scores > threshold
        changed = int(((scores > threshold) != exact_side).sum())
        steps, exact = (folds(scores, labels, fold).accuracy for folds in (reference_folds, exact_folds))
        rows.append(f"| {name} | {precision} | {steps:.3%} | {exact:.3%} | {changed} of {len(labels)} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--networks", nargs="+", default=["mobilefacenet", "sface", "iresnet50"])
    parser.add_argument("--shared", type=Path, default=root.parent / "shared", help="models/ and data/ (%(default)s)")
    parser.add_argument("--cache", type=Path, default=root / ".cache", help="of made networks (%(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each engine (%(default)s)")
    parser.add_argument("--no-accuracy", action="store_true", help="speed alone")
    options = parser.parse_args()
    machine = Machine.here()
    versions = ", ".join(
        f"{engine} {Setting(adapter).version()}"
        for engine, adapter in (("ONNX Runtime", OnnxRuntime), ("OpenVINO", OpenVino))
    )
    crops = options.shared / "data" / "celeba_crops.tar"
    fast, right = [], []
    for name in options.networks:
        model = network(name, 1, options.shared, options.cache)
        log(name)
        fast += speed(name, engines(name, model, crops), input_shape(model), options.rounds)
        if name in SHARED_FILES and not options.no_accuracy:  # the others have no trained weights
            right += accuracy(name, model, options.shared / "data" / "lfw_dev.bin")
    print(f"{machine.cpu}, {machine.isa}, one thread; {versions}\n")
    print("| network | engine | ms | times as fast as xcos fp32 |\n|---|---|---|---|", *fast, sep="\n")
    if right:
        print("\n| network | precision | cosine, reference's steps | cosine, exact | pairs that change sides |")
        print("|---|---|---|---|---|", *right, sep="\n")


if __name__ == "__main__":
    main()
