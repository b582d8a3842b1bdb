"""Figures: the numbers drawn are those of the result, on scales that are the same in every figure."""

import dataclasses
import io
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from test_results import make, verification

from xcos.drawing import plot
from xcos.drawing.benchmarks import benchmarks
from xcos.drawing.scales import cell_number
from xcos.measured.truth import CellTruth

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close():
    yield
    pyplot.close("all")


def texts(ax):
    return [t.get_text() for t in ax.texts]


@pytest.mark.parametrize(("rows", "size"), [(1, (2, 2)), (1, (14, 10)), (1, (12, 3)), (3, (12, 9)), (3, (24, 30))])
def test_in_given_axes_it_stays_inside(rows, size):
    """Every text, axes and mark lies in the rectangle of the axes given, and texts keep their distance."""
    figure, grid = pyplot.subplots(rows, rows, figsize=size, squeeze=False)
    e = make(explained=0.35)
    given = grid[-1, -1] if rows == 1 else grid[1, 1]
    place = given.bbox.frozen()
    _, axes = e.plot(ax=given)
    figure.draw_without_rendering()
    artists = [a for a in figure.subfigs[0].findobj() if a.get_visible() and a.get_figure() is figure.subfigs[0]]
    boxes = [a.get_tightbbox() for a in axes.values()]
    boxes += [a.get_window_extent() for a in artists if isinstance(a, Text) and a.get_text()]
    assert len(boxes) > 150
    for box in boxes:
        assert place.x0 - 1 <= box.x0 and box.x1 <= place.x1 + 1 and place.y0 - 1 <= box.y0 and box.y1 <= place.y1 + 1
    maps = [axes[name] for name in ("cosine", "attention", "contribution")]
    titles = [next(t for t in ax.texts if t.get_weight() == "bold") for ax in maps]
    across = [t.get_window_extent() for t in titles]
    assert across[0].x1 < across[1].x0 and across[1].x1 < across[2].x0


LAST_ROW = ("cosine", "attention", "contribution", "whole")


@pytest.mark.parametrize(
    ("side", "panels"), [(2, None), (3, None), (5, None), (8, None), (2, LAST_ROW), (3, ("contribution",))]
)
def test_in_places_of_a_grid(side, panels):
    """Texts lie in the axes given and not on each other, by the boxes that the renderer draws them in."""
    figure, grid = pyplot.subplots(2, 2, figsize=(2.9 * side, 2.9 * side), dpi=200)
    drawn_in = (grid[0, 0], grid[1, 1])
    everything = make(explained=0.35)
    alone = np.where(np.arange(49).reshape(7, 7) < 7, 0.6, 0.8)
    e = dataclasses.replace(everything, truth=CellTruth(48, alone, alone, alone))
    places = [ax.bbox.frozen() for ax in drawn_in]
    for ax in drawn_in:
        assert min(ax.bbox.size) / figure.dpi > side
        e.plot(ax=ax, panels=panels)
    figure.draw_without_rendering()
    for place, part in zip(places, figure.subfigs, strict=True):
        shown = [t for t in part.findobj(Text) if t.get_visible() and t.get_text().strip()]
        boxes = [t.get_window_extent() for t in shown]
        for text, box in zip(shown, boxes, strict=True):
            assert place.x0 - 1 <= box.x0 and box.x1 <= place.x1 + 1, text
            assert place.y0 - 1 <= box.y0 and box.y1 <= place.y1 + 1, text
        corners = np.array([box.extents for box in boxes])
        low, high = corners[:, :2], corners[:, 2:]
        shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
        apart = (shared <= 1).any(-1) | np.eye(len(boxes), dtype=bool)  # a pixel is what letters are rounded to
        assert apart.all(), [(shown[i], shown[j]) for i, j in np.argwhere(~apart)][:4]


def test_panels_are_chosen():
    e = make(explained=0.35)
    figure, axes = e.plot(panels=("attention", "cosine"))
    assert list(axes) == ["attention", "cosine"]
    assert axes["attention"].get_position().x1 < axes["cosine"].get_position().x0
    assert "×" not in [t.get_text() for t in figure.texts]  # the sum is told in its order only
    figure, axes = e.plot(panels=["cosine", "attention", "contribution", "whole"], figsize=(9, 3))
    assert {"×", "=", "+", "×\n0.35"} <= {t.get_text() for t in figure.texts}
    assert tuple(figure.get_size_inches()) == (9, 3)
    assert list(dataclasses.replace(e, evidence=e.cosine_map).plot(panels="evidence")[1]) == ["evidence"]
    opened = pyplot.get_fignums()
    for wrong in (("cosine", "nose"), (), ("cosine", "cosine"), ("whole",)):
        with pytest.raises(ValueError, match="panels: expected some of first, second"):
            e.plot(panels=wrong)
    with pytest.raises(ValueError, match="not calibrated"):
        e.plot(panels=("evidence",))
    with pytest.raises(ValueError, match="figsize: "):
        e.plot(ax=axes["cosine"], figsize=(3, 3))
    with pytest.raises(ValueError, match="figsize: "):
        verification(0.3).plot(ax=axes["cosine"], figsize=(3, 3))
    assert pyplot.get_fignums() == opened
    assert tuple(verification(0.3).plot(figsize=(7, 2))[0].get_size_inches()) == (7, 2)


def test_colours_are_chosen():
    for cmap in ("coolwarm", matplotlib.colormaps["coolwarm"]):
        _, axes = make().plot(cmap=cmap)
        names = [axes[name].images[0].get_cmap().name for name in ("cosine", "attention", "contribution")]
        assert names == ["coolwarm", "Greys", "coolwarm"]
    with pytest.raises(ValueError, match="cmap: expected a matplotlib Colormap or the name of one, got 'rainbwo'"):
        make().plot(cmap="rainbwo")


def test_dots_an_inch(tmp_path):
    for result, inches in ((make(), make().plot()[0].get_size_inches()), (verification(0.3), (5, 1.6))):
        for dpi in (30, 75):
            result.save(tmp_path / "a.png", dpi=dpi)
            with Image.open(tmp_path / "a.png") as picture:
                assert picture.size == tuple(int(side * dpi + 1e-6) for side in inches)
        for wrong in (0, -5, float("nan"), 1e9):
            with pytest.raises(ValueError, match="dpi: expected a number from 1 to 2400"):
                result.save(tmp_path / "a.png", dpi=wrong)


def test_every_cell_carries_its_number():
    e = make()
    _, axes = plot.explanation(e)
    for name, values, digits in (
        ("cosine", e.cosine_map, 2),
        ("attention", e.attention, 3),
        ("contribution", e.contribution, 3),
    ):
        drawn = [float(t) for t in texts(axes[name])[: values.size]]
        np.testing.assert_allclose(drawn, values.ravel(), atol=0.51 * 10**-digits)


def test_title_has_score_decision_and_threshold():
    for e in (make(), make(-0.9)):
        figure, axes = plot.explanation(e)
        title = figure.texts[0].get_text()
        assert f"{e.score:.3f}" in title and "0.240" in title
        assert title.startswith("Same person" if e.same else "Different people")
        assert any(f"sum {e.contribution.sum():.3f}" in t for t in texts(axes["contribution"]))
        assert "%" not in title + "".join(t for ax in axes.values() for t in texts(ax))


def test_the_whole_stands_apart():
    e = make(explained=0.7)
    _, axes = plot.explanation(e)
    bars = sorted(axes["whole"].patches, key=lambda bar: bar.get_x())
    assert [bar.get_height() for bar in bars] == pytest.approx([e.local, e.whole])
    assert any(f"{e.local:.3f} + {e.whole:.3f}" in t and f"{e.score:.3f}" in t for t in texts(axes["whole"]))
    assert axes["whole"].get_position().x0 > axes["contribution"].get_position().x1
    drawn = [float(t) for t in texts(axes["contribution"])[:49]]
    np.testing.assert_allclose(drawn, e.contribution.ravel(), atol=0.51e-3)
    assert "whole" not in plot.explanation(make())[1]
    low = dataclasses.replace(e, cosine=-0.2, score=e.local - 0.06)
    assert any(f"{low.local:.3f} − 0.060" in t for t in texts(plot.explanation(low)[1]["whole"]))


def test_cells_that_know_little_are_faded():
    alone = np.full((7, 7), 0.8)
    alone[0] = 0.6
    maps = np.full((7, 7), 0.5)
    e = dataclasses.replace(make(), truth=CellTruth(48, maps, maps, alone))
    figure, axes = plot.explanation(e)
    for name in ("cosine", "attention", "contribution"):
        cells = axes[name].texts[:49]
        assert [t.get_style() for t in cells] == ["italic"] * 7 + ["normal"] * 42
        veil = axes[name].images[-1]
        np.testing.assert_array_equal(veil.get_alpha() > 0, alone < 0.65)
    assert any("below 65%" in t.get_text() for t in figure.texts)
    figure, _ = plot.explanation(dataclasses.replace(e, truth=CellTruth(48, maps, maps, alone + 0.1)))
    assert not any("below 65%" in t.get_text() for t in figure.texts)


def test_scales_are_fixed():
    limits = []
    for e in (make(), make(-0.9)):
        _, axes = plot.explanation(e)
        limits.append([axes[name].images[0].get_clim() for name in ("cosine", "attention", "contribution")])
    assert limits[0] == limits[1]
    assert limits[0][0] == (-1, 1)
    assert limits[0][1][0] == 0
    assert limits[0][2][0] == -limits[0][2][1]


def test_faces_are_shown_as_they_are():
    e = make(names=("one.jpg", "two.jpg"))
    _, axes = plot.explanation(e)
    for i, name in enumerate(("first", "second")):
        np.testing.assert_array_equal(axes[name].images[0].get_array(), e.crops[i])
        assert axes[name].get_title() == e.names[i]


def test_two_explanations_in_one_figure():
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(21, 7.6))
    for ax, e in ((left, make()), (right, make(-0.9))):
        drawn, axes = e.plot(ax=ax)
        assert drawn is figure
        assert "cosine" in axes
    assert len(figure.subfigs) == 2
    figure.draw_without_rendering()
    with pytest.raises(ValueError, match="add_subplot"):
        make().plot(ax=Figure().add_axes((0, 0, 1, 1)))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: dataclasses.replace(make(), evidence=make().cosine_map).plot_evidence(),
        lambda: verification(0.3).plot(),
        lambda: verification(0.0496).plot(figsize=(3, 1.3)),
        lambda: verification(0.3).plot(ax=pyplot.subplots(1, 3, figsize=(7, 2))[1][1]),
    ],
)
def test_all_texts_lie_in_the_picture(draw):
    figure, ax = draw()
    figure.draw_without_rendering()
    title, place = ax.title.get_window_extent(), figure.bbox if len(figure.axes) == 1 else ax.bbox
    assert place.x0 - 1 <= title.x0 and title.x1 <= place.x1 + 1
    if place is figure.bbox:
        boxes = [text.get_window_extent() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
        assert all(box.y0 >= -1 and box.y1 <= place.y1 + 1 for box in boxes)


@pytest.mark.filterwarnings("ignore:This figure includes Axes that are not compatible with tight_layout")
@pytest.mark.parametrize("layout", ["tight", "constrained", "compressed"])
def test_layouts_around_it_leave_its_parts_where_they_are(layout):
    """In subplots, a mosaic and a subfigure, beside other axes."""
    e, panels = make(), ("cosine", "attention")
    alone = {name: ax.get_position(original=True).extents for name, ax in e.plot(panels=panels)[1].items()}
    mosaic, named = pyplot.subplot_mosaic("AAB;AAC", figsize=(14, 9), layout=layout)
    parted = pyplot.figure(figsize=(14, 9), layout=layout)
    for figure, places in ((mosaic, named["A"]), (parted, parted.subfigures(1, 2)[1].subplots())):
        _, axes = e.plot(ax=places, panels=panels)
        figure.draw_without_rendering()
        for name, place in alone.items():
            np.testing.assert_allclose(axes[name].get_position(original=True).extents, place, atol=1e-9)
        assert not places.get_visible()


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_texts_stay_texts_in_files_that_others_save(kind, tmp_path):
    figure, _ = verification(0.3).plot()
    with matplotlib.rc_context({"svg.fonttype": "path", "pdf.fonttype": 3}):
        figure.savefig(tmp_path / f"a.{kind}")
        assert matplotlib.rcParams["pdf.fonttype"] == 3
    written = (tmp_path / f"a.{kind}").read_bytes()
    assert b">same person: score" in written if kind == "svg" else b"/Type0" in written and b"/Type3" not in written


def test_verification_draws_into_given_axes():
    figure, ax = pyplot.subplots()
    assert verification(0.3).plot(ax=ax) == (figure, ax)
    assert ax.get_title() == verification(0.3).sentence()
    assert ax.get_xlim() == (-1, 1)


NUMBERS = [(0.554, 2, ".55"), (-0.08, 2, "-.08"), (-0.0001, 3, ".000"), (1.0, 2, "1.00"), (-0.999, 2, "-1.00")]


@pytest.mark.parametrize(("value", "digits", "text"), NUMBERS)
def test_numbers(value, digits, text):
    assert cell_number(value, digits) == text


def test_rendering_leaves_no_figures_open():
    for result, kind in ((make(), "png"), (verification(0.1), "svg")):
        assert plot.render(result, kind)
    assert pyplot.get_fignums() == []


def test_detections():
    class Face:
        box = (10.0, 20.0, 60.0, 90.0)
        score = 0.9
        points = np.float32([[20, 40], [50, 40], [35, 55], [25, 70], [45, 70]])

    image = np.zeros((120, 200, 3), np.uint8)
    _, ax = plot.detections(image, [Face(), Face()])
    assert len(ax.patches) == 2
    assert texts(ax) == ["0: 0.90", "1: 0.90"]
    with Image.open(io.BytesIO(plot.render_detections(image, [Face()], "png"))) as picture:
        assert picture.width / picture.height == pytest.approx(200 / 120, rel=0.02)


def test_a_face_over_the_edge_leaves_no_margin():
    class Face:
        box = (-30.0, -20.0, 230.0, 150.0)
        score = 0.9
        points = np.float32([[-9, 40], [50, -7], [215, 55], [25, 130], [45, 70]])

    figure, ax = plot.detections(np.zeros((120, 200, 3), np.uint8), [Face()])
    assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 199.5), (119.5, -0.5))
    figure.draw_without_rendering()
    label = ax.texts[0].get_window_extent()
    assert label.x0 >= 0 and label.y1 <= figure.bbox.height


def test_threads_leave_the_settings_alone():
    with matplotlib.rc_context({"font.size": 17.0, "image.origin": "lower"}), ThreadPoolExecutor(4) as pool:
        settings = dict(matplotlib.rcParams)
        drawn = set(pool.map(lambda _: plot.render(verification(0.3), "png"), range(12)))
        assert len(drawn) == 1 and dict(matplotlib.rcParams) == settings


NAMES = [("$x^2$", "$\\frac"), ("50$ and 60$", "写真"), ("a\\u0301", "😀.jpg"), ("𓀀", "b")]


@pytest.mark.parametrize("names", NAMES, ids=range(len(NAMES)))
def test_names_are_no_formulas_and_need_no_font(names, recwarn):
    """What a title shows is the name, letter by letter."""
    figure, axes = make(names=names).plot(panels=("first", "second"))
    for name, panel in zip(names, ("first", "second"), strict=True):
        shown = axes[panel].get_title()
        assert shown == name or shown == name.encode("unicode_escape").decode()
    figure.canvas.draw()
    assert not any(axes[panel].title.get_parse_math() for panel in ("first", "second"))
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


@pytest.mark.parametrize(
    ("suffix", "magic", "texts_as_texts"),
    [
        (".png", b"\x89PNG", ()),
        (".PDF", b"%PDF", (b"/Type0",)),
        (".svg", b"<?xml", (b"<text", b"How alike is each cell?", b"50$ and 60$")),
    ],
)
def test_files_of_any_names(suffix, magic, texts_as_texts, tmp_path, recwarn):
    make(names=("$x^2$ a\\u0301 😀.jpg", "50$ and 60$ 写真 𓀀")).save(tmp_path / f"picture{suffix}")
    (written,) = tmp_path.iterdir()
    data = written.read_bytes()
    assert written.name == f"picture{suffix}" and data.startswith(magic)
    assert all(text in data for text in texts_as_texts) and b"/Type3" not in data
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


def test_plotting_twice_into_one_place():
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(21, 7.6))
    for e in (make(), make(-0.9), make()):
        _, axes = e.plot(ax=left, panels=("first", "cosine"))
        verification(0.3).plot(ax=right)
        assert len(figure.subfigs) == 1 and axes["first"].figure is figure.subfigs[0]
    figure.draw_without_rendering()
    assert len(figure.axes) == len(figure.subfigs[0].axes) + 2
    left.remove()
    with pytest.raises(ValueError, match="ax: "):
        make().plot(ax=left)


def test_axes_that_are_none_are_named():
    for draw in (make().plot, verification(0.3).plot):
        for wrong in (3, "axes", pyplot.figure(), [pyplot.figure().add_subplot()]):
            with pytest.raises(TypeError, match=f"ax: expected Axes of matplotlib, got {type(wrong).__name__}"):
                draw(ax=wrong)
    with pytest.raises(TypeError, match="ax: expected Axes of matplotlib, got int"):
        benchmarks([], [3, 4, 5])
