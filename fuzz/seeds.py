"""Writes the seeds of the fuzz targets: small valid inputs of every kind, made from the shipped photographs.

    python fuzz/seeds.py FOLDER      one folder of seeds per target under FOLDER
"""

import io
import pickle
import random
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


def pictures() -> dict[str, bytes]:
    """Encoded pictures of every format and many of their options, with the byte of fuzz_image.c in front."""
    photo = Image.open(ROOT / "examples" / "obama_portrait_2012.jpg").convert("RGB").resize((40, 56))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = {
        "baseline.jpg": (photo, "JPEG", {"quality": 60}),
        "exif.jpg": (photo, "JPEG", {"quality": 60, "exif": exif}),
        "444.jpg": (photo, "JPEG", {"quality": 90, "subsampling": 0}),
        "progressive.jpg": (photo, "JPEG", {"quality": 60, "progressive": True}),
        "restart.jpg": (photo, "JPEG", {"quality": 60, "restart_marker_blocks": 2}),
        "grey.jpg": (photo.convert("L"), "JPEG", {"quality": 60}),
        "cmyk.jpg": (photo.convert("CMYK"), "JPEG", {"quality": 60}),
        "rgb.png": (photo, "PNG", {}),
        "grey_alpha.png": (photo.convert("LA"), "PNG", {}),
        "palette.png": (photo.quantize(16), "PNG", {"transparency": 3}),
        "bit.png": (photo.convert("1"), "PNG", {}),
        "deep.png": (Image.fromarray(np.arange(40 * 30, dtype=np.uint16).reshape(30, 40) * 50), "PNG", {}),
        "exif.png": (photo, "PNG", {"exif": exif}),
        "plain.gif": (photo.quantize(32), "GIF", {}),
        "interlaced.gif": (photo.quantize(32), "GIF", {"interlace": 1, "transparency": 2}),
        "animated.gif": (photo.quantize(8), "GIF", {"save_all": True, "append_images": [photo.quantize(4)]}),
        "24.bmp": (photo, "BMP", {}),
        "32.bmp": (photo.convert("RGBA"), "BMP", {}),
        "8.bmp": (photo.quantize(64), "BMP", {}),
        "1.bmp": (photo.convert("1"), "BMP", {}),
        "raw.ppm": (photo.resize((9, 11)), "PPM", {}),
        "raw.pgm": (photo.resize((9, 11)).convert("L"), "PPM", {}),
        "raw.pbm": (photo.resize((9, 11)).convert("1"), "PPM", {}),
    }
    seeds = {}
    for name, (image, kind, options) in kinds.items():
        file = io.BytesIO()
        image.save(file, kind, **options)
        seeds[name] = b"\x14" + file.getvalue()
    seeds["plain.ppm"] = b"\x14P3\n# comment\n2 2 255\n1 2 3 4 5 6 7 8 9 10 11 12\n"
    seeds["plain.pbm"] = b"\x14P1 3 2 1 0 1 0 1 0\n"
    seeds["exif"] = b"\x14" + exif.tobytes().removeprefix(b"Exif\0\0")
    seeds["deep.pgm"] = b"\x14P5 2 1 65535\n\x12\x34\x56\x78"
    rows = b"".join(b"\0" + bytes(range(i, i + 30)) for i in range(10))
    seeds["interlaced.png"] = b"\x14" + png(10, 10, 8, 2, 1, rows)
    return seeds


def png(width: int, height: int, bits: int, colour: int, interlace: int, rows: bytes) -> bytes:
    """A PNG file of one IDAT chunk; `rows` is what the filter and compression work on."""
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def plans() -> dict[str, bytes]:
    """Programs of fuzz_plan.c; it makes something of any bytes."""
    return {f"{i}": random.Random(i).randbytes(60 * (i + 1)) for i in range(20)}


def models() -> dict[str, bytes]:
    """Model files of a few layers that use every operator, and one with an xCos head."""
    from xcos.plan.file import ModelFile

    rng = np.random.default_rng(0)
    norm = dict.fromkeys(("gamma", "beta", "mean", "var"), "n")
    pad = {"pad": [1, 1, 1, 1]}
    layers = [
        {"op": "conv", "inputs": ["x"], "output": "a", "weight": "w", "bias": "n", "stride": [2, 2], **pad},
        {"op": "batch_norm", "inputs": ["a"], "output": "b", **norm, "epsilon": 1e-5},
        {"op": "prelu", "inputs": ["b"], "output": "c", "slope": "n"},
        {"op": "conv", "inputs": ["c"], "output": "d", "weight": "v", "groups": 4, "dilation": [1, 1], **pad},
        {"op": "add", "inputs": ["d", "c"], "output": "e"},
        {"op": "mul", "inputs": ["e", "k"], "output": "f"},
        {"op": "max_pool", "inputs": ["f"], "output": "g", "kernel": [2, 2], "stride": [2, 2]},
        {"op": "resize", "inputs": ["g"], "output": "h", "scale": [2, 2]},
        {"op": "concat", "inputs": ["h", "h"], "output": "i", "axis": 1},
        {"op": "slice", "inputs": ["i"], "output": "j", "axis": 1, "start": 1, "stop": 5},
        {"op": "transpose", "inputs": ["j"], "output": "l", "perm": [0, 2, 3, 1]},
        {"op": "softmax", "inputs": ["l"], "output": "m", "axis": 3},
        {"op": "avg_pool", "inputs": ["j"], "output": "o"},
        {"op": "reshape", "inputs": ["o"], "output": "p", "shape": [-1]},
        {"op": "linear", "inputs": ["p"], "output": "q", "weight": "l"},
        {"op": "clip", "inputs": ["q"], "output": "r", "min": -1, "max": 1},
        {"op": "sigmoid", "inputs": ["r"], "output": "s"},
        {"op": "hard_sigmoid", "inputs": ["s"], "output": "y", "alpha": 0.2, "shift": 0.5},
        {"op": "maximum", "inputs": ["s", "y"], "output": "z"},
    ]
    tensors = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "v": rng.normal(size=(4, 1, 3, 3)).astype(np.float32),
        "l": rng.normal(size=(5, 4)).astype(np.float32),
        "n": np.ones(4, np.float32),
        "k": np.ones((1, 4, 1, 1), np.float32),
    }
    layers[10]["output"], layers[11]["inputs"] = "t", ["t"]
    head = {
        f"head.{name}": rng.normal(size=shape).astype(np.float32)
        for name, shape in {
            **{"embed.weight": (2, 4, 3, 3), "embed.bias": (2,), "embed.prelu": (1,)},
            **{"attend1.weight": (2, 4, 3, 3), "attend1.bias": (2,), "attend1.prelu": (1,)},
            **{"attend2.weight": (1, 2, 3, 3), "attend2.bias": (1,), "attend2.prelu": (1,)},
        }.items()
    }
    preprocess = {"color": "RGB", "mean": [127.5] * 3, "scale": [0.0078] * 3}
    shapes = ([3, 16, 16], [3, None, None])
    files = [ModelFile("detector", "seed", [{"name": "x", "shape": s}], layers, ["z", "m"], tensors) for s in shapes]
    files.append(
        ModelFile(
            *("recognizer", "head", [{"name": "x", "shape": shapes[0]}], layers[:1], ["a"]),
            {"w": tensors["w"], "n": tensors["n"], **head},
            preprocess=preprocess,
            head={"kind": "xcos", "grid": "a", "embedding": None},
            thresholds={"xcos": 0.25},
        )
    )
    return {f"{i}.safetensors": file.to_bytes() for i, file in enumerate(files)}


def pickles() -> dict[str, bytes]:
    """Benchmarks of a few pictures in all protocols, and arrays."""
    faces = [data[1:] for data in list(pictures().values())[:2]]
    value = (faces * 2, [True, False])
    arrays = [np.frombuffer(data, np.uint8) for data in faces], np.array([True, False]), np.float64(1)
    seeds = {f"{protocol}.bin": pickle.dumps(value, protocol) for protocol in range(6)}
    return seeds | {f"arrays{protocol}.bin": pickle.dumps(arrays, protocol) for protocol in range(6)}


def graphs() -> dict[str, bytes]:
    """Small ONNX graphs: a convolution with shape arithmetic, quantised weights, opsets old and new."""
    import onnx.parser
    from onnx import numpy_helper

    bodies = {
        "conv": "y = Conv<pads=[1,1,1,1]>(x, w)",
        "shape": "s = Shape(x) i = Constant<value_ints=[0]>() n = Gather(s, i) m = Constant<value_ints=[-1]>() "
        "t = Concat<axis=0>(n, m) y = Reshape(x, t)",
        "norm": "a = BatchNormalization(x, o, o, o, o) b = PRelu(a, p) c = Relu(b) y = GlobalAveragePool(c)",
        "pool": "a = MaxPool<kernel_shape=[2,2],strides=[2,2]>(x) b = Transpose<perm=[0,2,3,1]>(a) y = Sigmoid(b)",
        "slice": "i = Constant<value_ints=[1]>() j = Constant<value_ints=[3]>() a = Slice(x, i, j, i) y = Mul(a, a)",
    }
    tensors = {"w": np.ones((4, 3, 3, 3), np.float32), "o": np.ones(3, np.float32), "p": np.ones((3, 1, 1), np.float32)}
    seeds = {}
    for name, body in bodies.items():
        text = f'<ir_version: 8, opset_import: ["": 13]> g (float["N",3,8,8] x) => (float y) {{ {body} }}'
        model = onnx.parser.parse_model(text)
        used = {source for node in model.graph.node for source in node.input}
        model.graph.initializer.extend(numpy_helper.from_array(t, k) for k, t in tensors.items() if k in used)
        seeds[f"{name}.onnx"] = model.SerializeToString()
    return seeds


def calls() -> dict[str, bytes]:
    """Choices of arguments.py: each of its calls with sound arguments, and with such as bytes at random draw."""
    seeds = {}
    for call in range(14):
        seeds[f"{call}"] = bytes([0, call]) + bytes(300)
        for i in range(4):
            seeds[f"{call}-{i}"] = bytes([i, call]) + random.Random(14 * i + call).randbytes(150 * (i + 1))
    return seeds


SEEDS = {"image": pictures, "plan": plans, "model": models, "bin": pickles, "onnx": graphs, "arguments": calls}


def main() -> None:
    for target in sys.argv[2:] or SEEDS:
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in SEEDS[target]().items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
