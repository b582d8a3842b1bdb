"""detect, align, choose and crop, against OpenCV and NumPy."""

import io
import itertools
import json
import pickle
import threading

import cv2
import numpy as np
import pytest
from PIL import Image

import xcos
from xcos import _core
from xcos.errors import ImageError, NoFaceError
from xcos.faces import TEMPLATE, Face, align, choose, crop, detect, detection, looks
from xcos.faces.folders import collection

RNG = np.random.default_rng(11)


@pytest.fixture(scope="module")
def portrait(photos) -> np.ndarray:
    return xcos.read_image(photos["obama_portrait_2012"])


@pytest.fixture(scope="module")
def scene(photos) -> np.ndarray:
    """2,000 x 3,000 pixels with the four photographs made small: faces of about 90 to 150 pixels."""
    canvas = np.full((2000, 3000, 3), 96, np.uint8)
    for i, path in enumerate(photos.values()):
        photo = cv2.resize(xcos.read_image(path), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        y, x = 100 + 950 * (i // 2), 300 + 1500 * (i % 2)
        canvas[y : y + photo.shape[0], x : x + photo.shape[1]] = photo
    return canvas


def iou(a, b) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


# ------------------------------------------------------------------- detect


def test_yunet_is_opencvs(photos, shared):
    model = str(shared / "models" / "yunet_2023mar_int8bq.onnx")
    for path in photos.values():
        image = xcos.read_image(path)
        size = image.shape[1::-1]
        _, expected = cv2.FaceDetectorYN_create(model, "", size, 0.6, 0.3).detect(image[..., ::-1].copy())
        ours = looks.look(image, (0.6, 0.6), 0.3, 10_000, (0,), None)
        assert len(ours) == len(expected)
        theirs = np.column_stack([expected[:, :2], expected[:, :2] + expected[:, 2:4], expected[:, 14]])
        np.testing.assert_allclose(ours[:, :5], theirs, rtol=1e-4, atol=1e-2)
        np.testing.assert_allclose(ours[:, 5:15], expected[:, 4:14], rtol=1e-4, atol=1e-2)


def test_detect(photos):
    for path in photos.values():
        (face,) = detect(path)
        left, top, right, bottom = face.box
        assert face.score > 0.9 and face.points.shape == (5, 2) and face.points.dtype == np.float32
        assert ((face.points > (left, top)) & (face.points < (right, bottom))).all()
        eye, other, nose, mouth, corner = face.points
        assert eye[0] < nose[0] < other[0] and mouth[0] < corner[0]
        assert max(eye[1], other[1]) < nose[1] < min(mouth[1], corner[1])


def test_small_faces_in_a_large_photograph(scene):
    found = detect(scene)
    assert len(found) == 4
    assert [f.score for f in found] == sorted((f.score for f in found), reverse=True)
    assert all(50 < f.box[3] - f.box[1] < 200 for f in found)
    assert detect(scene, max_side=160) == []


@pytest.mark.parametrize("scale", [0.07, 0.3, 1, 3, 5])
def test_points_keep_their_place_at_every_scale(portrait, scale):
    (reference,) = detect(portrait)
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    (face,) = detect(cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=kind))
    assert iou(np.array(face.box) / scale, reference.box) > 0.75
    eyes = np.linalg.norm(reference.points[1] - reference.points[0])
    off = np.linalg.norm((face.points + 0.5) / scale - 0.5 - reference.points, axis=1)
    assert off.max() < (0.15 if scale < 0.1 else 0.06) * eyes  # at 0.07 the eyes are 6 pixels apart


@pytest.mark.parametrize("degrees", [-30, 20, 35])
def test_turned_faces(portrait, degrees):
    (reference,) = detect(portrait)
    height, width = portrait.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    (face,) = detect(cv2.warpAffine(portrait, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE))
    expected = reference.points @ matrix[:, :2].T + matrix[:, 2]
    eyes = np.linalg.norm(reference.points[1] - reference.points[0])
    assert np.linalg.norm(face.points - expected, axis=1).max() < 0.12 * eyes


def test_a_face_that_fills_the_picture(portrait):
    (reference,) = detect(portrait)
    left, top, right, bottom = (round(v) for v in reference.box)
    for side in (40, 64, 112, 1500):
        tight = cv2.resize(portrait[top:bottom, left:right], (side, side), interpolation=cv2.INTER_AREA)
        found = detect(tight)
        assert len(found) == 1 and iou(found[0].box, (0, 0, side, side)) > 0.6, side


def test_lists_and_inputs(photos, portrait):
    path = photos["obama_portrait_2012"]
    many = detect([path, path.read_bytes(), portrait])
    assert [len(found) for found in many] == [1, 1, 1]
    assert many[0][0].box == many[1][0].box == many[2][0].box
    (mirrored,) = detect(portrait[..., ::-1], bgr=True)
    assert mirrored.box == many[0][0].box
    assert [len(found) for found in detect(np.stack([portrait, portrait[:, ::-1]]))] == [1, 1]
    assert detect([]) == [] and detect(np.zeros((80, 90, 3), np.uint8)) == []
    assert detect(np.zeros((1, 1, 3), np.uint8)) == []


def test_detect_is_safe_from_threads(photos):
    paths, results = list(photos.values()), {}
    expected = [f.box for (f,) in detect(paths)]
    threads = [
        threading.Thread(target=lambda i=i: results.update({i: detect(paths[i % 4])[0].box})) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(8):
        np.testing.assert_allclose(results[i], expected[i % 4], atol=1e-3)


@pytest.mark.parametrize("bad", [{"min_score": 1.5}, {"max_iou": -0.1}, {"max_side": 31}, {"min_score": float("nan")}])
def test_detect_refuses_nonsense(bad, portrait):
    (name,) = bad
    with pytest.raises(ValueError, match=name):
        detect(portrait, **bad)


def test_face_as_data(photos):
    (face,) = detect(photos["biden_blue_room_2010"])
    data = json.loads(json.dumps(face.to_dict()))
    assert data["box"] == list(face.box) and data["score"] == face.score
    np.testing.assert_array_equal(np.float32(data["points"]), face.points)
    assert repr(face).startswith("Face(box=(") and len(repr(face)) < 80
    again = pickle.loads(pickle.dumps(face))
    assert again.box == face.box and np.array_equal(again.points, face.points)
    with pytest.raises(AttributeError):
        face.score = 1


# -------------------------------------------------------------------- align


def umeyama(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Umeyama (1991), equations 40 to 42: the similarity without reflection, by SVD. (2, 3)."""
    mean, goal = points.mean(0), target.mean(0)
    u, d, vt = np.linalg.svd((target - goal).T @ (points - mean) / len(points))
    sign = np.diag([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    scale = np.trace(np.diag(d) @ sign) / ((points - mean) ** 2).sum(1).mean()
    matrix = scale * u @ sign @ vt
    return np.column_stack([matrix, goal - matrix @ mean])


def bilinear(image: np.ndarray, matrix: np.ndarray, height: int, width: int, border=(0, 0, 0)) -> np.ndarray:
    """Warp in float64: destination to source, samples outside read the border."""
    y, x = np.mgrid[:height, :width]
    sx, sy = (matrix[i, 0] * x + matrix[i, 1] * y + matrix[i, 2] for i in range(2))
    x0, y0 = np.floor(sx).astype(int), np.floor(sy).astype(int)

    def at(i, j):
        inside = (i >= 0) & (j >= 0) & (i < image.shape[0]) & (j < image.shape[1])
        values = image[np.clip(i, 0, image.shape[0] - 1), np.clip(j, 0, image.shape[1] - 1)].astype(float)
        return np.where(inside[..., None], values, np.array(border, float))

    fx, fy = (sx - x0)[..., None], (sy - y0)[..., None]
    top = at(y0, x0) * (1 - fx) + at(y0, x0 + 1) * fx
    bottom = at(y0 + 1, x0) * (1 - fx) + at(y0 + 1, x0 + 1) * fx
    return top * (1 - fy) + bottom * fy


@pytest.mark.parametrize("border", [(0, 0, 0), (9, 200, 77)])
def test_warp(border):
    image = RNG.integers(0, 256, (41, 57, 3), np.uint8)
    for _ in range(20):
        matrix = RNG.normal(0, 1, (2, 3)) * (1, 1, 20)
        out = _core.warp(image, matrix, 33, 29, border)
        assert out.shape == (33, 29, 3) and out.dtype == np.uint8
        assert np.abs(out - bilinear(image, matrix, 33, 29, border)).max() <= 0.51


def test_warp_far_outside_and_nonsense():
    image = RNG.integers(0, 256, (5, 6, 3), np.uint8)
    far = _core.warp(image, [[1e300, 0, 1e300], [0, 1, 0]], 4, 4, (1, 2, 3))
    assert (far == (1, 2, 3)).all()
    np.testing.assert_array_equal(_core.warp(image, [[1, 0, 0], [0, 1, 0]], 5, 6), image)
    with pytest.raises(ValueError, match="finite"):
        _core.warp(image, [[np.nan, 0, 0], [0, 1, 0]], 4, 4)
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        _core.warp(image, np.eye(3), 4, 4)
    with pytest.raises(ValueError, match="at least 1"):
        _core.warp(image, np.eye(3)[:2], 0, 4)


def test_align_is_umeyama_and_bilinear(portrait):
    for _ in range(10):
        points = TEMPLATE * RNG.uniform(0.5, 2) @ np.linalg.qr(RNG.normal(size=(2, 2)))[0]
        points = points - points.mean(0) + (380, 230) + RNG.normal(0, 8, (5, 2))
        matrix = umeyama(points, TEMPLATE)
        assert np.linalg.det(matrix[:, :2]) > 0  # also when the points are mirrored
        inverse = cv2.invertAffineTransform(matrix)
        out = align(portrait, points)
        assert out.shape == (112, 112, 3) and out.dtype == np.uint8
        assert np.abs(out - bilinear(portrait, inverse, 112, 112)).max() <= 0.52
        theirs = cv2.warpAffine(portrait, matrix, (112, 112), flags=cv2.INTER_LINEAR)
        assert np.abs(out.astype(int) - theirs).mean() < 1  # OpenCV rounds coordinates to 1/32 pixel


def test_align_brings_points_to_the_template(photos):
    for path in photos.values():
        (face,) = detect(align(path, detect(path)[0], 224))
        assert np.abs(face.points / 2 - TEMPLATE).mean() < 3  # faces differ from the template


def test_align_stacks_and_sizes(portrait):
    (face,) = detect(portrait)
    one = align(portrait, face)
    np.testing.assert_array_equal(one, align(portrait, face.points))
    np.testing.assert_array_equal(one, align(portrait, face.points.tolist()))
    for many in ([face, face.points], (face, face), np.stack([face.points] * 2)):
        stack = align(portrait, many)
        assert stack.shape == (2, 112, 112, 3) and (stack == one).all()
    assert align(portrait, []).shape == (0, 112, 112, 3)
    half = align(portrait, face, size=56)
    np.testing.assert_array_equal(half, one[::2, ::2])  # pixel i of the small crop is pixel 2 i


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (np.zeros((5, 2)), "one place"),
        (np.full((5, 2), np.nan), "finite"),
        (np.zeros((4, 2)), r"\(4, 2\)"),
        (np.zeros((2, 2, 5, 2)), r"\(2, 2, 5, 2\)"),
    ],
)
def test_align_refuses_nonsense(points, said, portrait):
    with pytest.raises(ValueError, match=said):
        align(portrait, points)
    with pytest.raises(ValueError, match="size"):
        align(portrait, TEMPLATE, size=0)


# ---------------------------------------------------------- choose and crop


def face_at(left, top, right, bottom, score=0.9) -> Face:
    return Face((left, top, right, bottom), score, np.zeros((5, 2), np.float32))


def test_choose():
    middle, corner, large = face_at(40, 40, 60, 60), face_at(0, 0, 22, 22, 0.99), face_at(10, 30, 50, 70)
    assert choose([corner, middle], (100, 100)) is middle
    assert choose([corner, middle, large], (100, 100, 3)) is large
    with pytest.raises(NoFaceError):
        choose([], (100, 100))


def test_crop_takes_the_main_face(photos, scene):
    for path in photos.values():
        image = xcos.read_image(path)
        expected = align(image, choose(detect(image), image.shape))
        assert np.abs(crop(path).astype(int) - expected).mean() < 4  # found at another scale
    found = detect(scene)
    for i, face in enumerate(found):
        np.testing.assert_array_equal(crop(scene, face=i), align(scene, face))
        np.testing.assert_array_equal(crop(scene, face=face), align(scene, face))
    assert np.abs(crop(scene).astype(int) - align(scene, choose(found, scene.shape))).mean() < 1


def test_aligned_crops_are_taken_as_they_are(portrait):
    image = align(portrait, detect(portrait)[0])
    np.testing.assert_array_equal(crop(image, aligned=True), image)
    np.testing.assert_array_equal(crop(image, aligned=True, bgr=True), image[..., ::-1])
    with pytest.raises(ImageError, match="112 x 112 pixels, this is 720 x 900"):
        crop(portrait, aligned=True)


def test_no_face_names_the_picture(tmp_path, photos):
    path = tmp_path / "wall.png"
    cv2.imwrite(str(path), np.full((300, 400, 3), 120, np.uint8))
    with pytest.raises(NoFaceError, match=r"wall\.png: no face .* 400 x 300"):
        crop(path)
    for number in (1, -1):
        with pytest.raises(NoFaceError, match=rf"biden.*no face {number}; 1 found"):
            crop(photos["biden_blue_room_2010"], face=number)


def test_faces_of_lfw_and_celeba_are_found(shared):
    import tarfile

    for name, step in (("lfw_photos.tar", 5), ("celeba_photos.tar", 5)):
        with tarfile.open(shared / "data" / name) as archive:
            members = [m for m in archive if m.isfile()][::step]
            assert all(detect(archive.extractfile(m)) for m in members), name


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_turned_photographs(photos, turn):
    """Box and points lie where the upright ones do once the picture is turned; the crop is the same face, upright."""
    for path in photos.values():
        pixels = xcos.read_image(path)
        upright, turned = xcos.detect(pixels)[0], np.ascontiguousarray(np.rot90(pixels, turn // 90))  # counterclockwise
        (face,) = xcos.detect(turned)
        assert (face.turn, face.to_dict()["turn"], upright.turn) == (turn, turn, 0) and f"turn={turn}" in repr(face)
        h, w = pixels.shape[:2]
        x, y = upright.points.T
        expected = {90: (y, w - 1 - x), 180: (w - 1 - x, h - 1 - y), 270: (h - 1 - y, x)}[turn]
        size = upright.box[3] - upright.box[1]
        np.testing.assert_allclose(face.points, np.stack(expected, 1), atol=0.02 * size)
        crop = xcos.crop(turned)
        assert np.abs(crop.astype(int) - xcos.crop(pixels)).mean() < 5
        np.testing.assert_array_equal(crop, xcos.crop(turned, face=0))
        np.testing.assert_array_equal(crop, xcos.crop(turned, face=face))
        try:
            assert all(one.turn == 0 and one.score < face.score for one in xcos.detect(turned, upright=True))
            assert xcos.crop(turned, upright=True).shape == crop.shape
        except xcos.NoFaceError:
            pass


def looks_at(picture, monkeypatch):
    """The faces of a picture, and how often the detector ran for them."""
    runs, run = [], looks.run
    with monkeypatch.context() as patch:
        patch.setattr(looks, "run", lambda name, *args: runs.append(name) or run(name, *args))
        found = detect(picture)
    return found, runs.count("yunet")


@pytest.fixture(scope="module")
def squares(photos):
    pictures = []
    for picture in map(xcos.read_image, photos.values()):
        side = min(picture.shape[:2])
        pictures.append(cv2.resize(picture[:side, :side], (700, 700)))
    return pictures


def test_people_who_stand_side_by_side(squares, monkeypatch):
    """Where both are seen well, the detector runs no more often than for its two looks."""
    for two in itertools.combinations(squares, 2):
        found, runs = looks_at(np.hstack(two), monkeypatch)
        assert {face.turn for face in found} == {0}
        assert runs == 2 or min(face.score for face in found) < 0.905


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_each_face_of_a_group_has_its_own_turn(squares, quarters, monkeypatch):
    """Two people side by side, one of whom lies or stands on their head: both are who they are upright."""
    for upright, lies in zip(squares, np.roll(squares, quarters, 0), strict=True):  # each pair, over the three turns
        group = np.hstack([upright, np.rot90(lies, quarters)])
        found, _ = looks_at(group, monkeypatch)
        left, right = sorted(found, key=lambda face: face.box[0])
        assert (left.turn, right.turn) == (0, 90 * quarters)
        assert xcos.verify(group, lies, face=(right, None)).score > 0.8
        assert all(face.turn == 0 for face in detect(group, upright=True))


@pytest.mark.parametrize("turned", [False, True])
def test_panoramas(photos, turned, monkeypatch):
    """40,000 pixels wide, or 14,000 high: the faces of four photographs set into it, where they were set, and who they
    are."""
    width = 14_000 if turned else 40_000
    canvas, expected = np.full((600, width, 3), 100, np.uint8), []
    for i, path in enumerate(photos.values()):
        picture = xcos.read_image(path)
        picture = cv2.resize(picture, None, fx=500 / max(picture.shape[:2]), fy=500 / max(picture.shape[:2]))
        x = 150 + (width - 4_000) // 3 * i
        canvas[40 : 40 + picture.shape[0], x : x + picture.shape[1]] = picture
        (face,) = detect(picture)
        expected.append(np.add(face.box, [x, 40, x, 40]))
    canvas = np.ascontiguousarray(np.rot90(canvas)) if turned else canvas
    found, runs = looks_at(canvas, monkeypatch)
    assert len(found) == 4 and all(face.turn == 90 * turned for face in found)
    if not turned:
        for face, box in zip(sorted(found, key=lambda face: face.box[0]), expected, strict=True):
            assert iou(face.box, box) > 0.7
        assert runs < 40
    model = xcos.load()
    seen = model.features([canvas, *photos.values()])
    assert model.compare(seen[[0] * 4], seen[1:], maps=False).same.any()


@pytest.mark.parametrize("angle", [0, 30, 45, 60, 90, 135, 180, 200, 270, 315])
def test_a_face_at_any_angle_is_the_same_person(photos, angle):
    for path in photos.values():
        image = Image.open(path).convert("RGB")
        turned = image.rotate(-angle, Image.Resampling.BICUBIC, expand=True)
        assert xcos.verify(path, turned).score > 0.85


def test_turned_photographs_of_data_sets(shared):
    """The bar: 38 of 40 of each quarter turn are the person that they are upright."""
    model = xcos.load()
    for name in ("celeba_photos.tar", "lfw_photos.tar"):
        names, read = collection(shared / "data" / name)
        chosen = [xcos.read_image(read(i)) for i in range(0, len(names), len(names) // 13)][:13]
        first = model.features(chosen)
        for quarters in (1, 2, 3):
            turned = model.features([np.ascontiguousarray(np.rot90(pixels, quarters)) for pixels in chosen])
            assert model.compare(first, turned, maps=False).same.sum() >= 12


def test_one_way_of_looking(photos, scene):
    """A face is cut out alike whoever asks for it, at any size of the picture."""
    for path in photos.values():
        full = Image.open(path).convert("RGB")
        for side in (200, 320, 500, 640, 900, 1600):
            scale = side / max(full.size)
            pixels = np.asarray(full.resize([round(n * scale) for n in full.size]))
            found = xcos.detect(pixels)
            main = found.index(choose(found, pixels.shape))
            np.testing.assert_array_equal(xcos.crop(pixels), xcos.crop(pixels, face=main))
            assert xcos.verify(pixels, pixels, face=(None, main)).score == pytest.approx(1, abs=1e-5)


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92)
    return file.getvalue()


def test_a_large_jpeg_is_read_at_reduced_scale(photos, portrait, monkeypatch):
    """For one large face that is enough: the same face at the same place, the same person to the third digit."""
    data = jpeg(np.asarray(Image.fromarray(portrait).resize((2160, 2704), Image.Resampling.BICUBIC)))
    whole = detection.cut(xcos.read_image(data))
    with monkeypatch.context() as patch:
        patch.setattr(detection, "read_content", None)  # which reads whole ones
        reduced = detection.cut(data)
    assert reduced.shape == whole.shape == (2704, 2160)
    assert np.abs(reduced.face.points - whole.face.points).max() < 3 and iou(reduced.face.box, whole.face.box) > 0.98
    other = xcos.crop(photos["obama_congress_2009"])
    scores = [xcos.verify(cut.crop, other, aligned=True).score for cut in (reduced, whole)]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)


def test_a_small_face_of_a_large_jpeg_is_taken_from_all_its_pixels(portrait):
    canvas = np.full((2000, 3000, 3), 96, np.uint8)
    canvas[200:650, 400:760] = cv2.resize(portrait, (360, 450), interpolation=cv2.INTER_AREA)
    data = jpeg(canvas)
    np.testing.assert_array_equal(xcos.crop(data), xcos.crop(xcos.read_image(data)))
