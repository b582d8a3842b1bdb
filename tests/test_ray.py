"""Features by Ray Data on two local workers: the numbers of one process, whatever fails or dies on the way."""

import os
import runpy
import shutil
import signal
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xcos

ray = pytest.importorskip("ray", reason="the PyPI package ray is not installed")
pytest.importorskip("pyarrow", reason="Ray Data is not installed: pip install ray[data]")

from xcos.ray import FeatureExtractor  # noqa: E402 (needs ray)

ROOT = Path(__file__).parents[1]


class Dying(FeatureExtractor):
    """Kills its own process at the first batch that any worker gets, as a machine that is taken away."""

    def __init__(self, marker: str, **keywords):
        super().__init__(**keywords)
        self._marker = marker

    def __call__(self, batch):
        try:
            os.close(os.open(self._marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return super().__call__(batch)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def local():
    # Three: two workers, and one that reads.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the workers do not find tests/
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def _soon():
    """A cluster that waits for ever fails, and holds nobody up."""

    def give_up(*_):
        raise TimeoutError("Ray took more than five minutes")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def images(shared):
    """40 crops of LFW, and one that is none."""
    pairs = xcos.datasets.read_bin(shared / "data/lfw_dev.bin")
    return [*pairs.images[:17], b"no picture", *pairs.images[17:40]]


def run(kind, images, **keywords):
    rows = [{"number": i, "bytes": image} for i, image in enumerate(images)]
    found = ray.data.from_items(rows).map_batches(
        kind, batch_size=6, num_cpus=1, compute=ray.data.ActorPoolStrategy(size=2), fn_constructor_kwargs=keywords
    )
    return sorted(found.take_all(), key=lambda row: row["number"])


def check(rows, images):
    assert [row["number"] for row in rows] == list(range(len(images)))
    failed = [row for row in rows if row["error"]]
    assert [row["number"] for row in failed] == [17] and np.isnan(failed[0]["grid"]).all()
    good = [row for row in rows if not row["error"]]
    expected = xcos.load().features([image for i, image in enumerate(images) if i != 17], aligned=True)
    np.testing.assert_allclose(np.stack([row["grid"] for row in good]), expected.grid, atol=1e-5)
    np.testing.assert_allclose(np.stack([row["embedding"] for row in good]), expected.embedding, atol=1e-4)


def test_batches_without_ray_running(images):
    batch = FeatureExtractor(aligned=True)({"bytes": np.array(images, object), "number": np.arange(len(images))})
    check([{key: values[i] for key, values in batch.items()} for i in range(len(images))], images)
    with pytest.raises(KeyError, match="no column 'bytes' in the batch; it has path"):
        FeatureExtractor()({"path": np.array(["a.jpg"])})


def test_same_numbers_as_one_process_though_a_worker_is_killed(local, images, tmp_path):
    marker = tmp_path / "killed"
    check(run(Dying, images, aligned=True, threads=1, marker=str(marker)), images)
    assert marker.exists()


def test_photographs_of_a_folder(local, shared, tmp_path):
    with tarfile.open(shared / "data/lfw_photos.tar") as tar:
        tar.extractall(tmp_path, members=list(tar)[:12], filter="data")
    files = ray.data.read_binary_files(str(tmp_path), include_paths=True)
    pool = ray.data.ActorPoolStrategy(size=1)  # several: above
    rows = files.map_batches(FeatureExtractor, batch_size=4, num_cpus=1, compute=pool).take_all()
    paths = [row["path"] for row in rows]
    assert len(paths) > 5 and all(os.path.exists(path) for path in paths)
    expected = xcos.load().features(paths)
    np.testing.assert_allclose(np.stack([row["grid"] for row in rows]), expected.grid, atol=1e-3)


def test_a_gallery_is_filled(local, photos, tmp_path):
    """By the program of examples/; a photograph without a face is told."""
    pytest.importorskip("lancedb", reason="LanceDB is not installed: pip install xcos[gallery]")
    program = runpy.run_path(str(ROOT / "examples" / "fill_gallery.py"))
    people = {"obama_portrait_2012": "Ann", "obama_congress_2009": "Ann", "biden_blue_room_2010": "Ben"}
    for name, person in people.items():
        (tmp_path / "photos" / person).mkdir(parents=True, exist_ok=True)
        shutil.copy(photos[name], tmp_path / "photos" / person)
    Image.new("RGB", (200, 200)).save(tmp_path / "photos" / "Ben" / "nobody.png")
    gallery = xcos.Gallery(tmp_path / "gallery")
    failed = program["fill"](gallery, str(tmp_path / "photos"), 2)
    assert [path.split("/")[-1] for path in failed] == ["nobody.png"]
    assert len(gallery) == 3 and sorted(gallery.names) == ["Ann", "Ben"]
    best = gallery.search(photos["obama_portrait_2012"], people="best")[0]
    assert best.name == "Ann" and best.photo.endswith("obama_portrait_2012.jpg") and best.score > 0.99
