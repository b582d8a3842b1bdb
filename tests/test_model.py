"""The model end to end: photographs to features, scores, explanations. Oracles: ONNX Runtime, PyTorch, the
figures that came with the model."""

import pickle
import subprocess
import sys
import tarfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import plan_oracle
import pytest

import xcos
from xcos.recognition.features import plain_cosine

NAMES = ("obama_portrait_2012", "obama_congress_2009", "obama_blue_room_2010", "biden_blue_room_2010")
# shared/models/README.md: scores of the shipped photographs with head v0.
SAME, OTHERS = (0.55, 0.57, 0.64), (0.10, 0.10, 0.20)


@pytest.fixture(scope="module")
def model():
    return xcos.load()


@pytest.fixture(scope="module")
def paths(photos):
    return [photos[name] for name in NAMES]


@pytest.fixture(scope="module")
def features(model, paths):
    return model.features(paths)


@pytest.fixture(scope="module")
def crops(model, paths):
    return model.crops(paths)


def torch_head(tensors, a, b):
    """Transcription of the formulas of METHOD.md -> scores, cosines, attention."""
    import torch
    from torch.nn.functional import conv2d, cosine_similarity, prelu

    w = {name.removeprefix("head."): torch.tensor(t) for name, t in tensors.items() if name.startswith("head.")}

    def layer(x, name):
        return prelu(conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=1), w[f"{name}.prelu"])

    a, b = torch.tensor(a), torch.tensor(b)
    logits = layer(layer(torch.cat([layer(a, "embed"), layer(b, "embed")], 1), "attend1"), "attend2")
    attention = logits.flatten(1).softmax(1).unflatten(1, (7, 7))
    cosine = cosine_similarity(a, b, dim=1, eps=1e-6)
    return (attention * cosine).sum((1, 2)).numpy(), cosine.numpy(), attention.numpy()


def test_features_agree_with_onnx_runtime(shared, first_model, model, features, crops):
    """Both outputs of the model with head v0, which there is as ONNX; of the default model the embedding."""
    import onnxruntime

    session = onnxruntime.InferenceSession(shared / "models/mobilefacenet_xcos_v0.onnx")
    first = xcos.Model(first_model).features(crops, aligned=True)
    x = (crops[..., ::-1].astype(np.float32) - 127) / 128
    for i, image in enumerate(x.transpose(0, 3, 1, 2)):
        feed = {session.get_inputs()[0].name: np.ascontiguousarray(image[None])}
        embedding, grid = session.run(["embedding", "grid"], feed)
        for found in (first, features):
            np.testing.assert_allclose(found.embedding[i : i + 1], embedding, atol=2e-5 * np.abs(embedding).max())
        np.testing.assert_allclose(first.grid[i : i + 1], grid, atol=2e-5 * np.abs(grid).max())


def test_features_agree_with_numpy(model, features, crops):
    """The default model's grid by a twin in NumPy, in float64."""
    x = ((crops[:2, ..., ::-1].astype(np.float64) - 127) / 128).transpose(0, 3, 1, 2)
    grid = plan_oracle.run(model.file, {"input": x})["grid"]
    np.testing.assert_allclose(features.grid[:2], grid, atol=2e-5 * np.abs(grid).max())


def test_comparison_agrees_with_pytorch(model, features):
    first, second = features[[0, 0, 1, 2]], features[[1, 3, 2, 3]]
    compared = model.compare(first, second)
    score, cosine, attention = torch_head(model.file.tensors, first.grid, second.grid)
    np.testing.assert_allclose(compared.local, compared.explained * score, atol=2e-6)
    np.testing.assert_allclose(compared.cosine_map, cosine, atol=2e-6)
    np.testing.assert_allclose(compared.attention, attention, atol=2e-6)
    np.testing.assert_allclose(compared.contribution.sum((1, 2)) + compared.whole, compared.score, atol=2e-6)
    assert (compared.same == (compared.score > model.threshold)).all()
    x, y = first.embedding.astype(float), second.embedding.astype(float)
    expected = [p @ q / np.sqrt((p @ p) * (q @ q)) for p, q in zip(x, y, strict=True)]
    np.testing.assert_allclose(compared.cosine, expected, atol=1e-6)


def test_compare_all_is_compare_of_all(model, features):
    scores, cosine, attention = model.compare_all(features, features[:3], maps=True)
    assert scores.shape == (4, 3) and cosine.shape == attention.shape == (4, 3, 7, 7)
    np.testing.assert_array_equal(model.compare_all(features, features[:3]), scores)
    for i in range(4):
        row = model.compare(features[i], features[:3])  # one with each
        np.testing.assert_allclose(row.score, scores[i], atol=1e-6)
        np.testing.assert_allclose(row.attention, attention[i], atol=1e-6)


def test_known_scores_of_the_photographs(first_model, paths):
    model = xcos.Model(first_model)
    features = model.features(paths)
    scores = model.compare_all(features, features)
    same = sorted(scores[i, j] for i, j in ((0, 1), (0, 2), (1, 2)))
    others = sorted(scores[i, 3] for i in range(3))
    np.testing.assert_allclose(same, SAME, atol=0.05)
    np.testing.assert_allclose(others, OTHERS, atol=0.05)


def test_known_scores_of_aligned_crops(shared, first_model):
    """shared/models/README.md: the first four pairs of lfw_dev.bin, decoded by OpenCV."""
    jpegs, labels = pickle.loads((shared / "data/lfw_dev.bin").read_bytes(), encoding="bytes")
    images = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in jpegs[:8]]
    results = xcos.Model(first_model).verify(images[::2], images[1::2], aligned=True, bgr=True)
    np.testing.assert_allclose([r.score for r in results], [0.42670, 0.81279, 0.71349, 0.66238], atol=2e-4)
    assert [r.same for r in results] == [bool(label) for label in labels[:4]]


def test_explaining_a_list_is_batched(model, paths):
    """Pair by pair the same as one by one; memory grows by what the results hold, not by what the network needs."""
    faces = model.crops(paths[:2])
    rng = np.random.default_rng(0)
    crops = [np.clip(faces[i % 2] + rng.integers(-20, 20, faces[0].shape), 0, 255).astype(np.uint8) for i in range(100)]

    def memory(n):
        tracemalloc.start()
        found = model.explain(crops[:n], crops[-n:], aligned=True)
        kept, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return np.array([kept, peak]), found

    few, explained = memory(20)
    many, more = memory(80)
    growth = (many - few) / 60 / 1000  # kB a pair
    crop = 2 * 112 * 112 * 3 / 1000
    assert crop < growth[0] < crop + 15 and growth[1] < 250, growth
    for i in (0, 7, 19):
        assert explained[i] == model.explain(crops[i], crops[-20 + i], aligned=True)
        for name in ("cosine_map", "attention", "crops"):
            assert getattr(more[i], name).base is None


def test_verify_and_explain_agree(model, paths):
    v = xcos.verify(paths[0], paths[1])
    e = xcos.explain(paths[0], paths[1])
    assert v.same and e.same
    assert v.score == pytest.approx(e.score, abs=1e-6)
    assert v.cosine == pytest.approx(e.cosine, abs=1e-6)
    assert e.contribution.sum() + e.whole == pytest.approx(e.score, abs=1e-6)
    assert e.attention.sum() == pytest.approx(1, abs=1e-6)
    assert e.crops.shape == (2, 112, 112, 3) and e.crops.dtype == np.uint8
    np.testing.assert_array_equal(e.crops, model.crops(paths[:2]))
    assert e.names == (paths[0].name, paths[1].name)
    assert e.threshold == model.threshold and e.threshold_from == model.file.thresholds_from != ""
    assert e.model == model.name
    assert not xcos.verify(str(paths[0]), paths[3].read_bytes()).same


def test_lists_in_lists_out(model, paths):
    single = [model.verify(paths[0], p).score for p in paths[1:]]
    listed = model.verify([paths[0]] * 3, paths[1:])
    one_with_each = model.verify(paths[0], paths[1:])
    assert [r.score for r in listed] == pytest.approx(single, abs=1e-6)
    assert [r.score for r in one_with_each] == pytest.approx(single, abs=1e-6)
    explained = model.explain(paths[:1], paths[1:2])
    assert isinstance(explained, list) and explained[0].names == (paths[0].name, paths[1].name)
    backwards = model.explain(paths[1:], paths[0])
    assert [e.names[0] for e in backwards] == [p.name for p in paths[1:]]
    np.testing.assert_array_equal(backwards[1].crops[1], backwards[0].crops[1])
    assert model.verify([], []) == []
    with pytest.raises(ValueError, match="got 2 and 3"):
        model.verify(paths[:2], paths[1:])


def test_stacks_of_crops(model, crops, features):
    seen = model.features(crops, aligned=True)
    np.testing.assert_allclose(seen.grid, features.grid, atol=1e-5)
    one = model.features(crops[0], aligned=True)
    assert len(one) == 1
    blue_first = model.features(list(crops[..., ::-1]), aligned=True, bgr=True)
    np.testing.assert_array_equal(blue_first.grid, seen.grid)


def test_batches_threads_and_progress_change_nothing(model, crops, features):
    calls = []
    seen = model.features(
        crops, aligned=True, batch=3, threads=1, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(3, 4), (4, 4)]
    np.testing.assert_allclose(seen.grid, features.grid, atol=1e-6 * np.abs(features.grid).max())
    np.testing.assert_allclose(seen.embedding, features.embedding, atol=1e-6 * np.abs(features.embedding).max())
    with pytest.raises(ValueError, match="batch"):
        model.features(crops, aligned=True, batch=0)
    assert len(model.features([])) == 0


def test_features_are_a_stack(features):
    assert len(features) == 4 and features.grid.shape == (4, 128, 7, 7) and features.embedding.shape == (4, 512)
    assert features.grid.dtype == features.embedding.dtype == np.float32
    again = xcos.Features.concatenate([features[:1], features[1], *list(features)[2:]])
    np.testing.assert_array_equal(again.grid, features.grid)
    np.testing.assert_array_equal(features[[3, 0]].embedding, features.embedding[[3, 0]])
    assert len(features[features.embedding[:, 0] > np.inf]) == 0
    with pytest.raises(IndexError, match="face 4 of a stack of 4"):
        features[4]
    with pytest.raises(ValueError, match=r"\(N, D, H, W\)"):
        xcos.Features(features.grid[0], features.embedding)
    with pytest.raises(ValueError, match="4 faces, embedding 3"):
        xcos.Features(features.grid, features.embedding[:3])


def test_mismatched_stacks(model, features):
    with pytest.raises(ValueError, match="got 4 and 3"):
        model.compare(features, features[:3])
    assert len(model.compare(features[:0], features[:0])) == 0
    assert model.compare_all(features[:0], features).shape == (0, 4)


def test_plain_cosine_of_nothing():
    np.testing.assert_array_equal(plain_cosine(np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)), [0, 0])


def test_threshold_of_the_caller(paths):
    v = xcos.verify(paths[0], paths[1], threshold=0.9)
    assert not v.same and v.threshold == 0.9 and v.threshold_from == "given by the caller"
    exact = xcos.verify(paths[0], paths[1], threshold=v.score)
    assert not exact.same  # the score must be over it


def test_choice_of_the_face(model, paths, features):
    group = np.hstack([xcos.read_image(paths[i])[:600, :600] for i in (0, 3)])
    found = xcos.detect(group)
    assert len(found) >= 2
    biden = max(range(2), key=lambda i: found[i].box[0])
    assert model.verify(group, paths[3], face=(biden, None)).same
    assert model.verify(paths[0], group, face=(None, 1 - biden)).same
    assert not model.verify(group, group, face=(0, 1)).same
    both = model.features([group, group], face=[0, found[1]])
    assert model.compare(both[biden], features[3]).same[0]
    with pytest.raises(ValueError, match="face"):
        model.features([group], face=[0, 1])


@pytest.fixture(scope="module")
def group(paths):
    """Two people in one photograph: the first of the four at the left, the last at the right."""
    left, right = (cv2.resize(xcos.read_image(path), (480, 600)) for path in (paths[0], paths[3]))
    return np.hstack([left, right])


def test_all_faces_of_a_photograph(model, group, features):
    found = model.faces(group)
    assert [face.to_dict() for face in found] == [face.to_dict() for face in xcos.detect(group)]
    assert len(found) == 2 and repr(found[0]).startswith("SeenFace(box=(")
    for i, face in enumerate(found):
        alone = model.features(group, face=i)
        np.testing.assert_array_equal(face.crop, model.crops(group, face=i)[0])
        np.testing.assert_allclose(face.grid, alone.grid[0], atol=1e-5)
        np.testing.assert_allclose(face.embedding, alone.embedding[0], atol=1e-5)
        assert len(face.features) == 1 and face.grid.shape == (128, 7, 7)
    left, right = sorted(found, key=lambda face: face.box[0])
    scores = model.compare_all(xcos.Features.concatenate([left.features, right.features]), features)
    assert (scores > model.threshold).tolist() == [[True, True, True, False], [False, False, False, True]]
    assert model.verify(group, group, face=(left, 1)).same != model.verify(group, group, face=(right, 1)).same


def test_a_photograph_without_faces_has_none(model):
    assert model.faces(np.zeros((200, 300, 3), np.uint8)) == []
    with pytest.raises(ValueError, match="min_score: expected 0 to 1"):
        model.faces(np.zeros((200, 300, 3), np.uint8), min_score=2)
    with pytest.raises(xcos.ImageError, match="the content is text"):
        model.faces(b"no group")


def test_errors_name_the_image(model, paths, tmp_path):
    grey = tmp_path / "grey wall.png"
    cv2.imwrite(str(grey), np.full((200, 200), 128, np.uint8))
    with pytest.raises(xcos.NoFaceError, match="grey wall"):
        model.verify(paths[0], grey)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        model.verify(tmp_path / "nowhere.jpg", paths[0])
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(xcos.ImageError, match=r"text\.jpg"):
        model.features([paths[0], tmp_path / "text.jpg"])
    with pytest.raises(xcos.ImageError, match="112"):
        model.features(paths[0], aligned=True)


def test_default_model_is_shared_between_threads():
    with ThreadPoolExecutor(8) as pool:
        assert len({id(m) for m in pool.map(lambda _: xcos.load(), range(16))}) == 1


def test_many_threads_at_once(model, paths):
    expected = model.verify(paths[0], paths[1]).score
    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(lambda _: model.verify(paths[0], paths[1]).score, range(8)))
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_save_load_and_pickle(model, features, crops, tmp_path):
    path = tmp_path / "copy ü.safetensors"
    model.save(path)
    for again in (xcos.Model.load(path), xcos.load(path), pickle.loads(pickle.dumps(model))):
        assert again.name == model.name and again.threshold == model.threshold
        seen = again.features(crops, aligned=True)
        np.testing.assert_array_equal(again.compare(seen[0], seen[1]).score, model.compare(seen[0], seen[1]).score)


def test_load_says_what_there_is(tmp_path):
    with pytest.raises(xcos.ModelFileError, match=r"'nothing'.*mobilefacenet_xcos_v2"):
        xcos.load("nothing")
    with pytest.raises(FileNotFoundError):
        xcos.load(tmp_path / "nothing.safetensors")
    with pytest.raises(xcos.ModelFileError, match="expected a recognizer with an xCos head, got a detector"):
        xcos.load("yunet")
    (tmp_path / "text.safetensors").write_text("no model")
    with pytest.raises(xcos.ModelFileError, match="text"):
        xcos.load(tmp_path / "text.safetensors")


def test_photographs_as_users_have_them(shared, model, tmp_path):
    """Two photographs each of three people, from a tar: bytes in, the right decisions out."""
    with tarfile.open(shared / "data/lfw_photos.tar") as tar:
        members = sorted((m for m in tar if m.isfile() and m.name.endswith(".jpg")), key=lambda m: m.name)[:6]
        data = [tar.extractfile(m).read() for m in members]
    seen = model.features(data)
    scores = model.compare_all(seen, seen)
    same = np.array([scores[i, i + 1] for i in (0, 2, 4)])
    others = np.array([scores[i, j] for i in range(6) for j in range(i) if i // 2 != j // 2])
    assert same.min() > others.max()


def test_import_is_light():
    code = """
import sys, xcos
heavy = {"matplotlib", "tqdm", "onnx", "torch", "PIL", "cv2", "scipy"}
xcos.read_image, xcos.detect, xcos.verify, xcos.load().threshold
print(sorted(heavy & set(sys.modules)), sorted(set(xcos.__all__) - set(dir(xcos))))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[] []"


def test_modules_after_import_xcos():
    code = """
import sys, xcos
assert not [name for name in xcos._MODULES if "xcos." + name in sys.modules]
print(sorted(set(xcos._MODULES) - set(dir(xcos))), xcos.explainers.XCos.__name__, xcos.faithfulness.truth.__name__)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[] XCos truth"
    for name in xcos._MODULES:
        assert getattr(xcos, name).__name__ == f"xcos.{name}"


def test_public_names():
    assert sorted(xcos.__all__) == sorted(xcos._HOME)
    for name in xcos.__all__:
        assert getattr(xcos, name) is not None
        if name != "__version__":
            assert getattr(xcos, name).__doc__, name
    with pytest.raises(AttributeError, match="nothing"):
        xcos.nothing  # noqa: B018
