"""Features in files: what was written is read again, of the same model alone."""

import dataclasses
import os

import numpy as np
import pytest

import xcos
from xcos import Features
from xcos.storage.files import keep_arrays


@pytest.fixture(scope="module")
def model():
    return xcos.load()


@pytest.fixture
def saved(model, photos, tmp_path):
    features = model.features(sorted(photos.values()), skip_failed=True)
    path = tmp_path / "known.npz"
    features.save(path, model)
    return features, path


def test_what_was_written_is_read(model, saved):
    features, path = saved
    assert Features.load(path, model) == features
    with np.load(path, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["embedding"], features.embedding)
        assert str(arrays["model"]) == model.name and str(arrays["digest"]) == model.file.digest()
    some = Features(*(np.where(np.arange(4).reshape(-1, *[1] * (a.ndim - 1)) == 1, np.nan, a)
                      for a in (features.grid, features.embedding)))  # fmt: skip
    some.save(path, model)  # in the place of the first
    assert Features.load(path, model) == some and some.found.tolist() == [True, False, True, True]
    assert os.listdir(path.parent) == [path.name]


def test_another_model_is_refused_by_name(model, saved):
    features, path = saved
    tensors = {**model.file.tensors}
    name = next(name for name in tensors if not name.startswith("head."))
    tensors[name] = tensors[name] + np.float32(0.001)
    other = xcos.Model(dataclasses.replace(model.file, name="another", tensors=tensors))
    with pytest.raises(ValueError, match=f"features of another model, '{model.name}'; expected those of 'another'"):
        Features.load(path, other)
    renamed = xcos.Model(dataclasses.replace(model.file, name="renamed", thresholds={"xcos": 0.1}))
    assert Features.load(path, renamed) == features
    assert Features.load(path, model.with_whole(0)) == features


def test_files_that_are_none(model, saved, tmp_path):
    _, path = saved
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"known\.npz: damaged"):
        Features.load(path, model)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match=r"known\.npz: damaged"):
        Features.load(path, model)
    np.savez(path, grid=np.array([{}], object))  # a pickle
    with pytest.raises(ValueError, match=r"known\.npz: damaged, or no file of arrays"):
        Features.load(path, model)
    keep_arrays(path, {"crops": np.zeros(3)})
    with pytest.raises(ValueError, match=r"holds crops; expected features as Features\.save writes them"):
        Features.load(path, model)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        Features.load(tmp_path / "nowhere.npz", model)


def test_another_suffix(model, saved, tmp_path):
    with pytest.raises(ValueError, match=r"expected a name that ends in \.npz, got '\.pkl'"):
        saved[0].save(tmp_path / "known.pkl", model)
