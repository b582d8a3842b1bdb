"""Model files: round trips against the safetensors package, damage, foreign files."""

import io
import json
import os
import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xcos
from xcos.errors import ModelFileError
from xcos.measured.truth import CellTruth
from xcos.plan.file import ModelFile
from xcos.plan.pixels import as_input

RNG = np.random.default_rng(5)


def small(**changes):
    """A model file with one convolution, as keywords of ModelFile."""
    fields = {
        "kind": "recognizer",
        "name": "small",
        "inputs": [{"name": "input", "shape": [3, 8, 8]}],
        "layers": [
            {"op": "conv", "name": "stem", "inputs": ["input"], "output": "t", "weight": "w", "bias": "b"},
            {"op": "prelu", "inputs": ["t"], "output": "y", "slope": "s"},
        ],
        "outputs": ["y"],
        "tensors": {
            "w": RNG.standard_normal((4, 3, 3, 3)).astype(np.float32),
            "b": np.zeros(4, np.float32),
            "s": np.full(1, 0.25, np.float32),
        },
        "preprocess": {"color": "RGB", "mean": [127.5] * 3, "scale": [1 / 128] * 3},
        "thresholds": {"cosine": 0.3},
        "license": "MIT ä",
    }
    return {**fields, **changes}


def raw(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def header_of(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(change):
    """The bytes of a small model file after `change` was applied to its xcos header."""
    outer, body = header_of(ModelFile(**small()).to_bytes())
    inner = json.loads(outer["__metadata__"]["xcos"])
    change(inner)
    outer["__metadata__"]["xcos"] = json.dumps(inner)
    return raw(outer, body)


def test_round_trip_and_mapping(tmp_path):
    path = tmp_path / "mödel ü.safetensors"
    fields = small()
    ModelFile(**fields).write(path)
    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        file = ModelFile.read(source)
        for key, value in fields.items():
            if key != "tensors":
                assert getattr(file, key) == value
        for name, tensor in fields["tensors"].items():
            np.testing.assert_array_equal(file.tensors[name], tensor)
            assert file.tensors[name].dtype == np.float32 and file.tensors[name].flags.aligned
    mapped = ModelFile.read(path).tensors["w"]
    assert not mapped.flags.owndata and not mapped.flags.writeable  # a view of the file, no copy


@pytest.fixture
def safetensors():
    return pytest.importorskip("safetensors.numpy", reason="the PyPI package safetensors is not installed")


def test_the_safetensors_package_reads_what_we_write(tmp_path, safetensors):
    path = tmp_path / "a.safetensors"
    fields = small()
    ModelFile(**fields).write(path)
    loaded = safetensors.load_file(path)
    assert set(loaded) == set(fields["tensors"])
    for name, tensor in fields["tensors"].items():
        np.testing.assert_array_equal(loaded[name], tensor)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_we_read_what_the_safetensors_package_writes(dtype):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save

    weight = torch.randn(4, 3, 3, 3).to(getattr(torch, dtype))
    tensors = {"w": weight, "b": torch.zeros(4), "s": torch.ones(1)}
    header = header_of(ModelFile(**small()).to_bytes())[0]["__metadata__"]
    file = ModelFile.read(save(tensors, metadata=header))
    np.testing.assert_array_equal(file.tensors["w"], weight.to(torch.float32).numpy())


def test_unaligned_tensors_are_copied():
    outer, body = header_of(ModelFile(**small()).to_bytes())
    text = json.dumps(outer).encode()
    text += b" " * (-(len(text) + 8) % 4 + 1)
    file = ModelFile.read(raw(text, body))
    assert file.tensors["w"].flags.aligned


def test_other_types_are_refused_by_name(safetensors):
    data = safetensors.save({"steps": np.zeros(3, np.int64)}, metadata={"xcos": "{}"})
    with pytest.raises(ModelFileError, match=r"'steps' has dtype 'I64'"):
        ModelFile.read(data)


def test_foreign_file(tmp_path, safetensors):
    path = tmp_path / "foreign.safetensors"
    safetensors.save_file({"w": np.zeros(3, np.float32)}, path)
    with pytest.raises(ModelFileError, match=r"foreign\.safetensors: .*not of xcos"):
        ModelFile.read(path)
    for data in (b"", b"PK\3\4", b"\x89PNG\r\n\x1a\n" + bytes(100), os.urandom(4096)):
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=r"foreign\.safetensors"):
            ModelFile.read(path)
    with pytest.raises(FileNotFoundError):
        ModelFile.read(tmp_path / "absent")
    with pytest.raises(OSError):
        ModelFile.read(tmp_path)
    with pytest.raises(TypeError):
        ModelFile.read(3)


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (raw({"a": ENTRY}, bytes(4)), "cut short"),
        (raw({"a": ENTRY}, bytes(12)), "end at byte 8"),
        (raw({"a": ENTRY, "b": {**ENTRY, "data_offsets": [4, 12]}}, bytes(12)), "overlaps"),
        (raw({"a": {**ENTRY, "data_offsets": [4, 12]}}, bytes(12)), "gap"),
        (raw({"a": {**ENTRY, "shape": [3]}}, bytes(8)), "expected 12"),
        (raw({"a": {**ENTRY, "shape": [2**40, 2**40]}}, bytes(8)), "expected"),
        (raw({"a": {**ENTRY, "shape": [-2]}}, bytes(8)), "shape"),
        (raw({"a": {**ENTRY, "shape": [True, 2]}}, bytes(8)), "shape"),
        (raw({"a": {**ENTRY, "shape": "2"}}, bytes(8)), "shape"),
        (raw({"a": {**ENTRY, "data_offsets": [8, 0]}}, bytes(8)), "lies at"),
        (raw({"a": {**ENTRY, "data_offsets": [0.0, 8]}}, bytes(8)), "data_offsets"),
        (raw({"a": {**ENTRY, "dtype": ["F32"]}}, bytes(8)), "dtype"),
        (raw({"a": 3}, bytes(8)), "described"),
        (raw({"__metadata__": {"xcos": 3}}), "strings"),
        (raw([1, 2]), "JSON object"),
        (raw(b'{"a": 1, "a": 2}'), "twice"),
        (raw(b'{"a": NaN}'), "NaN"),
        (raw(b"{" * 10), "JSON"),
        (raw(b"[" * 200_000), "JSON"),
        (raw(b'{"a": ' + b"9" * 10_000 + b"}"), "JSON"),
        (raw(b"\xff\xfe{}"), "JSON"),
        ((2**63).to_bytes(8, "little") + b"{}", "length of a header"),
        ((2**40).to_bytes(8, "little") + b"{}", "length of a header"),
        (b"\1\2\3", "3 bytes"),
    ],
)
def test_damaged_headers(data, message):
    with pytest.raises(ModelFileError, match=message):
        ModelFile.read(data)


def test_every_cut_is_noticed():
    data = ModelFile(**small()).to_bytes()
    for size in (*range(0, 200, 7), *range(200, len(data), 61), len(data) - 1):
        with pytest.raises(ModelFileError):
            ModelFile.read(data[:size])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_fuzzed_headers_never_crash(data):
    """Random bytes of the header changed: the file is refused with our error, or still sound."""
    good = bytearray(ModelFile(**small()).to_bytes())
    length = int.from_bytes(good[:8], "little") + 8
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, length - 1))] = data.draw(st.sampled_from(b'0123456789{}[]",:-x\xff\0'))
    try:
        file = ModelFile.read(bytes(good))
    except ModelFileError:
        return
    assert ModelFile.read(file.to_bytes()).layers == file.layers


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    "kind", "inputs", "layers", "outputs", "preprocess", "head", "thresholds", "name", "format", "whole_curve", "truth",
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PLACES), JSON)
def test_any_json_in_any_place(place, value):
    try:
        ModelFile.read(with_header(lambda header: header.__setitem__(place, value)))
    except ModelFileError:
        pass


LAYER_KEYS = ["op", "name", "inputs", "output", "weight", "bias", "stride", "pad", "dilation", "groups", "axis"]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(LAYER_KEYS), JSON)
def test_any_json_in_a_layer(key, value):
    try:
        ModelFile.read(with_header(lambda header: header["layers"][0].__setitem__(key, value)))
    except ModelFileError as error:
        assert "layer" in str(error)


def layer(**changes):
    return small()["layers"][0] | changes


def pool(**changes):
    return {"op": "max_pool", "inputs": ["input"], "output": "t2", "kernel": [3, 3], **changes}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([layer(op="convolve")], r"layer 0 \('stem'\): unknown op 'convolve'"),
        ([layer(inputs=["nowhere"])], "reads 'nowhere', which is no earlier value"),
        ([layer(inputs=["t"])], "reads 't'"),  # a cycle
        ([layer(inputs=[])], "list of 1 inputs"),
        ([layer(inputs=["input", "input"])], "list of 1 inputs"),
        ([layer(output="input")], "taken"),
        ([layer(output="w")], "taken"),
        ([layer(output="")], "empty"),
        ([layer(weight="v")], "'v', which the file lacks"),
        ([layer(weight="b")], r"weight \('b'\) has the shape \(4,\); expected 4 dimensions"),
        ([layer(bias="s")], "bias has 1 values; expected 4"),
        ([layer(groups=3)], "do not split"),
        ([layer(stride=[0, 1])], "stride has the wrong type or range"),
        ([layer(stride=2)], "stride"),
        ([layer(stride=[2.0, 2])], "stride"),
        ([layer(pad=[1, 1])], "pad"),
        ([layer(pad=[1, 1, 1, 2**20])], "pad"),
        ([layer(paddings=[1, 1])], "no attribute 'paddings'"),
        ([{"op": "prelu", "inputs": ["input"], "output": "t"}], "lacks slope"),
        ([{"op": "clip", "inputs": ["input"], "output": "t", "min": 0}], "lacks max"),
        ([{"op": "clip", "inputs": ["input"], "output": "t", "min": 1, "max": 0}], "above"),
        ([{"op": "softmax", "inputs": ["input"], "output": "t", "axis": 0}], "axis"),
        ([{"op": "transpose", "inputs": ["input"], "output": "t", "perm": [1, 0, 2, 3]}], "perm"),
        ([{"op": "reshape", "inputs": ["input"], "output": "t", "shape": [-1, -1]}], "shape"),
        ([{"op": "resize", "inputs": ["input"], "output": "t", "scale": [0, 2]}], "scale"),
        ([{"op": "add", "inputs": ["w", "w"], "output": "t"}], r"constant 'w' has the shape \(4, 3, 3, 3\)"),
        ([{"op": "concat", "inputs": ["input", "s"], "output": "t", "axis": 1}], "takes no constants, got 's'"),
        ([{"op": "add", "inputs": ["s", "s"], "output": "t"}], "constants alone"),
        ([pool(pad=[3, 0, 0, 0])], "below the kernel"),
        ([{"op": "max_pool", "inputs": ["input"], "output": "t", "stride": [2, 2]}], "whole map"),
        ([3], "layer 0 is not an object"),
        (3, "layers must be a list"),
    ],
)
def test_bad_plans_are_named(layers, message):
    with pytest.raises(ModelFileError, match=message):
        ModelFile(**small(layers=layers, outputs=["t"]))


def truth(**changes):
    maps = {"own": [[0.5, None], [1, 1]], "leak": [[0, 0], [0, 0]], "alone": [[0.6, 0.9], [0.8, 0.7]]}
    return {"window": 48, **maps, **changes}


def test_truth_is_kept():
    file = ModelFile.read(ModelFile(**small(truth=truth())).to_bytes())
    found = CellTruth.from_dict(file.truth)
    assert found.to_dict() == truth() and np.isnan(found.own[0, 1])
    np.testing.assert_array_equal(found.little, [[True, False], [False, False]])
    maps = {"own_map": [[0.5, np.nan], [1, 4]], "leak_map": [[0, -5], [0, 0]], "alone": [[0.6, 0.9], [0.8, 0.7]]}
    measured = SimpleNamespace(model="m", **{key: SimpleNamespace(value=np.array(m)) for key, m in maps.items()})
    assert CellTruth.of(measured).to_dict() == truth(own=[[0.5, None], [1, 2]], leak=[[0, -1], [0, 0]])
    measured.own_map = None
    with pytest.raises(ValueError, match="truth of m: own_map not measured"):
        CellTruth.of(measured)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "poet"}, "kind is 'poet'"),
        ({"name": ""}, "name is empty"),
        ({"license": None}, "license must be a text"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [{"name": "input", "shape": [0]}]}, "input 'input' has the shape"),
        ({"inputs": [{"name": "input", "shape": [3, 2**40, 2**40]}]}, "input 'input' has the shape"),
        ({"inputs": [{"name": "w", "shape": [3, 8, 8]}]}, "taken"),
        ({"outputs": []}, "outputs"),
        ({"outputs": ["z"]}, "output 'z' is not a value"),
        ({"outputs": ["y", "y"]}, "twice"),
        ({"preprocess": {"color": "CMYK", "mean": [0], "scale": [1]}}, "color is 'CMYK'"),
        ({"preprocess": {"color": "GRAY", "mean": [0], "scale": [1]}}, "do not fit the input"),
        ({"preprocess": {"color": "RGB", "mean": [0], "scale": [1, 1, 1]}}, "mean"),
        ({"thresholds": {"xcos": "high"}}, "thresholds"),
        ({"head": {"kind": "other"}}, "head must be"),
        ({"head": {"kind": "xcos", "grid": "grid"}}, "grid 'grid' is not among"),
        ({"head": {"kind": "xcos", "grid": "y", "embedding": "e"}}, "embedding 'e' is not among"),
        ({"head": {"kind": "xcos", "grid": "y", "temperature": 0}}, "temperature"),
        ({"head": {"kind": "xcos", "grid": "y", "normalization": "max"}}, "normalization"),
        ({"head": {"kind": "xcos", "grid": "y", "whole": 1.1}}, "head: whole is 1.1; expected a number from 0 to 1"),
        ({"head": {"kind": "xcos", "grid": "y", "whole": True}}, "head: whole is True"),
        ({"whole_curve": []}, "whole_curve must be an object"),
        ({"truth": {"window": 48}}, "truth must be an object with window, own, leak and alone"),
        ({"truth": truth(window=0)}, "truth: window is 0"),
        ({"truth": truth(own=[[0.5]])}, "maps .* of one shape"),
        ({"truth": truth(alone=[[0.5, None], [1, 1]])}, "alone must be known for every cell"),
        ({"truth": truth(leak=[[0, 3], [0, 0]])}, "leak must hold numbers from -1 to 2"),
        ({"truth": truth(leak=[[0], [0, 0]])}, "leak must be a list of rows"),
        ({"head": {"kind": "xcos", "grid": "y"}}, "'head.embed.weight' is missing"),
    ],
)
def test_bad_headers_are_named(changes, message):
    with pytest.raises(ModelFileError, match=message):
        ModelFile(**small(**changes))


def test_unknown_and_missing_keys():
    with pytest.raises(ModelFileError, match="unknown key 'colour'"):
        ModelFile.read(with_header(lambda header: header.update(colour="red")))
    with pytest.raises(ModelFileError, match="lacks layers"):
        ModelFile.read(with_header(lambda header: header.pop("layers")))
    with pytest.raises(ModelFileError, match="format 2; this version of xcos reads format 1"):
        ModelFile.read(with_header(lambda header: header.update(format=2)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(bad):
    fields = small()
    fields["tensors"]["w"][1, 2, 0, 1] = bad
    with pytest.raises(ModelFileError, match="tensor 'w' holds NaN or infinity"):
        ModelFile(**fields)


def test_head_tensors_must_fit():
    shapes = {
        "embed.weight": (16, 4, 3, 3),
        "embed.bias": (16,),
        "embed.prelu": (1,),
        "attend1.weight": (8, 32, 3, 3),
        "attend1.bias": (8,),
        "attend1.prelu": (1,),
        "attend2.weight": (1, 8, 3, 3),
        "attend2.bias": (1,),
        "attend2.prelu": (1,),
    }
    head = {"kind": "xcos", "grid": "y", "embedding": None}

    def file(**changed):
        sizes = shapes | {key.replace("_", "."): value for key, value in changed.items()}
        tensors = {f"head.{name}": np.ones(shape, np.float32) for name, shape in sizes.items()}
        fields = small(head=head)
        return ModelFile(**{**fields, "tensors": {**fields["tensors"], **tensors}})

    assert file().head == head
    with pytest.raises(ModelFileError, match=r"head.attend1.weight has the shape .* expected \(any, 32, 3, 3\)"):
        file(attend1_weight=(8, 16, 3, 3))
    with pytest.raises(ModelFileError, match=r"head.attend2.bias"):
        file(attend2_bias=(2,))


def test_writing_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    file = ModelFile(**small())
    file.write(path)
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        ModelFile(**small(name="other")).write(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["m.safetensors"]
    monkeypatch.undo()
    mapped = ModelFile.read(path)
    ModelFile(**small(name="other")).write(path)  # the mapping of the old file stays sound
    np.testing.assert_array_equal(mapped.tensors["w"], file.tensors["w"])
    assert ModelFile.read(path).name == "other"


def test_pickles_and_repr():
    file = ModelFile(**small())
    again = pickle.loads(pickle.dumps(file))
    assert again.layers == file.layers and repr(again) == "ModelFile('small', recognizer, 2 layers, 3 tensors)"
    np.testing.assert_array_equal(again.tensors["w"], file.tensors["w"])


def test_the_shipped_models_are_sound():
    folder = os.path.join(os.path.dirname(xcos.__file__), "models")
    names = sorted(name for name in os.listdir(folder) if name.endswith(".safetensors"))
    assert "mobilefacenet_xcos_v2.safetensors" in names
    for name in names:
        file = ModelFile.read(os.path.join(folder, name))
        assert file.license and file.origin and file.training
        assert os.path.isfile(os.path.join(folder, name.replace(".safetensors", ".md")))


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_pixels_become_inputs_as_the_header_says(color):
    """Mean and scale of each channel, in the order of the network's input."""
    pixels = np.random.default_rng(3).integers(0, 256, (2, 5, 4, 3), np.uint8)
    mean, scale = np.array([10.0, 127.5, 200.0]), np.array([0.5, 1 / 127.5, 2.0])
    pre = {"color": color, "mean": mean.tolist(), "scale": scale.tolist()}
    file = replace(xcos.load().file, preprocess=pre)
    expected = ((pixels if color == "RGB" else pixels[..., ::-1]) - mean) * scale
    np.testing.assert_allclose(as_input(file, pixels), expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-5)
    with pytest.raises(ModelFileError, match="no preprocess"):
        as_input(replace(file, preprocess=None), pixels)
