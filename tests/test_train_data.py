"""Readers, changes of pictures, cache."""

import io
import struct
import tarfile
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from xcos import ImageError
from xcos.datasets import join, read_faces
from xcos.train import Config, augment
from xcos.train.augment import (
    Augment,
    Pasting,
    blend,
    covered,
    jitter,
    paste_large,
    paste_rectangles,
    put_mask,
    read_masks,
    shaken,
)
from xcos.train.store import Versions, _kept
from xcos.train.student import Sampler, make_batch

PEOPLE = {"anna": 2, "bob": 1, "carla/deep": 3}


def png(seed, size=112):
    image = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(image).save(data, "png")
    return image, data.getvalue()


@pytest.fixture
def pictures():
    names = [f"{person}/{k}.png" for person, count in PEOPLE.items() for k in range(count)]
    return {name: png(seed) for seed, name in enumerate(names)}


@pytest.fixture
def folder(tmp_path, pictures):
    for name, (_, data) in pictures.items():
        path = tmp_path / "people" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "people" / "notes.txt").write_text("not a picture")
    return tmp_path / "people"


def records(path, items, grouped=True):
    """Writes .rec and .idx as MXNet's recordio does: magic, length, header, picture, padded to 4 bytes."""
    index, data = [], b""

    def add(key, flag, labels, picture):
        nonlocal data
        label = 0.0 if flag else labels[0]
        body = struct.pack("<IfQQ", flag, label, key, 0)
        if flag:
            body += struct.pack(f"<{flag}f", *labels)
        body += picture
        index.append(f"{key}\t{len(data)}")
        data += struct.pack("<II", 0xCED7230A, len(body)) + body + b"\0" * (-len(body) % 4)

    if grouped:
        add(0, 2, [len(items) + 1, len(items) + 1], b"")
    for key, (label, picture) in enumerate(items, 1 if grouped else 0):
        add(key, *((2, [label, 7.0]) if key == 2 else (0, [label])), picture)
    if grouped:
        add(len(items) + 1, 2, [1.0, 3.0], b"")
    path.write_bytes(data)
    path.with_suffix(".idx").write_text("\n".join(index))


def check(faces, pictures):
    assert len(faces) == len(pictures) == 6 and faces.people == 3
    np.testing.assert_array_equal(faces.labels, [0, 0, 1, 2, 2, 2])
    np.testing.assert_array_equal(faces.crops(range(6)), np.stack([image for image, _ in pictures.values()]))


def test_folder(folder, pictures):
    check(read_faces(folder), pictures)


def test_tar(tmp_path, folder, pictures):
    with tarfile.open(tmp_path / "people.tar", "w") as archive:
        archive.add(folder, ".")
    check(read_faces(tmp_path / "people.tar"), pictures)


@pytest.mark.parametrize("grouped", [True, False])
def test_records(tmp_path, pictures, grouped):
    labels = [10, 10, 20, 35, 35, 35]
    path = tmp_path / "train.rec"
    records(path, [(label, data) for label, (_, data) in zip(labels, pictures.values(), strict=True)], grouped)
    check(read_faces(path), pictures)


def test_damaged_records(tmp_path, pictures):
    path = tmp_path / "train.rec"
    records(path, [(1, next(iter(pictures.values()))[1])])
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match="cut short"):
        read_faces(path).crop(0)
    path.with_suffix(".idx").write_text("0\tx")
    with pytest.raises(ValueError, match="no pair of numbers"):
        read_faces(path)


def test_join_keeps_people_apart(folder):
    both = join([read_faces(folder), read_faces(folder)])
    np.testing.assert_array_equal(both.labels, [0, 0, 1, 2, 2, 2, 3, 3, 4, 5, 5, 5])
    assert both.people == 6
    assert both.encoded(7) == read_faces(folder).encoded(1)


def test_bad_sources(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no pictures"):
        read_faces(tmp_path / "empty")
    (tmp_path / "text").write_text("no tar")
    with pytest.raises(ValueError, match="expected a folder, a tar or a zip"):
        read_faces(tmp_path / "text")
    (tmp_path / "empty" / "a.png").write_bytes(png(0, 64)[1])
    with pytest.raises(ImageError, match="picture 0: 64 x 64 pixels; expected an aligned crop of 112 x 112"):
        read_faces(tmp_path / "empty").crop(0)


def test_paste_rectangles_and_cover():
    random = np.random.default_rng(0)
    sides = []
    for _ in range(300):
        mask = paste_rectangles(random, 112, 112)
        assert mask.any()
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        if count == 2 and stats[1, cv2.CC_STAT_AREA] == stats[1, cv2.CC_STAT_WIDTH] * stats[1, cv2.CC_STAT_HEIGHT]:
            sides += stats[1, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].tolist()
    assert 12 <= min(sides) < 16 and 45 < np.percentile(sides, 90) <= 51
    mask = np.zeros((112, 112), bool)
    mask[:16, :24] = True
    share = covered(mask, (7, 7))
    assert share[0, :3].tolist() == [1, 0.5, 0] and share.sum() == 1.5
    with pytest.raises(ValueError, match="does not divide"):
        covered(mask, (5, 7))


def test_large_pastes_are_windows_their_complements_and_half_planes():
    random, kinds = np.random.default_rng(0), {"window": 0, "all but a window": 0, "half plane": 0}
    for _ in range(300):
        mask = paste_large(random, 112, 112)
        for kind, inner in (("window", mask), ("all but a window", ~mask)):
            rows, columns = np.flatnonzero(inner.any(1)), np.flatnonzero(inner.any(0))
            sides = len(rows), len(columns)
            if max(sides) <= 80 and inner.sum() == sides[0] * sides[1]:
                assert min(sides) >= 40
                kinds[kind] += 1
                break
        else:
            # A straight line parts them: a linear model with the two coordinates finds all of it.
            y, x = np.mgrid[:112, :112].reshape(2, -1)
            some = random.permutation(112 * 112)[:800]
            line = LogisticRegression(C=1e6).fit(np.c_[y, x][some] / 112, mask.ravel()[some])
            assert np.mean(line.predict(np.c_[y, x] / 112) == mask.ravel()) > 0.98 and 0.1 < mask.mean() < 0.9
            kinds["half plane"] += 1
    assert min(kinds.values()) > 70


def test_a_blended_paste_has_the_colours_of_its_place():
    random = np.random.default_rng(0)
    image = np.clip(random.normal(160, 20, (112, 112, 3)), 0, 255).astype(np.uint8)
    source = np.clip(random.normal(60, 40, (112, 112, 3)), 0, 255).astype(np.uint8)
    mask = np.zeros((112, 112), bool)
    mask[30:90, 30:90] = True
    found = blend(image, source, mask)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (17, 17), 2)[..., None]
    inside, outside = source[mask].astype(float), image[mask].astype(float)
    moved = (source - inside.mean(0)) * np.clip(outside.std(0) / inside.std(0), 0.5, 2) + outside.mean(0)
    expected = np.clip(image * (1 - soft) + moved * soft, 0, 255)
    assert np.abs(found - expected).max() <= 1
    assert np.abs(found[40:80, 40:80].mean() - 160) < 2 and np.abs(found[40:80, 40:80].std() - 20) < 2
    np.testing.assert_array_equal(found[:20], image[:20])
    np.testing.assert_array_equal(blend(image, source, np.zeros_like(mask)), image)


def test_versions_are_what_pasting_says(folder, pictures):
    faces, images = read_faces(folder), [image for image, _ in pictures.values()]
    pasting = Pasting(len(faces), seed=3, mirror=True)
    versions = Versions(faces, Augment(flip=0.5, colour=0.3), pasting)
    chosen = np.repeat(np.arange(6), 6), np.tile([0, 1, 2, -1, -2, -9], 6)
    found = versions(*chosen)
    np.testing.assert_array_equal(found, versions(*chosen))
    seen = set()
    for crop, picture, version in zip(found, *chosen, strict=True):
        image = images[picture]
        if version in (0, 1):
            np.testing.assert_array_equal(crop, image[:, ::-1] if version else image)
        elif version < 0:
            pasted = pasting(int(picture), int(-1 - version))
            assert pasted.source != picture
            source = images[pasted.source]
            np.testing.assert_array_equal(crop[pasted.mask], source[:, :: 1 - 2 * pasted.source_mirrored][pasted.mask])
            np.testing.assert_array_equal(crop[~pasted.mask], image[:, :: 1 - 2 * pasted.mirrored][~pasted.mask])
            seen.add((pasted.mirrored, pasted.source_mirrored))
    assert len(seen) == 4
    assert not any(p.mirrored or p.source_mirrored for p in (Pasting(6, 3, False)(k, 0) for k in range(6)))


def test_a_damaged_cache_is_made_again(tmp_path, caplog):
    path, made = tmp_path / "array.npy", []

    def compute():
        made.append(1)
        yield (np.full((2, 3), len(made), np.float32),)
        yield (np.full((1, 3), 7, np.float32),)

    def kept():
        return np.array(_kept((path,), ((3, 3),), (np.float16,), compute)[0])

    first = kept()
    assert first.dtype == np.float16 and first.tolist() == [[1] * 3, [1] * 3, [7] * 3]
    np.testing.assert_array_equal(kept(), first)
    assert len(made) == 1
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    assert kept()[0, 0] == 2 and "damaged" in caplog.text
    path.write_bytes(path.read_bytes()[:-1])
    assert kept()[0, 0] == 3
    path.with_suffix(".sha256").unlink()
    assert kept()[0, 0] == 4 and len(list(tmp_path.iterdir())) == 2


def test_batches_of_quadruples(folder):
    """A picture, the same with a face pasted on it, another of the person, the face's own; whose cells are whose."""
    faces = read_faces(folder)
    pasting = Pasting(len(faces), seed=1, mirror=True)
    config = Config(model="m", data=["d"], output="o", batch=22, paste=0.75, per_person=2, pasted=5)
    assert config.quads == 4
    sampler = Sampler(faces, config, 0, 3, pasting)
    targets = np.eye(6, dtype=np.float32)
    for step in range(20):
        chosen = sampler.choose(sampler.random(step, 0))
        again = sampler.choose(sampler.random(step, 0))
        assert len(chosen.pictures) == 22 and all(map(np.array_equal, chosen, again))
        clean, pasted, other, source = (slice(4 * k, 4 * k + 4) for k in range(4))
        pictures, versions = chosen
        np.testing.assert_array_equal(pictures[clean], pictures[pasted])
        assert (pictures[other] != pictures[clean]).all()  # everybody drawn has a second picture
        np.testing.assert_array_equal(faces.labels[pictures[other]], faces.labels[pictures[clean]])
        made = [pasting(int(k), int(-1 - v)) for k, v in zip(pictures[pasted], versions[pasted], strict=True)]
        assert all(versions[pasted] < 0) and all(np.delete(versions, range(4, 8)) >= 0)
        np.testing.assert_array_equal(versions[clean], [p.mirrored for p in made])
        np.testing.assert_array_equal(pictures[source], [p.source for p in made])
        np.testing.assert_array_equal(versions[source], [p.source_mirrored for p in made])
        parts = (chosen, targets, -targets, faces.labels, (7, 7), pasting, np.arange(3))
        batch = make_batch(np.zeros((22, 1), np.float32), *parts)
        np.testing.assert_array_equal(batch.owners.base.numpy().argmax(1), pictures)
        np.testing.assert_array_equal(batch.plain.numpy().argmin(1), pictures)
        np.testing.assert_array_equal(batch.owners.pasted[4:8].numpy().argmax(1), [p.source for p in made])
        np.testing.assert_array_equal(batch.owners.covered[4:8].numpy(), [covered(p.mask, (7, 7)) for p in made])
        assert (batch.labels[4:8] == -1).all() and float(batch.owners.covered[:4].sum()) == 0


def test_shaken_against_opencv(monkeypatch):
    """Without colours and blur: an affine map about the picture's middle, the edge going on outside."""
    for name in ("_COLOUR", "_BLURRED"):
        monkeypatch.setattr(augment, name, 0.0)
    image = cv2.GaussianBlur(png(5)[0], (0, 0), 3)
    y, x = np.mgrid[0:112, 0:112]
    for seed in range(5):
        draws = np.random.default_rng(seed)
        size, angle = 1 + 0.06 * draws.uniform(-1, 1), 0.09 * draws.uniform(-1, 1)
        right, down = 3 * draws.uniform(-1, 1, 2)
        back_x = 55.5 + right + (np.cos(angle) * (x - 55.5) - np.sin(angle) * (y - 55.5)) / size
        back_y = 55.5 + down + (np.sin(angle) * (x - 55.5) + np.cos(angle) * (y - 55.5)) / size
        maps = back_x.astype(np.float32), back_y.astype(np.float32)
        expected = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        found = shaken(image, 1.0, np.random.default_rng(seed))
        assert np.abs(found.astype(int) - expected).max() <= 2
    np.testing.assert_array_equal(shaken(image, 0.0, np.random.default_rng(0)), image)


def test_a_turn_shakes_all_versions_of_a_picture_alike(folder, pictures):
    faces, images = read_faces(folder), [image for image, _ in pictures.values()]
    pasting = Pasting(len(faces), seed=3, mirror=True)
    versions = Versions(faces, Augment(flip=0.5), pasting, shake=0.5)
    everybody = np.arange(6)
    seen = []
    for turn in (0, 1, 2):
        versions.turn = turn
        plain = versions(everybody, np.zeros(6, np.intp))
        np.testing.assert_array_equal(versions(everybody, np.ones(6, np.intp)), plain[:, :, ::-1])
        pasted = versions(everybody, np.full(6, -4))
        for picture in everybody:
            one = pasting(int(picture), 3)
            base = plain[picture][:, :: 1 - 2 * one.mirrored]
            source = plain[one.source][:, :: 1 - 2 * one.source_mirrored]
            np.testing.assert_array_equal(pasted[picture], np.where(one.mask[..., None], source, base))
        seen.append(plain)
    np.testing.assert_array_equal(seen[0], images)
    assert all((a != b).any((1, 2, 3)).all() for a, b in ((seen[0], seen[1]), (seen[1], seen[2])))


def test_jitter_against_pillow():
    """Each factor alone, as Pillow's ImageEnhance has it (its grey is rounded: two levels of difference)."""
    from PIL import ImageEnhance

    image = png(3)[0]
    picture = Image.fromarray(image)
    for position, enhance in enumerate((ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)):
        factors = [1.0, 1.0, 1.0]
        factors[position] = 0.7
        expected = np.asarray(enhance(picture).enhance(0.7)).astype(int)
        assert np.abs(jitter(image, *factors).astype(int) - expected).max() <= 2


def test_augment(tmp_path):
    image = png(4)[0]
    random = np.random.default_rng(1)
    assert Augment()(image, random) is not None
    np.testing.assert_array_equal(Augment()(image, random), image)
    np.testing.assert_array_equal(Augment(flip=1)(image, random), image[:, ::-1])
    blurred = Augment(blur=1)(image, random)
    assert blurred.std() < image.std() / 1.5 and abs(blurred.mean() - image.mean()) < 3
    mask = np.zeros((112, 112, 4), np.uint8)
    mask[60:, :, :3], mask[60:, :, 3] = 200, 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    masks = read_masks(tmp_path)
    expected = Image.alpha_composite(Image.fromarray(image).convert("RGBA"), Image.fromarray(mask)).convert("RGB")
    np.testing.assert_allclose(put_mask(image, masks[0]).astype(int), np.asarray(expected).astype(int), atol=1)
    share = [not np.array_equal(Augment(masks=masks)(image, random), image) for _ in range(400)]
    assert 0.17 < np.mean(share) < 0.33
    with pytest.raises(ValueError, match=r"no \.png of masks"):
        read_masks(tmp_path / "nothing")


def tree(root, *names):
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(i)[1])
    return root


def archives(folder, tmp_path):
    """The folder itself, and tar, tar.gz and zip of it."""
    yield folder
    for mode, name in (("w", "a.tar"), ("w:gz", "a.tar.gz"), ("w:xz", "a.txz")):
        with tarfile.open(tmp_path / name, mode) as archive:
            archive.add(folder, folder.name)
        yield tmp_path / name
    for kind, name in ((zipfile.ZIP_STORED, "a.zip"), (zipfile.ZIP_DEFLATED, "b.zip")):
        with zipfile.ZipFile(tmp_path / name, "w", kind) as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder.parent))
        yield tmp_path / name


def test_people_of_folders_as_they_are_found(tmp_path, caplog):
    """Copies that systems keep are nobody's, sessions are their person's, folders around people are no people."""
    clutter = ("anna/.ipynb_checkpoints/1.png", "anna/@eaDir/1.png", "__MACOSX/anna/1.png", "anna/._1.png", ".x/2.png")
    folder = tree(tmp_path / "people", "anna/2019/1.png", "anna/2020/1.PNG", "ben/1.jfif", "ben/2.jpe", *clutter)
    for source in archives(folder, tmp_path):
        caplog.clear()
        faces = read_faces(source)
        assert faces.people == 2 and faces.labels.tolist() == [0, 0, 1, 1], source
        np.testing.assert_array_equal(faces.crops(range(4)), np.stack([png(i)[0] for i in range(4)]))
        assert "5 hidden or of the system" in caplog.text and "deeper than person/picture" in caplog.text
    split = tree(tmp_path / "split", "train/anna/1.png", "train/ben/1.png", "val/anna/2.png")
    assert read_faces(split).labels.tolist() == [0, 1, 0]


def test_links(tmp_path):
    folder = tree(tmp_path / "people", "anna/1.png", "pool/x.png")
    (folder / "ben").mkdir()
    (folder / "ben" / "1.png").symlink_to("../pool/x.png")
    (folder / "again").symlink_to(folder / "anna")
    assert read_faces(folder).labels.tolist() == [0, 1, 2]  # anna, ben, pool; not "again"
    (folder / "again").unlink()
    (folder / "ben" / "2.png").hardlink_to(folder / "anna" / "1.png")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(folder, ".")
    faces = read_faces(tmp_path / "a.tar")
    assert faces.labels.tolist() == [0, 1, 1, 2]
    for i, seed in ((1, 1), (2, 0)):
        np.testing.assert_array_equal(faces.crop(i), png(seed)[0])


def test_damaged_archives(tmp_path):
    folder = tree(tmp_path / "people", "anna/1.png", "anna/2.png", "ben/1.png")
    for source in [*archives(folder, tmp_path)][1:]:
        data = source.read_bytes()
        for size in (0, 10, len(data) // 2, len(data) - 200):
            source.write_bytes(data[:size])
            try:
                faces = read_faces(source)
                faces.crops(range(len(faces)))
            except ValueError as error:
                assert "people" in str(error) or source.name in str(error)


def test_copies_of_systems_are_nobody(folder, caplog):
    """Folders that file servers, editors and systems keep are no people, in a folder, a zip and a tar alike."""
    (folder / "anna/~$0.png").write_bytes(b"")
    for name in ("@Recycle", "@tmp", "FOUND.000", "RECYCLER", "~snapshot", "__pycache__", "anna/_vti_cnf", ".git"):
        (folder / name).mkdir()
        (folder / name / "x.png").write_bytes(png(1)[1])
    with zipfile.ZipFile(folder.parent / "people.zip", "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
    with tarfile.open(folder.parent / "people.tar.gz", "w:gz") as archive:
        archive.add(folder, ".")
    for source in (folder, folder.parent / "people.zip", folder.parent / "people.tar.gz"):
        caplog.clear()
        faces = read_faces(source)
        assert len(faces) == sum(PEOPLE.values()) and faces.people == len(PEOPLE)
        assert "left out: 9 hidden or of the system" in caplog.text


def test_what_an_archive_cannot_give_is_counted(tmp_path, caplog):
    """Links of a tar that lead nowhere, files of a zip that are compressed otherwise."""
    picture = tmp_path / "0.png"
    picture.write_bytes(png(1)[1])
    (tmp_path / "1.png").symlink_to("gone.png")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("0.png", "1.png"):
            archive.add(tmp_path / name, f"anna/{name}")
    assert len(read_faces(tmp_path / "a.tar")) == 1 and "left out: 1 links that lead nowhere" in caplog.text
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(picture, "anna/0.png")
        archive.write(picture, "anna/1.png", zipfile.ZIP_LZMA)
    assert len(read_faces(tmp_path / "a.zip")) == 1 and "left out: 1 encrypted, or compressed by other" in caplog.text


@pytest.mark.parametrize(("content", "said"), [
    (b"", "empty"), (b"PK\x03\x04abc", "cut short"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07", "rar"),
    (b"<html></html>", "HTML page"),
])  # fmt: skip
def test_what_is_no_archive_is_told_in_one_line(content, said, tmp_path):
    (tmp_path / "people.zip").write_bytes(content)
    with pytest.raises(ValueError, match=rf"people\.zip: expected a folder, a tar or a zip \(.*{said}") as caught:
        read_faces(tmp_path / "people.zip")
    assert "\n" not in str(caught.value)
