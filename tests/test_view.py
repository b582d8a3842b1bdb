"""The interactive view in a real browser: what it shows is the explanation's own numbers."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import barriers, open_browser, resize
from PIL import Image

import xcos
from xcos import view
from xcos.measured.truth import CellTruth

COLUMNS = "ABCDEFG"


@pytest.fixture(scope="module")
def explanation(photos):
    """Of the cells alone, and of a model whose cells were not measured."""
    e = xcos.load(whole=0).explain(photos["obama_portrait_2012"], photos["biden_blue_room_2010"])
    return replace(e, truth=None)


@pytest.fixture(scope="module")
def browser():
    with open_browser(1100, 900) as session:
        yield session


@pytest.fixture(scope="module")
def saved(explanation, tmp_path_factory):
    path = tmp_path_factory.mktemp("view") / "e.html"
    explanation.save(path)
    return path


@pytest.fixture
def page(browser, saved):
    """The saved page in the browser; at the end of the test the console must be empty."""
    resize(browser, 1100, 900)
    browser.get(saved.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def show(session, path, *explanations):
    """A page with these views, without the picture that a saved page has for where scripts don't run."""
    body = "".join(view.explanation_html(e, fallback=False) for e in explanations)
    path.write_text(f"<!doctype html><meta charset=utf-8><title>views</title>{body}", "utf-8")
    session.get(path.as_uri())


def root(session):
    return session.execute_script("return document.querySelector('xcos-explanation').shadowRoot")


def find(session, selector):
    return root(session).find_elements("css selector", selector)


def number(text):
    return float(text.replace("−", "-"))


def point_at(session, element):
    from selenium.webdriver import ActionChains

    ActionChains(session).move_to_element(element).perform()


def test_pointing_at_a_cell_shows_its_numbers(page, explanation):
    e = explanation
    for i, j in ((2, 3), (6, 0), (0, 6)):
        point_at(page, find(page, ".map [role=gridcell]")[7 * i + j])
        (title,), terms = find(page, ".details h3"), find(page, ".product b")
        assert title.text == f"Cell {COLUMNS[j]}{i + 1}"
        expected = (e.cosine_map[i, j], e.attention[i, j], e.contribution[i, j])
        np.testing.assert_allclose([number(term.text) for term in terms], expected, atol=5.1e-4)
        assert number(terms[2].text) == pytest.approx(e.contribution[i, j], abs=5.1e-5)
    # From a face as well, and both faces and the map mark the same cell.
    point_at(page, find(page, ".face .grid i")[49 + 24])
    assert find(page, ".details h3")[0].text == "Cell D4"
    assert len(find(page, ".grid .at")) == 3


def test_maps_can_be_switched(page, explanation):
    for kind, values, digits in (("cosine", explanation.cosine_map, 2), ("attention", explanation.attention, 3),
                                 ("contribution", explanation.contribution, 3), ("evidence", explanation.evidence, 1),
                                 ("deviation", explanation.deviation, 1)):
        page.execute_script("arguments[0].click()", find(page, f"input[value={kind}]")[0])
        shown = [number(cell.text) for cell in find(page, ".map [role=gridcell]")]
        np.testing.assert_allclose(shown, values.ravel(), atol=0.501 * 10.0**-digits)


def test_colours_are_those_of_the_picture(page, explanation):
    colormaps = pytest.importorskip("matplotlib").colormaps
    colours = [cell.value_of_css_property("background-color") for cell in find(page, ".map [role=gridcell]")]
    shown = np.array([[int(v) for v in re.findall(r"\d+", colour)[:3]] for colour in colours])
    low, high, *_ = view.SCALES["contribution"]
    expected = colormaps["RdBu"]((explanation.contribution.ravel() - low) / (high - low), bytes=True)[:, :3]
    assert np.abs(shown - expected.astype(int)).max() <= 6  # 256 steps there, exact values here


def test_scales_are_those_of_the_picture(explanation):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    scales = view.explanation_value(explanation)["scales"]
    figure, axes = explanation.plot(panels=["cosine", "attention", "contribution", "evidence", "deviation"])
    for name, ax in axes.items():
        assert ax.images[0].get_clim() == tuple(scales[name])
    figure.clear()


def test_the_sum_can_be_checked(page, explanation):
    rows = [[cell.text for cell in row.find_elements("css selector", "th, td")] for row in find(page, ".sum tbody tr")]
    assert len(rows) == 49
    added = [number(row[3]) for row in rows]
    lacking = [explanation.deficit[int(row[0][1]) - 1, COLUMNS.index(row[0][0])] for row in rows]
    assert lacking == sorted(lacking, reverse=True)  # of two people: what cells lack against one person's comes first
    for name, cosine, attention, contribution, _ in rows:
        at = int(name[1]) - 1, COLUMNS.index(name[0])
        expected = (explanation.cosine_map[at], explanation.attention[at], explanation.contribution[at])
        np.testing.assert_allclose([number(t) for t in (cosine, attention, contribution)], expected, atol=5.1e-4)
    np.testing.assert_allclose([number(row[4]) for row in rows], np.cumsum(added), atol=49 * 5.1e-5)
    assert number(rows[-1][4]) == pytest.approx(explanation.score, abs=1e-4)
    page.execute_script("arguments[0].open = true", find(page, "details")[0])
    terms, result = find(page, ".formula")[0].text.replace("−", "-").split("=")
    assert eval(terms.replace("×", "*"), {"__builtins__": {}}) == pytest.approx(explanation.score, abs=1e-4)
    assert float(result) == pytest.approx(explanation.score, abs=1e-4)


def test_what_speaks_for_the_decision_comes_first(browser, photos, explanation, tmp_path):
    def first_rows(e):
        show(browser, tmp_path / "e.html", e)
        return [number(row.find_elements("css selector", "td")[2].text) for row in find(browser, ".sum tbody tr")]

    one = xcos.explain(photos["obama_portrait_2012"], photos["obama_congress_2009"])
    added = first_rows(one)
    assert added == sorted(added, reverse=True)
    assert one.worth()[1:] in find(browser, "header")[0].text
    added = first_rows(replace(explanation, evidence=None, cells=None))  # not calibrated: by size
    assert np.abs(added).tolist() == sorted(np.abs(added), reverse=True)
    first_rows(replace(one, undecided=True))
    assert "Undecided, rather same person" in find(browser, "header")[0].text


def known(alone):
    own = np.full((7, 7), 0.8)
    own[0, 0] = np.nan
    return CellTruth(48, own, np.full((7, 7), 0.1), alone)


@pytest.fixture(scope="module")
def saved_mixed(explanation, tmp_path_factory):
    alone = np.full((7, 7), 0.9)
    alone[6] = 0.6
    whole = 0.3 * explanation.cosine
    e = replace(explanation, explained=0.7, score=0.7 * explanation.score + whole, truth=known(alone))
    path = tmp_path_factory.mktemp("mixed") / "mixed.html"
    e.save(path)
    return path, e


@pytest.fixture
def mixed(browser, saved_mixed):
    """The view where the face as a whole counts three tenths, and something is known of the cells."""
    path, e = saved_mixed
    resize(browser, 1100, 900)
    browser.get(path.as_uri())
    yield browser, e
    assert browser.get_log("browser") == []


def test_the_whole_stands_apart_and_the_sum_can_be_checked(mixed):
    page, e = mixed
    last = find(page, ".sum tbody tr")[-1].find_elements("css selector", "td")[-1].text
    assert number(last) == pytest.approx(e.local, abs=1e-4)
    values = [number(b.text) for b in find(page, ".parts b")]
    assert values == pytest.approx([e.local, e.whole], abs=5.1e-5)
    widths = [bar.size["width"] for bar in find(page, ".parts i")]
    assert widths[1] / widths[0] == pytest.approx(abs(e.whole) / e.local, abs=0.02)
    assert "counts 30 %" in find(page, ".parts")[0].text
    total = [number(t) for t in re.findall(r"−?[\d.]*\d", find(page, ".total")[0].text)]
    assert total == pytest.approx([e.local, abs(e.whole), e.score], abs=5.1e-5)
    page.execute_script("arguments[0].open = true", find(page, "details")[0])
    terms, result = find(page, ".formula")[0].text.replace("−", "-").split("=")
    assert eval(terms.replace("×", "*"), {"__builtins__": {}}) == pytest.approx(e.score, abs=1e-4)
    assert float(result) == pytest.approx(e.score, abs=1e-4)
    terms = [number(term.text) for term in find(page, ".product b")]
    assert terms[0] * terms[1] * terms[2] == pytest.approx(terms[3], abs=1e-4) and terms[2] == 0.7


def test_the_window_of_a_cell_is_drawn(mixed):
    page, _ = mixed
    squares = [face.rect for face in find(page, ".face .square")]
    for i, j in ((3, 3), (0, 0), (6, 5)):
        point_at(page, find(page, ".map [role=gridcell]")[7 * i + j])
        for square, box in zip(squares, (w.rect for w in find(page, ".window")), strict=True):
            low = [max(0, 16 * k + 8 - 24) / 112 for k in (j, i)]
            high = [min(112, 16 * k + 8 + 24) / 112 for k in (j, i)]
            corner = [(box[axis] - square[axis]) / square["width"] for axis in ("x", "y")]
            size = [box[side] / square["width"] for side in ("width", "height")]
            assert corner == pytest.approx(low, abs=0.01) and size == pytest.approx(np.subtract(high, low), abs=0.01)
        text = find(page, ".finding")[0].text
        assert "80 % comes from inside" in text and ("on average" in text) is ((i, j) == (0, 0))
        assert ("knows little" in text) is (i == 6)


def test_cells_that_know_little_are_faded(mixed):
    page, e = mixed
    cells = find(page, ".map [role=gridcell]")
    assert ["little" in cell.get_attribute("class") for cell in cells] == e.truth.little.ravel().tolist()
    np.testing.assert_allclose([number(c.text) for c in cells], e.contribution.ravel(), atol=0.501e-3)
    assert "below 65 %" in find(page, ".legend")[0].text
    assert cells[48].accessible_name.endswith("knows little")
    for width, dark in ((1100, False), (320, True)):
        resize(page, width, 900, dark=dark)
        assert barriers(page) == []  # contrast among others


def test_nothing_of_it_without_whole_and_truth(page):
    for selector in (".parts", ".window", ".legend", ".little"):
        assert find(page, selector) == []
    assert len(find(page, ".product b")) == 3


def test_the_keyboard_is_enough(page):
    from selenium.webdriver import Keys

    cells = find(page, ".map [role=gridcell]")
    assert [cell.get_attribute("tabindex") for cell in cells].count("0") == 1
    page.execute_script("arguments[0].focus()", cells[0])
    for key, cell in ((Keys.RIGHT, "B1"), (Keys.DOWN, "B2"), (Keys.END, "G2"), (Keys.RIGHT, "G2"), (Keys.HOME, "A2"),
                      (Keys.UP, "A1"), (Keys.UP, "A1")):
        page.execute_script("return arguments[0].activeElement", root(page)).send_keys(key)
        assert find(page, ".details h3")[0].text == f"Cell {cell}"


def test_a_screen_reader_hears_the_numbers(page, explanation):
    cell = find(page, ".map [role=gridcell]")[24]
    assert cell.accessible_name.startswith("Cell D4: cosine ")
    spoken = [number(text) for text in re.findall(r" (−?[\d.]+)", cell.accessible_name.split(":")[1])]
    maps = (explanation.cosine_map, explanation.attention, explanation.contribution)
    np.testing.assert_allclose(spoken[:3], [m[3, 3] for m in maps], atol=5.1e-4)
    assert spoken[3] == pytest.approx(explanation.evidence[3, 3], abs=5.1e-3)
    assert all(explanation.names[i] in face.accessible_name for i, face in enumerate(find(page, ".face img")))
    assert {button.aria_role for button in find(page, "fieldset input")} == {"radio"}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 390, 700, 1100])
def test_it_fits_the_window_in_light_and_dark(page, explanation, width, dark):
    resize(page, width, 844, dark=dark)
    page.refresh()
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    ink, ground = (
        [int(v) for v in re.findall(r"\d+", find(page, selector)[0].value_of_css_property(name))[:3]]
        for selector, name in ((".sum h3", "color"), ("section", "background-color"))
    )
    assert contrast(ink, ground) > 7
    assert (sum(ground) < 384) is dark
    nothing = find(page, ".map [role=gridcell]")[np.abs(explanation.contribution).argmin()]
    shown = [int(v) for v in re.findall(r"\d+", nothing.value_of_css_property("background-color"))[:3]]
    assert contrast(shown, ground) < 1.5  # what adds nothing does not glare
    squares = [square.rect for square in find(page, ".face .square, .map .square")]
    alike = squares if width == 1100 else squares[:2]  # side by side, line by line
    assert len({(round(one["y"]), round(one["height"])) for one in alike}) == 1
    for table in find(page, ".scroll, .wide"):
        assert page.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", table)


def contrast(a, b):
    """Contrast of two sRGB colours by WCAG 2.1."""
    def luminance(colour):
        v = np.array(colour) / 255
        return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_it_follows_the_page_not_the_system(page):
    page.execute_script("document.body.style.background = '#111'")  # a notebook's dark theme
    page.execute_async_script("setTimeout(arguments[0], 50)")
    assert "dark" in page.find_element("css selector", "xcos-explanation").get_attribute("class")


def test_evidence_of_a_calibrated_model(browser, explanation, tmp_path):
    evidence = (explanation.cosine_map * 5 - 1).astype(np.float32)
    show(browser, tmp_path / "e.html", replace(explanation, evidence=evidence))
    browser.execute_script("arguments[0].click()", find(browser, "input[value=evidence]")[0])
    shown = [number(cell.text) for cell in find(browser, ".map [role=gridcell]")]
    np.testing.assert_allclose(shown, evidence.ravel(), atol=0.0501)
    point_at(browser, find(browser, ".map [role=gridcell]")[10])
    assert "Evidence " in find(browser, ".details")[0].text
    assert browser.get_log("browser") == []


def test_many_views_share_one_page(browser, explanation, tmp_path):
    show(browser, tmp_path / "many.html", explanation, explanation, explanation)
    assert browser.get_log("browser") == []
    views = browser.find_elements("css selector", "xcos-explanation")
    assert [len(one.shadow_root.find_elements("css selector", ".sum table")) for one in views] == [1, 1, 1]


def test_sentences_and_parts_are_the_explanation_s(page, explanation):
    text = root(page).find_element("css selector", "header").text
    assert all(str(sentence) in text for sentence in explanation.sentences()[1:])
    lines = find(page, ".by-parts tbody tr")
    rows = [[cell.text for cell in line.find_elements("css selector", "th, td")] for line in lines]
    assert [row[0] for row in rows] == list(explanation.parts)
    for row, part in zip(rows, explanation.parts.values(), strict=True):
        shown = [number(cell) for cell in row[1:5]]
        numbers = (part.cosine, part.weight, part.contribution, part.evidence)
        np.testing.assert_allclose(shown, numbers, atol=0.0501)
        np.testing.assert_allclose(shown[:3], numbers[:3], atol=5.1e-4)
    added = sum(number(row[3]) for row in rows)
    assert added == pytest.approx(explanation.score, abs=9 * 5.1e-5)
    point_at(page, lines[2])
    marked = ["part" in cell.get_attribute("class").split() for cell in find(page, ".map [role=gridcell]")]
    assert np.array_equal(marked, explanation.parts["nose"].shares.round(2).ravel() >= 0.25)


def test_photographs_around_the_faces(browser, explanation, tmp_path):
    """Corners of the cells are where OnPhoto has them, in the photograph as it is shown."""
    resize(browser, 1100, 900)
    explanation.save(tmp_path / "e.html", on_photo=True)
    browser.get((tmp_path / "e.html").as_uri())
    assert [one.is_displayed() for one in find(browser, ".photo")] == [False, False]
    find(browser, ".check input")[1].click()
    assert [one.is_displayed() for one in find(browser, ".photo")] == [True, True]
    assert not any(one.is_displayed() for one in find(browser, ".face .square"))
    value = json.loads(browser.find_element("css selector", "xcos-explanation").get_attribute("value"))
    for side, shown in ((1, value["photos"][0]), (2, value["photos"][1])):
        there = explanation.on_photo(side)
        file = io.BytesIO(base64.b64decode(shown["src"].partition(",")[2]))
        picture, photograph = (np.asarray(image.convert("L"), float)
                               for image in (Image.open(file), Image.fromarray(there.pixels())))  # fmt: skip
        assert picture.shape == (shown["height"], shown["width"])
        corners = np.array(shown["cells"])
        scale = np.divide(*(np.linalg.norm(at[0, 0, 1] - at[0, 0, 0]) for at in (corners, there.grid)))
        for i, j in ((1, 1), (3, 4), (5, 2)):  # the same corner of a cell shows the same grey in both
            (x, y), (u, v) = np.rint(corners[i, j, 0]).astype(int), np.rint(there.grid[i, j, 0]).astype(int)
            wide = max(1, round(2 / scale))
            here = picture[y - 2 : y + 3, x - 2 : x + 3].mean()
            assert here == pytest.approx(photograph[v - wide : v + wide + 1, u - wide : u + wide + 1].mean(), abs=12)
    polygon, cell = find(browser, ".photo polygon")[24], find(browser, ".face .grid i")[24]
    point_at(browser, polygon)
    assert find(browser, ".details h3")[0].text == "Cell D4" and "at" in polygon.get_attribute("class")
    assert polygon.value_of_css_property("fill") == cell.value_of_css_property("background-color")
    assert browser.get_log("browser") == []


class Parts(HTMLParser):
    """Start tags with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_without_scripts_the_picture_shows(explanation):
    tags = Parts(explanation._repr_html_()).tags
    assert [tag for tag, _ in tags] == ["xcos-explanation", "img", "script"]
    picture = tags[1][1]
    assert picture["src"].startswith("data:image/webp;")
    assert "different people: score" in picture["alt"]
    with Image.open(io.BytesIO(base64.b64decode(picture["src"].split(",")[1]))) as image:
        image.load()
        assert image.width > 800


def test_names_cannot_leave_their_place(explanation):
    hostile = '"></xcos-explanation><script>alert(1)</script>'
    tags = Parts(view.explanation_html(replace(explanation, names=(hostile, "'<b>")), script=False)).tags
    assert [tag for tag, _ in tags] == ["xcos-explanation", "img"]
    assert json.loads(tags[0][1]["value"])["names"] == [hostile, "'<b>"]


def test_the_script_stays_inside_its_tag():
    assert "</script" not in view.element_script() and "<!--" not in view.element_script()


def test_nothing_is_fetched():
    code = view.element_script()
    assert not re.search(r"https?:|fetch\(|import\(|XMLHttpRequest|url\((?!\"\$\{)", code)


def test_value_is_the_explanation(explanation):
    value = json.loads(json.dumps(view.explanation_value(explanation)))
    for name in ("cosine_map", "attention", "contribution"):
        np.testing.assert_allclose(value[name], getattr(explanation, name), rtol=1e-6)
    for url, crop in zip(value["crops"], explanation.crops, strict=True):
        with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as image:
            np.testing.assert_array_equal(np.asarray(image), crop)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 5, 3), (112, 112, 3)])
def test_png(shape):
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(view.png(pixels))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_on_paper_all_cells_are_there(page, explanation):
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    printed = page.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    text = " ".join(one.extract_text() for one in pypdf.PdfReader(io.BytesIO(base64.b64decode(printed["data"]))).pages)
    names = {f"{column}{row}" for column in COLUMNS for row in range(1, 8)}
    assert names <= set(text.split())
