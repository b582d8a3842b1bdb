"""Masks, sunglasses and parts of faces: where they lie, by the detector's own points, OpenCV and worked examples."""

from pathlib import Path

import numpy as np
import pytest

import xcos
from xcos import faces
from xcos.datasets import wear

DOCS = Path(__file__).parents[1] / "docs"
FRONTAL = ("KN95", "N95", "cloth", "surgical", "surgical_blue", "surgical_green")


@pytest.fixture(scope="module")
def surgical():
    pytest.importorskip("PIL")
    return wear.read_masks(DOCS)["surgical"]


@pytest.fixture(scope="module")
def crop(photos):
    return faces.crop(photos["obama_portrait_2012"])


def at(worn, points):
    return [bool(worn.covered[round(float(y)), round(float(x))]) for x, y in points]


def unchanged(worn, pixels):
    assert worn.image.shape == pixels.shape and worn.image.dtype == np.uint8
    assert (worn.image[~worn.covered] == pixels[~worn.covered]).all()
    assert 0 < worn.covered.sum() < worn.covered.size / 2


def test_68_points(photos, crop):
    """Those of a photograph bring YuNet's face to the same five places; those of its crop are the same places."""
    found = faces.cut(photos["obama_portrait_2012"])
    points = faces.landmarks(photos["obama_portrait_2012"], found.face)
    assert points.shape == (68, 2)
    five = [points[[37, 38, 40, 41]].mean(0), points[[43, 44, 46, 47]].mean(0), points[30],
            points[[48, 60]].mean(0), points[[54, 64]].mean(0)]  # fmt: skip
    np.testing.assert_allclose(five, found.face.points, atol=1)  # of 84 between the eyes
    size = np.hypot(*(found.face.points[1] - found.face.points[0]))
    own = faces.landmarks(crop)
    eyes = own[[37, 38, 40, 41]].mean(0), own[[43, 44, 46, 47]].mean(0)
    np.testing.assert_allclose(eyes, faces.TEMPLATE[:2], atol=3)
    jaw = np.linalg.norm(points[0] - points[16]) / size
    assert np.linalg.norm(own[0] - own[16]) / np.linalg.norm(eyes[1] - eyes[0]) == pytest.approx(jaw, rel=0.1)
    with pytest.raises(xcos.ImageError, match="112 x 112"):
        faces.landmarks(photos["obama_portrait_2012"])


@pytest.mark.parametrize("name", ["obama_portrait_2012", "biden_blue_room_2010"])
def test_a_mask_is_on_nose_and_mouth(photos, surgical, name):
    pixels, face = xcos.read_image(photos[name]), faces.cut(photos[name]).face
    worn = wear.mask(photos[name], surgical)
    unchanged(worn, pixels)
    assert at(worn, face.points) == [False, False, True, True, True]
    assert worn.face == face
    crop = faces.align(pixels, face)
    on_crop = wear.mask(crop, surgical, aligned=True)
    unchanged(on_crop, crop)
    assert at(on_crop, faces.TEMPLATE) == [False, False, True, True, True] and on_crop.face is None
    cells = on_crop.cells()
    np.testing.assert_allclose(cells, on_crop.covered.reshape(7, 16, 7, 16).mean((1, 3)))
    assert cells[:2].max() == 0 and cells[5, 2:5].min() > 0.9
    np.testing.assert_allclose(worn.cells(), cells, atol=0.25)  # points of the crop, and of the photograph
    assert abs(worn.cells() - cells).mean() < 0.03


def test_covered_cells_of_a_photograph(photos, surgical):
    """By OpenCV's warp of what is covered in the photograph; of a crop they are counts of its pixels."""
    cv2 = pytest.importorskip("cv2")
    worn = wear.mask(photos["obama_congress_2009"], surgical)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(worn.covered.astype(np.float32), worn.face.matrix, (112, 112), flags=flags)
    np.testing.assert_allclose(worn.on_crop(), expected, atol=0.04)  # OpenCV's places are of 1/32 pixel
    np.testing.assert_allclose(worn.cells(), expected.reshape(7, 16, 7, 16).mean((1, 3)), atol=0.005)
    assert abs(worn.cells(1, 1)[0, 0] - expected.mean()) < 1e-3 and 0.2 < expected.mean() < 0.4
    on_crop = wear.mask(faces.crop(photos["obama_congress_2009"]), surgical, aligned=True)
    assert set(np.unique(on_crop.on_crop())) == {0, 1} and on_crop.on_crop().sum() == on_crop.covered.sum()


@pytest.mark.parametrize("name", ["obama_portrait_2012", "obama_congress_2009", "biden_blue_room_2010"])
def test_sunglasses_are_on_the_eyes(photos, name):
    pixels, face = xcos.read_image(photos[name]), faces.cut(photos[name]).face
    worn = wear.sunglasses(photos[name])
    unchanged(worn, pixels)
    assert at(worn, face.points) == [True, True, False, False, False]
    across = face.points[1] - face.points[0]
    middle, aside = face.points[:2].mean(0), np.array([-across[1], across[0]])
    assert at(worn, [middle + 0.12 * aside, middle - 0.085 * aside]) == [False, True]  # the bar is above the eyes
    assert (worn.image[worn.covered] <= pixels[worn.covered].clip(20)).all()


def test_colour_and_lens_of_sunglasses(crop):
    """Ellipses of 0.43 and 0.31 distances of the eyes, counted by the pixel."""
    worn = wear.sunglasses(crop, colour=(200, 0, 0), aligned=True)
    points = faces.landmarks(crop)
    eyes = [points[[37, 38, 40, 41]].mean(0), points[[43, 44, 46, 47]].mean(0)]
    apart = np.linalg.norm(eyes[1] - eyes[0])
    rows = np.arange(112)[:, None] > max(eyes[0][1], eyes[1][1]) + 0.1 * apart  # below the bar
    expected = 2 * np.pi * 0.43 * 0.31 * apart**2 / 2
    found = (worn.covered & rows).sum()
    assert 0.8 * expected < found < 1.1 * expected
    assert (worn.image[round(eyes[0][1]), round(eyes[0][0])] == (200, 0, 0)).all()


def test_a_mask_lies_where_its_perspective_says(crop):
    """A sheet of paint whose six points are a known perspective picture of the face's own."""
    cv2 = pytest.importorskip("cv2")
    six = faces.landmarks(crop)[list(wear.MASK_POINTS)]
    to = np.array([[4.0, 0.3, -60], [-0.2, 4.2, -150], [0.0005, 0.001, 1]])
    u, v, w = to @ np.column_stack([six, np.ones(6)]).T
    rng = np.random.default_rng(0)
    paint = np.full((240, 320, 4), 255, np.uint8)
    paint[..., :3] = cv2.GaussianBlur(rng.integers(0, 256, (240, 320, 3)).astype(np.uint8), (0, 0), 9)
    sheet = wear.Mask("sheet", paint, np.column_stack([u / w, v / w]))
    worn = wear.mask(crop, sheet, aligned=True)
    opacity = np.full((240, 320), 255, np.uint8)
    sure = cv2.warpPerspective(opacity, np.linalg.inv(to), (112, 112)) == 255
    kernel = np.ones((3, 3), np.uint8)
    inside = cv2.erode(sure.astype(np.uint8), kernel).astype(bool)
    near = cv2.dilate(sure.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    assert inside.sum() > 1500 and worn.covered[inside].all() and not worn.covered[~near].any()
    seen = cv2.warpPerspective(paint[..., :3], np.linalg.inv(to), (112, 112), flags=cv2.INTER_LINEAR)
    assert abs(worn.image[inside].astype(int) - seen[inside]).mean() < 3  # ours is averaged over the pixel
    half = wear.Mask("half", np.concatenate([np.zeros_like(paint[..., :3]), paint[..., 3:] // 2], 2), sheet.points)
    blended = wear.mask(crop, half, aligned=True).image[inside]
    np.testing.assert_allclose(blended, crop[inside] * (1 - 127 / 255), atol=0.51)


def test_masks_of_maskthefaces_list(shared, photos):
    pytest.importorskip("PIL")
    masks = wear.read_masks(shared / "data" / "masks")
    assert len(masks) == 21 and set(FRONTAL) <= set(masks)  # 'empty' and 'inpaint' have no picture
    assert masks["surgical"].points[4].tolist() == [295, 470] and masks["surgical"].picture.shape == (496, 594, 4)
    crop = faces.crop(photos["biden_blue_room_2010"])
    for name in FRONTAL:
        worn = wear.mask(crop, masks[name], aligned=True)
        unchanged(worn, crop)
        assert at(worn, faces.TEMPLATE) == [False, False, True, True, True], name


def test_parts(crop):
    cv2 = pytest.importorskip("cv2")
    left = wear.part(crop, 0.5, centre=(0.25, 0.5), enlarge=False)
    expected = np.zeros_like(crop)
    expected[28:84, :56] = crop[28:84, :56]
    assert (left.image == expected).all() and (~left.covered).sum() == 56 * 56
    assert left.cells()[0].min() == 1 and left.cells(2, 2).tolist() == [[0.5, 1], [0.5, 1]]
    large = wear.part(crop)
    side = round(0.7 * 112)
    window = crop[17 : 17 + side, 17 : 17 + side]
    assert (~large.covered).sum() == side**2 and not large.covered[17 : 17 + side, 17 : 17 + side].any()
    close = cv2.resize(window, (112, 112), interpolation=cv2.INTER_LINEAR)
    assert abs(large.image.astype(int) - close).max() <= 1
    assert (wear.part(crop, 1.0).image == crop).all()


@pytest.mark.parametrize("share, centre", [(0, (0.5, 0.5)), (1.2, (0.5, 0.5)), (0.7, (0.2, 0.5)), (0.001, (0.5, 0.5))])
def test_windows_that_do_not_fit(crop, share, centre):
    with pytest.raises(ValueError, match=r"part: expected a window inside the crop, got a share of .* at \("):
        wear.part(crop, share, centre=centre)


def test_pictures_that_cannot_be_used(photos, surgical, tmp_path):
    with pytest.raises(xcos.ImageError, match="is 112 x 112 pixels, this is"):
        wear.sunglasses(photos["obama_portrait_2012"], aligned=True)
    with pytest.raises(xcos.NoFaceError, match="no face was found in its 64 x 64"):
        wear.mask(np.zeros((64, 64, 3), np.uint8), surgical)
    with pytest.raises(xcos.ImageError, match="112 x 112"):
        wear.part(photos["obama_portrait_2012"])


@pytest.mark.parametrize(
    "text, message",
    [
        ("[a]\ntemplate: a.png\nmask_a: 1, 2\nmask_b: 3\n", r"masks.cfg, \[a\]: mask_b is '3'; expected x, y"),
        ("[a]\ntemplate: a.png\n", r"\[a\]: mask_a is ''; expected x, y"),
        ("[a]\ntemplate: a.png\nmask_a: 1, nan\n", r"mask_a is '1, nan'; expected x, y"),
        ("mask_a: 1, 2\n", r"masks.cfg: File contains no section headers"),
        ("[a]\n[a]\n", "section 'a' already exists"),
    ],
)
def test_lists_of_masks_that_are_wrong(tmp_path, text, message):
    (tmp_path / "masks.cfg").write_text(text)
    with pytest.raises(ValueError, match=message):
        wear.read_masks(tmp_path)


def test_pictures_of_masks_that_are_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"masks\.cfg"):
        wear.read_masks(tmp_path)
    pytest.importorskip("PIL")
    lines = ["[a]", "template: masks/a.png", *(f"mask_{c}: 1, {i}" for i, c in enumerate("abcdef"))]
    (tmp_path / "masks.cfg").write_text("\n".join(lines))
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        wear.read_masks(tmp_path)
