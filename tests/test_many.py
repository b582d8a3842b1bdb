"""The one loop that cuts faces out of many pictures, against `crop` one by one."""

import itertools
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

import xcos
from xcos.errors import ImageError, NoFaceError
from xcos.faces import How, crop, crop_all, cut_each

GREY = np.full((60, 80, 3), 128, np.uint8)  # shows no face


@pytest.fixture(scope="module")
def paths(photos) -> list[str]:
    return [str(path) for path in photos.values()]


@pytest.fixture(scope="module")
def crops(paths) -> list[np.ndarray]:
    return [crop(path) for path in paths]


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_each_is_what_crop_gives_in_order(paths, crops, threads):
    found = list(cut_each(paths, How(), threads=threads))
    assert [i for i, _ in found] == list(range(len(paths)))
    assert all((cut.crop == crop).all() and cut.face is not None for (_, cut), crop in zip(found, crops, strict=True))
    assert (crop_all(iter(paths[:1]), How(), threads=threads) == crops[0]).all()
    assert crop_all([], How()).shape == (0, 112, 112, 3)


def test_one_face_for_each(paths, crops):
    """A number, a Face, or the main one."""
    at = xcos.detect(paths[1])[0]
    assert (crop_all(paths[:3], How(), faces=[0, at, None]) == crops[:3]).all()
    with pytest.raises(NoFaceError, match="there is no face 7"):
        crop_all(paths[:2], How(), faces=[None, 7])
    with pytest.raises(ValueError, match="zip"):
        crop_all(paths, How(), faces=[0])


def test_failures_are_told_with_their_numbers_or_raised(paths, crops, tmp_path):
    images = [paths[0], GREY, b"no picture", None, paths[1], tmp_path / "missing.jpg", paths[2]]
    failed, calls = {}, []
    found = cut_each(images, How(), failed=failed.__setitem__, progress=lambda *at: calls.append(at))
    assert [i for i, cut in found if (cut.crop == crops[(0, 4, 6).index(i)]).all()] == [0, 4, 6]
    assert [type(failed[i]) for i in sorted(failed)] == [NoFaceError, ImageError, TypeError, FileNotFoundError]
    assert sorted(failed) == [1, 2, 3, 5] and calls == [(done, 7) for done in range(1, 8)]
    for part, error in ((images[:2], NoFaceError), (images[2:3], ImageError), (images[4:6], FileNotFoundError)):
        with pytest.raises(error):
            crop_all(part, How())


@pytest.mark.parametrize(("ahead", "most"), [(2, 3), (5, 6)])
def test_an_iterator_is_read_only_so_far_ahead(crops, ahead, most):
    """A stream without an end: never more pictures are taken than those given back and `ahead`."""
    taken = itertools.count(1)
    source = ((crops[0], next(taken))[0] for _ in itertools.count())
    found = list(itertools.islice(cut_each(source, How(aligned=True), threads=2, ahead=ahead), 20))
    assert len(found) == 20 and next(taken) - 1 <= 19 + most


def test_an_error_of_the_source_itself_is_no_failed_picture(crops):
    def source():
        yield from crops[:3]
        raise ValueError("the disk is gone")

    with pytest.raises(ValueError, match="the disk is gone"):
        list(cut_each(source(), How(aligned=True), failed=lambda i, error: None))


def test_pictures_are_read_in_the_threads(crops):
    """Reads that wait for each other: all are under way at once."""
    meet = threading.Barrier(3, timeout=60)

    def read(i: int) -> np.ndarray:
        meet.wait()
        return crops[i]

    assert (crop_all(range(3), How(aligned=True), read=read, threads=3) == crops[:3]).all()


def test_crops_of_another_size_are_no_crops_of_pairs(tmp_path):
    from xcos.faces.image import as_encoded

    path = tmp_path / "small.bin"
    path.write_bytes(pickle.dumps(([as_encoded(np.zeros((96, 96, 3), np.uint8))] * 4, [True, False])))
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from xcos.train import validate

    with pytest.raises(ImageError, match="112 x 112 pixels, this is 96 x 96"):
        validate.read_crops(path)


@pytest.mark.parametrize(
    ("what", "homes"),
    [
        # Requests; the next batch; scores.
        ("ThreadPoolExecutor", {"faces/many.py", "serve/engine.py", "train/loop.py", "gallery/search.py"}),
        ("_core.normalize(", {"plan/pixels.py"}),
    ],
)
def test_pictures_are_cut_out_and_normalised_in_one_place(what, homes):
    root = Path(xcos.__file__).parent
    found = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if what in path.read_text("utf-8")}
    assert found == homes
