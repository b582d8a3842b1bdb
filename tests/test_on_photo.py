"""Back to the photograph: grid and maps beside equations of its own, and the crop cut again."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

import xcos
from xcos.cli import main
from xcos.faces.detection import TEMPLATE


@pytest.fixture(scope="module")
def explained(photos):
    return xcos.explain(photos["obama_congress_2009"], photos["biden_blue_room_2010"])


def similarity(points):
    """(3, 3) from the crop to the photograph: inverse of the similarity that linear least squares find."""
    x, y = np.asarray(points, float).T
    one, nothing = np.ones(5), np.zeros(5)
    equations = np.concatenate([np.stack([x, -y, one, nothing], 1), np.stack([y, x, nothing, one], 1)])
    a, b, u, v = np.linalg.lstsq(equations, TEMPLATE.T.ravel().astype(float), rcond=None)[0]
    return np.linalg.inv([[a, -b, u], [b, a, v], [0, 0, 1]])


def test_corners_are_where_least_squares_put_them(explained):
    there = explained.on_photo(1)
    matrix = similarity(there.face.points)
    np.testing.assert_allclose(there.face.matrix, matrix[:2], atol=1e-6)
    for i, j in ((0, 0), (3, 5), (6, 6)):
        ends = [(16 * (j + x) - 0.5, 16 * (i + y) - 0.5, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
        np.testing.assert_allclose(there.grid[i, j], (np.array(ends) @ matrix.T)[:, :2], atol=1e-4)
    np.testing.assert_allclose(there.outline, there.grid[[0, 0, -1, -1], [0, -1, -1, 0], [0, 1, 2, 3]], atol=1e-9)


@pytest.mark.parametrize("side", [1, 2])
def test_the_map_in_the_photograph_cut_out_again_is_the_map(explained, side):
    """Each cell by itself: the mapped photograph, aligned as the photograph was, shows the cell's number inside it."""
    there = explained.on_photo(side)
    ranks = np.arange(1, 50, dtype=np.float32).reshape(7, 7) * 5
    mapped = replace(there, maps={"cosine": ranks}).map()
    picture = np.repeat(np.nan_to_num(mapped).astype(np.uint8)[..., None], 3, axis=2)
    crop = xcos.align(picture, there.face)[..., 0].reshape(7, 16, 7, 16)
    inner = crop[:, 4:12, :, 4:12].transpose(0, 2, 1, 3).reshape(7, 7, 64)
    assert (inner == ranks[..., None]).all()
    assert mapped.shape == there.shape and np.isnan(mapped[0, 0])


def test_a_crop_that_reaches_beyond_the_photograph(photos):
    """Cut so that the face's crop is half outside: the map fills what there is, and nothing else moves."""
    pixels = xcos.read_image(photos["obama_portrait_2012"])
    (face,) = xcos.detect(pixels)
    cut = int(face.points[2, 0])
    half = replace(face, points=face.points - np.float32([cut, 0]))
    whole, part = (
        xcos.explain(image, photos["obama_congress_2009"], face=(where, None)).on_photo(1)
        for image, where in ((pixels, face), (np.ascontiguousarray(pixels[:, cut:]), half))
    )
    ranks = {"cosine": np.arange(49, dtype=np.float32).reshape(7, 7)}
    np.testing.assert_array_equal(replace(part, maps=ranks).map(), replace(whole, maps=ranks).map()[:, cut:])
    assert part.grid[..., 0].min() < 0


def test_orientation(photos):
    """A photograph stored lying with Exif's word for it: coordinates are of the upright one."""
    upright = Image.open(photos["obama_portrait_2012"])
    exif = Image.Exif()
    exif[0x0112] = 6  # the upright picture is this one turned clockwise
    buffer = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(buffer, "PNG", exif=exif)
    plain, turned = (
        xcos.explain(image, photos["obama_congress_2009"]).on_photo(1)
        for image in (photos["obama_portrait_2012"], buffer.getvalue())
    )
    assert turned.shape == plain.shape == upright.size[::-1]
    np.testing.assert_allclose(turned.grid, plain.grid, atol=1)


def test_there_may_be_no_photograph(explained, photos):
    crop = xcos.crop(photos["obama_portrait_2012"])
    with pytest.raises(ValueError, match="the second picture was given as an aligned crop"):
        xcos.explain(crop, crop, aligned=True).on_photo(2)
    features = xcos.load().features(photos["obama_portrait_2012"])
    with pytest.raises(ValueError, match="features, which hold no photograph"):
        xcos.load().explain(features, photos["obama_portrait_2012"])[0].on_photo(2)
    for side in (0, 3, "first"):
        with pytest.raises(ValueError, match=f"expected 1 .* or 2, got {side!r}"):
            explained.on_photo(side)
    with pytest.raises(ValueError, match=r"expected one of cosine, attention, contribution.*got 'llr'"):
        explained.on_photo(1).map("llr")


def test_pixels_are_read_again(explained, photos, tmp_path):
    path = tmp_path / "a.png"
    pixels = xcos.read_image(photos["obama_congress_2009"])
    Image.fromarray(pixels).save(path)
    e = xcos.explain(path, pixels)
    np.testing.assert_array_equal(e.on_photo(1).pixels(), pixels)
    with pytest.raises(ValueError, match="second: was given as content, which is not kept"):
        e.plot(on_photo=True)
    np.testing.assert_array_equal(e.on_photo(2, pixels).pixels(), pixels)
    Image.fromarray(pixels[:-1]).save(path)
    with pytest.raises(ValueError, match=r"a\.png: expected the photograph of"):
        e.on_photo(1).pixels()
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        e.on_photo(1).pixels()


def test_pictures(explained, tmp_path):
    """Cells in the colour of their cosines where the grid says, in pixels of the photograph."""
    figure, axes = explained.plot(on_photo=True, panels=("first", "second"))
    there = explained.on_photo(1)
    (cells,) = axes["first"].collections
    for path, corners in zip(cells.get_paths(), there.grid.reshape(-1, 4, 2), strict=True):
        np.testing.assert_allclose(path.vertices[:4], corners)
    alpha = cells.get_facecolors()[:, 3]
    np.testing.assert_allclose(alpha, 0.7 * np.abs(explained.cosine_map.ravel()), atol=1e-6)
    labels = [text.get_text() for text in axes["first"].texts]
    assert labels == [*"ABCDEFG", *"1234567"]
    left, right = axes["first"].get_xlim()
    assert -0.5 <= left < there.face.box[0] and there.face.box[2] < right <= there.shape[1] - 0.5
    pyplot.close(figure)
    figure, ax = there.plot("attention")
    assert ax.collections[0].get_facecolors()[:, 3].max() == pytest.approx(0.7)  # over the scale's end
    pyplot.close(figure)
    explained.save(tmp_path / "e.png", on_photo=True, dpi=30)
    explained.save(tmp_path / "plain.png", dpi=30)
    assert (tmp_path / "e.png").read_bytes() != (tmp_path / "plain.png").read_bytes()


def test_the_command_shows_the_photographs(photos, tmp_path, monkeypatch):
    """Also one that comes from standard input."""
    first, second = (str(photos[name]) for name in ("obama_congress_2009", "obama_portrait_2012"))
    monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": open(second, "rb")}))
    assert main(["explain", first, "-", "-o", str(tmp_path / "there.png"), "--on-photo"]) == 0
    e = xcos.explain(first, second)
    e = replace(e, names=("obama_congress_2009.jpg", "second"))
    e.save(tmp_path / "expected.png", on_photo=(first, second))
    there, expected = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("there", "expected"))
    np.testing.assert_array_equal(there, expected)
