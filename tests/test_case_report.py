"""The report for the case file: what it says, read back by another library, and what it refuses."""

import hashlib
import io
import re
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

import xcos
from xcos.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"
A, B, OTHER = (EXAMPLES / f"{name}.jpg" for name in
               ("obama_portrait_2012", "obama_congress_2009", "biden_blue_room_2010"))  # fmt: skip
DATE = datetime(2026, 11, 27, 13, 5, tzinfo=timezone(timedelta(hours=1)))


@pytest.fixture(scope="module")
def e():
    return xcos.explain(A, OTHER)


@pytest.fixture(scope="module")
def reader(e, tmp_path_factory):
    path = tmp_path_factory.mktemp("case") / "case.pdf"
    e.report(path, reference="K-17/2026", command="xcos explain a b", date=DATE)
    return PdfReader(path)


def text_of(reader):
    return " ".join(" ".join(page.extract_text() for page in reader.pages).replace("−", "-").split())


def in_one_line(text):
    return re.sub(r"\s", "", text.replace("−", "-"))


def facts(e):
    """What must be found, by whoever looks for it."""
    v = e.to_dict()
    yield from (hashlib.sha256(path.read_bytes()).hexdigest() for path in (A, OTHER))
    yield from (f"{v[name]:.4f}" for name in ("score", "threshold", "cosine", "local"))
    yield from (f"{path.stat().st_size:,}" for path in (A, OTHER))
    yield from (e.worth()[1:], v["threshold_from"], "720 x 900", "396 x 900", "K-17/2026", "2026-11-27 12:05 UTC")
    yield from (xcos.__version__, xcos.load().file.digest(), "MIT", "xcos explain a b")
    yield from map(str, e.sentences())
    yield from (f"{part.contribution:.4f}" for part in e.parts.values())
    yield from (f"{abs(value):.3f}".replace("0.", ".") for value in e.attention.ravel())
    yield "A person who is trained to compare faces"


def test_all_that_the_comparison_rests_on_is_there_as_text(e, reader):
    said = in_one_line(text_of(reader))
    assert [fact for fact in facts(e) if in_one_line(fact) not in said] == []


def test_the_page_says_the_same(e, tmp_path):
    e.report(tmp_path / "case.html", reference="K-17/2026", command="xcos explain a b", date=DATE)
    page = (tmp_path / "case.html").read_text(encoding="utf-8")
    said = in_one_line(page.replace("&#39;", "'"))
    assert [fact for fact in facts(e) if in_one_line(fact) not in said] == []
    assert "default-src 'none'" in page and not re.search(r"(src|href)=\"?https?:", page)


def test_the_file_is_paper_that_a_reader_of_pdf_knows(e, reader, tmp_path):
    assert {tuple(map(round, page.mediabox[2:])) for page in reader.pages} == {(595, 842)}
    assert reader.metadata.creation_date == DATE and "obama_portrait_2012" in reader.metadata.title
    assert [entry["/Title"] for entry in reader.outline][-2:] == ["Limits", "Examined by"]
    assert sum("1 of 5" in page.extract_text() for page in reader.pages) == 1
    fonts = {font for page in reader.pages for font in page["/Resources"]["/Font"].values()}
    assert all("/ToUnicode" in font.get_object() for font in fonts)
    e.report(tmp_path / "letter.pdf", paper="letter", date=DATE)
    assert {tuple(map(round, page.mediabox[2:])) for page in PdfReader(tmp_path / "letter.pdf").pages} == {(612, 792)}


def test_limits_have_one_page_of_their_own(reader):
    (page,) = (page.extract_text() for page in reader.pages if "What was compared" in page.extract_text())
    assert "Limits" in page.split() and "Who decides" in page and "How this report" not in page


@pytest.mark.parametrize("kind", ["pdf", "html"])
def test_the_same_bytes_but_for_the_date(kind, e, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(DATE.timestamp())))
    paths = [tmp_path / f"{name}.{kind}" for name in "abc"]
    e.report(paths[0])
    e.report(paths[1], date=DATE)
    e.report(paths[2], date=DATE + timedelta(days=1))
    first, second, later = (path.read_bytes() for path in paths)
    assert first == second != later


def test_photographs_given_as_content_are_given_again(tmp_path):
    given = A.read_bytes(), np.asarray(Image.open(B))
    e = xcos.explain(*given)
    with pytest.raises(ValueError, match="given as content"):
        e.report(tmp_path / "case.pdf")
    e.report(tmp_path / "case.pdf", photos=given)
    said = in_one_line(text_of(PdfReader(tmp_path / "case.pdf")))
    assert hashlib.sha256(given[0]).hexdigest() in said and hashlib.sha256(given[1].tobytes()).hexdigest() in said
    with pytest.raises(ValueError, match="not the photograph that was compared"):
        e.report(tmp_path / "other.pdf", photos=(given[0], OTHER))
    assert [path.name for path in tmp_path.iterdir()] == ["case.pdf"]


def test_a_large_photograph_is_the_one_that_was_compared(tmp_path):
    """Read at a quarter of its size for the comparison, and the same again."""
    photo = tmp_path / "photo.jpg"
    with Image.open(A) as portrait:
        portrait.resize((4 * portrait.width, 4 * portrait.height)).save(photo, quality=90)
    e = xcos.explain(photo, B)
    assert e.looks[0].reduction == 4 and e.looks[1].reduction == 1
    e.report(tmp_path / "case.pdf")
    assert "2880 x 3600 pixels" in text_of(PdfReader(tmp_path / "case.pdf"))
    with Image.open(photo) as picture:
        picture.point(lambda level: min(level + 9, 255)).save(photo, quality=90)
    with pytest.raises(ValueError, match="not the photograph that was compared"):
        e.report(tmp_path / "other.pdf")


def test_a_photograph_that_changed_is_refused(tmp_path):
    photo = tmp_path / "photo.png"
    Image.open(A).save(photo)
    e = xcos.explain(photo, B)
    Image.open(A).point(lambda level: min(level + 9, 255)).save(photo)
    with pytest.raises(ValueError, match=r"photo\.png: is not the photograph that was compared"):
        e.report(tmp_path / "case.pdf")
    photo.unlink()
    with pytest.raises(FileNotFoundError, match=r"photo\.png"):
        e.report(tmp_path / "case.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_turned_photograph_and_a_crop_say_what_they_are(tmp_path):
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(A).transpose(Image.Transpose.ROTATE_90).save(turned, "JPEG", exif=exif, quality=95)
    e = xcos.explain(turned.getvalue(), OTHER, upright=True)
    e.report(tmp_path / "case.pdf", photos=(turned.getvalue(), None))
    said = text_of(PdfReader(tmp_path / "case.pdf"))
    assert "turned by 90° clockwise (Exif 6)" in said and "720 x 900 pixels" in said
    crops = [xcos.crop(path) for path in (A, OTHER)]
    xcos.explain(*crops, aligned=True).report(tmp_path / "crops.pdf", photos=tuple(crops))
    assert "given as an aligned crop" in text_of(PdfReader(tmp_path / "crops.pdf"))


def test_names_of_any_letters_and_length(tmp_path):
    strange = tmp_path / ("山" + "long name " * 15 + "**x** <b>&$.jpg")
    shutil.copy(A, strange)
    e = xcos.explain(strange, B)
    for kind in ("pdf", "html"):
        e.report(tmp_path / f"case.{kind}", reference="<script>山**", command="xcos " + "x" * 300)
    said = in_one_line(text_of(PdfReader(tmp_path / "case.pdf")))
    assert "**x**<b>&$.jpg" in said and ("山" in said or "\\u5c71" in said)
    assert "<script>山" not in (tmp_path / "case.html").read_text(encoding="utf-8")


def test_what_is_refused(e, tmp_path):
    with pytest.raises(ValueError, match=r"expected a name that ends in \.pdf, \.html"):
        e.report(tmp_path / "case.doc")
    with pytest.raises(ValueError, match="paper: expected one of A4, letter, got 'A5'"):
        e.report(tmp_path / "case.pdf", paper="A5")
    with pytest.raises(ValueError, match="time zone"):
        e.report(tmp_path / "case.pdf", date=datetime(2026, 11, 27))
    model = xcos.load()
    features = model.features([A, B])
    crops = np.zeros((2, 112, 112, 3), np.uint8)
    (seen,) = model.explain_features(features[:1], features[1:], [crops], names=[("a", "b")])
    with pytest.raises(ValueError, match="from features"):
        seen.report(tmp_path / "case.pdf")
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_it_and_names_itself(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": io.BytesIO(B.read_bytes())}))
    path = tmp_path / "case.pdf"
    assert main(["explain", str(A), "-", "--report", str(path), "--case", "K 17", "--paper", "letter"]) == 0
    assert f"written: {path}" in capsys.readouterr().out
    said = in_one_line(text_of(PdfReader(path)))
    assert in_one_line(f"xcos explain {A} - --report {path} --case 'K 17' --paper letter") in said
    assert hashlib.sha256(B.read_bytes()).hexdigest() in said and "CaseK17" in said
