"""Many pairs in one figure, and maps in rows and columns: what stands where, on which scale, and what is said of it."""

import dataclasses

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.text import Text
from test_results import make, verification

import xcos
from xcos.drawing.scales import SCALES

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close():
    yield
    pyplot.close("all")


def explained(seed: int = 0, shift: float = 0.0, **changed):
    """An explanation with crops of its own."""
    crops = np.random.default_rng(seed).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    return dataclasses.replace(make(shift), crops=crops, **changed)


SAME = explained(1, names=("a.jpg", "b.jpg"))
DIFFERENT = explained(2, -0.9, names=("a.jpg", "b.jpg"))


def named(figure):
    return {ax.get_label(): ax for ax in figure.axes}


def texts(figure):
    return [text.get_text() for text in figure.texts]


def image(ax):
    return np.asarray(ax.images[0].get_array())


def test_faces_and_maps_are_those_of_the_pairs():
    chosen = ("second", "attention", "contribution", "first")
    figure = xcos.plot_pairs([SAME, DIFFERENT], panels=chosen)
    axes = named(figure)
    bars = ["attention scale", "contribution scale"]
    assert list(axes) == [f"{name} {i}" for i in (0, 1) for name in chosen] + bars
    for i, e in enumerate((SAME, DIFFERENT)):
        np.testing.assert_array_equal(image(axes[f"first {i}"]), e.crops[0])
        np.testing.assert_array_equal(image(axes[f"second {i}"]), e.crops[1])
        for name in ("attention", "contribution"):
            np.testing.assert_array_equal(image(axes[f"{name} {i}"]), getattr(e, name))
            limits = SCALES[name].low, SCALES[name].high
            assert axes[f"{name} {i}"].images[0].get_clim() == limits == axes[f"{name} scale"].get_xlim()
        starts = [axes[f"{name} {i}"].get_position().x0 for name in chosen]
        assert starts == sorted(starts)
    assert {"a.jpg", "b.jpg"} <= set(texts(figure))
    calibrated = dataclasses.replace(SAME, evidence=SAME.cosine_map)
    assert image(named(xcos.plot_pairs([calibrated], panels="evidence"))["evidence 0"]).shape == (7, 7)


@pytest.mark.parametrize(("panels", "lines"), [(("first", "second", "contribution"), 1), (("contribution",), 2)])
def test_decisions_scores_and_labels_are_told(panels, lines):
    unsure = dataclasses.replace(SAME, undecided=True)
    pairs = [SAME, DIFFERENT, SAME, DIFFERENT, unsure, SAME]
    figure = xcos.plot_pairs(pairs, same=[True, False, False, True, False, None], panels=panels)
    said = texts(figure)
    yes, no = f"{SAME.score:.3f} > 0.240", f"{DIFFERENT.score:.3f} ≤ 0.240"
    if lines == 1:
        assert said.count(f"same person: {yes}") == 3 and said.count(f"different people: {no}") == 2
        labels = [text.removeprefix("label: ") for text in said if text.startswith("label: ")]
        assert labels == ["same ✓", "different ✓", "different ✗", "same ✗", "different"]
        assert f"undecided: {yes}" in said
    else:
        assert [said.count(verdict) for verdict in ("same person", "different people", "undecided")] == [3, 2, 1]
        assert [said.count(score) for score in (f"{yes} ✓", f"{yes} ✗", yes, f"{no} ✓", f"{no} ✗")] == [1, 1, 2, 1, 1]
    frames = [artist for artist in figure.patches + figure.artists if artist.get_facecolor()[3] == 0]
    assert len(frames) == 2  # the two that are wrong


def test_what_there_is_not_has_a_place_and_a_reason():
    figure = xcos.plot_pairs([SAME, None, "b.jpg: no face was found", DIFFERENT], columns=2)
    assert [label for label in named(figure) if label.startswith("first")] == ["first 0", "first 3"]
    said = texts(figure)
    assert "no result: a photograph could not be used" in said and "b.jpg: no face was found" in said
    assert xcos.plot_pairs([None]).axes[-1].get_label() == "contribution scale"


def test_columns_follow_from_the_room():
    def columns(**how):
        axes = named(xcos.plot_pairs([SAME] * 4, **how))
        return len({round(axes[f"contribution {i}"].get_position().x0, 6) for i in range(4)})

    assert [columns(columns=n) for n in (1, 2, 9)] == [1, 2, 4]
    assert columns() == 3 and columns(panels="contribution") == 4
    assert columns(figsize=(3, 9)) == 1 and columns(figsize=(9, 5)) == 2
    figure = xcos.plot_pairs([SAME], figsize=(9, 4), dpi=70)
    assert tuple(figure.get_size_inches()) == (9, 4) and figure.dpi == 70
    box = named(figure)["first 0"].get_position()
    assert box.width * 9 == pytest.approx(box.height * 4)


LONG = explained(3, names=("W" * 60 + ".jpg", "M" * 60 + ".png"))


@pytest.mark.parametrize(
    "draw",
    [
        lambda **how: xcos.plot_pairs([LONG, DIFFERENT, None, LONG], same=[False, False, None, True], **how),
        lambda **how: xcos.plot_pairs([LONG, DIFFERENT, "why " * 60], panels=("cosine",), same=[False] * 3, **how),
        lambda **how: xcos.plot_pairs([LONG, DIFFERENT, LONG], panels=("first", "second"), same=[False] * 3, **how),
        lambda **how: xcos.plot_maps([[LONG, explained(4)], [LONG, None]], titles=["one model " * 9, "two"], **how),
        lambda **how: xcos.plot_maps([LONG, explained(3, names=("a", "b"))], panel="attention", **how),
    ],
)
@pytest.mark.parametrize("inside", [None, (10, 8), (20, 7)])
def test_texts_stay_inside_and_apart(draw, inside):
    """By the boxes that the renderer draws them in; in a figure of its own, and in a grid of other axes."""
    if inside is None:
        part = figure = draw()
        place = figure.bbox
    else:
        figure, grid = pyplot.subplots(2, 2, figsize=inside)
        place = grid[0, 1].bbox.frozen()
        assert draw(ax=grid[0, 1]) is figure and not grid[0, 1].get_visible()
        part = figure.subfigs[0]
    figure.draw_without_rendering()
    shown = [text for text in part.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = np.array([text.get_window_extent().extents for text in shown])
    assert (boxes[:, :2] >= (place.x0 - 1, place.y0 - 1)).all() and (boxes[:, 2:] <= (place.x1 + 1, place.y1 + 1)).all()
    shared = np.minimum(boxes[:, None, 2:], boxes[:, 2:]) - np.maximum(boxes[:, None, :2], boxes[:, :2])
    apart = (shared <= 1).any(-1) | np.eye(len(boxes), dtype=bool)  # a pixel is what letters are rounded to
    assert apart.all(), [(shown[i].get_text(), shown[j].get_text()) for i, j in np.argwhere(~apart)][:4]


def test_one_pair_by_several_models():
    """The faces stand once in each row, the models' names over the columns."""
    grid = [[dataclasses.replace(e, model=name) for name in ("one", "two", "three")] for e in (SAME, DIFFERENT)]
    grid[1][2] = None
    axes = named(figure := xcos.plot_maps(grid, panel="cosine", same=[True, True]))
    assert list(axes) == ["first 0", "second 0", "cosine 0,0", "cosine 0,1", "cosine 0,2", "first 1", "second 1",
                          "cosine 1,0", "cosine 1,1", "cosine scale"]  # fmt: skip
    assert {"one", "two", "three", "no result: a\nphotograph could\nnot be used"} <= set(texts(figure))
    np.testing.assert_array_equal(image(axes["cosine 1,1"]), DIFFERENT.cosine_map)
    assert axes["first 0"].get_position().y0 == pytest.approx(axes["cosine 0,2"].get_position().y0)
    assert sum(" ✗" in text for text in texts(figure)) == 2
    titled = texts(xcos.plot_maps(grid, titles=["v0", "v1", "v2"]))
    assert {"v0", "v1", "v2"} <= set(titled) and "one" not in titled


def test_a_reference_and_frames():
    """The reference stands once at the left, each frame above its map."""
    frames = [explained(i, names=("reference", f"frame {i}")) for i in range(4)]
    frames = [dataclasses.replace(e, crops=np.stack([frames[0].crops[0], e.crops[1]])) for e in frames]
    axes = named(figure := xcos.plot_maps(frames))
    assert [label for label in axes if label.startswith("first")] == ["first 0"]
    assert texts(figure).count("reference") == 1 and "test" not in texts(figure)
    for i, e in enumerate(frames):
        np.testing.assert_array_equal(image(axes[f"second 0,{i}"]), e.crops[1])
        frame, shown = (axes[f"{name} 0,{i}"].get_position() for name in ("second", "contribution"))
        assert frame.x0 == pytest.approx(shown.x0) and frame.y0 > shown.y1


def test_colours_are_chosen():
    for figure in (xcos.plot_pairs([SAME], panels=("cosine", "attention"), cmap="PRGn"),
                   xcos.plot_maps([SAME], panel="cosine", cmap=matplotlib.colormaps["PRGn"])):  # fmt: skip
        used = {label.split()[0]: ax.images[0].get_cmap().name for label, ax in named(figure).items() if ax.images}
        assert used["cosine"] == "PRGn" and used.get("attention", "Greys") == "Greys"


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_texts_in_files_are_texts(kind, tmp_path):
    xcos.plot_pairs([SAME]).savefig(tmp_path / f"a.{kind}")
    written = (tmp_path / f"a.{kind}").read_bytes()
    assert b">What does it add?</text>" in written if kind == "svg" else b"/Type3" not in written


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: xcos.plot_pairs([]), ValueError, "explanations: expected at least one explanation, got none"),
        (lambda: xcos.plot_pairs([SAME, verification(0.3)]), TypeError, r"\[1\]: expected an Explanation, None or a t"),
        (lambda: xcos.plot_pairs([SAME], same=[True, False]), ValueError, "same: expected a label for each of 1, "),
        (lambda: xcos.plot_pairs([SAME], panels=("nose",)), ValueError, "panels: expected some of first, "),
        (lambda: xcos.plot_pairs([SAME], panels=()), ValueError, "panels: "),
        (lambda: xcos.plot_pairs([SAME], panels=("evidence",)), ValueError, "'test' is not calibrated"),
        (lambda: xcos.plot_pairs([SAME], columns=0), ValueError, "columns: expected at least 1, got 0"),
        (lambda: xcos.plot_pairs([SAME], cmap="rainbwo"), ValueError, "cmap: expected a matplotlib Colormap"),
        (lambda: xcos.plot_pairs([SAME], dpi=0), ValueError, "dpi: expected a number from 1 to 2400, got 0"),
        (lambda: xcos.plot_pairs([SAME], ax=3), TypeError, "ax: expected Axes of matplotlib, got int"),
        (lambda: xcos.plot_maps([[SAME], [SAME, None]]), ValueError, "expected rows of one length, got some of 1 and"),
        (lambda: xcos.plot_maps([SAME], titles=["a", "b"]), ValueError, "titles: expected one for each of 1 col"),
        (lambda: xcos.plot_maps([SAME], panel="first"), ValueError, "panel: expected one of cosine, attention"),
        (lambda: xcos.plot_maps([[SAME, 3]]), TypeError, r"explanations\[0\]\[1\]: expected an Explanation"),
        (lambda: xcos.plot_maps([]), ValueError, "expected at least one explanation"),
    ],
)
def test_errors_are_told_before_a_figure_is_made(call, error, message):
    with pytest.raises(error, match=message):
        call()
    assert pyplot.get_fignums() == []


def test_beside_ax_there_is_no_size():
    _, ax = pyplot.subplots()
    for how in ({"figsize": (3, 3)}, {"dpi": 80}):
        with pytest.raises(ValueError, match="figsize, dpi: go without ax"):
            xcos.plot_pairs([SAME], ax=ax, **how)
