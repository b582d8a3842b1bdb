"""Every picture that the package draws is the same under matplotlib settings of others, pixel by pixel."""

import ast
import io
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
import test_report
from matplotlib import pyplot
from PIL import Image
from test_results import make, verification
from test_search_protocol import GALLERY, PROBES, SCORES

import xcos
from xcos.drawing import benchmarks, flow, plot, saliency, truth
from xcos.drawing.figure import settings
from xcos.gallery.plots import bars

matplotlib.use("Agg")
RNG = np.random.default_rng(1)
FACES = RNG.integers(0, 256, (2, 1, 64, 64, 3), dtype=np.uint8)
MAPS = {key: SimpleNamespace(value=RNG.random((7, 7))) for key in ("own_map", "leak_map", "alone")}
MEASURED = SimpleNamespace(model="a_$b", **MAPS)
FOUND = SimpleNamespace(box=(10.0, 20.0, 60.0, 90.0), score=0.9, points=np.float32([[20, 40], [50, 40], [35, 55]]))
crops, table = test_report.crops, test_report.table  # fixtures


class Maps(SimpleNamespace):
    def __len__(self):
        return 1


FIRST, SECOND = RNG.normal(size=(2, 1, 64, 64)).astype(np.float32)
SALIENCY = Maps(method="m", target="xcos", score=np.float32([0.5]), crops=FACES, first=FIRST, second=SECOND)
FLOWS = [(0, 5, 0.5), (3, 9, 0.2)]

PICTURES = {
    "explanation": lambda found: plot.explanation(make(), panels=("score", "contribution")),
    "explanation, a file": lambda found: plot.render(make(), "png"),
    "verification": lambda found: plot.verification(verification(0.3)),
    "verification, a file": lambda found: plot.render(verification(0.3), "png"),
    "detections": lambda found: plot.detections(FACES[0, 0], [FOUND]),
    "gallery": lambda found: bars(["a_$x", "b"], [0.9, 0.1], 0.3),
    "truth": lambda found: truth.truths([MEASURED]),
    "truth, a file": lambda found: truth.render([MEASURED], "png"),
    "saliency": lambda found: saliency.saliency(SALIENCY),
    "saliency, a file": lambda found: saliency.render([SALIENCY], "png", ["a_$x"]),
    "matches": lambda found: flow.matches(FACES[:, 0], FLOWS, (4, 4), "title"),
    "search": lambda found: xcos.evaluate_search(SCORES, GALLERY, PROBES).plot(),
    "reports": lambda found: found.plot(),
    "reports, a file": lambda found: benchmarks.render([one.benchmark() for one in found], "png"),
    "pairs": lambda found: (xcos.plot_pairs([make(), None, "a_$x"], same=[False, None, True], columns=3),),
    "maps": lambda found: (xcos.plot_maps([[make(), None]], titles=["a_$x", "b"]),),
    "reliability": lambda found: found[0].plot_reliability(),
}
SAVING = {"savefig.facecolor": "black", "savefig.edgecolor": "red", "savefig.transparent": True, "savefig.dpi": 20,
          "savefig.bbox": "tight"}  # fmt: skip
SETTINGS = [
    "grayscale", "ggplot", "dark_background",
    {"image.origin": "lower", "image.interpolation": "bicubic", "image.cmap": "jet", "lines.linewidth": 9,
     "font.family": "no such font", "font.size": 31, "axes.grid": True, "axes.titlesize": 40, "text.usetex": True,
     "axes.prop_cycle": matplotlib.cycler(color=["white"])},
]  # fmt: skip


def pixels(drawn):
    if not isinstance(drawn, bytes):
        figure = drawn[0]
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=60)
        pyplot.close(figure)
        drawn = buffer.getvalue()
    return np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_the_same(name, table):
    """And the settings of others are as they were; those of saving a figure are for others to say, a file is ours."""
    drawn = PICTURES[name](table)
    file = isinstance(drawn, bytes)
    expected = pixels(drawn)
    with matplotlib.style.context([*SETTINGS, SAVING] if file else SETTINGS):
        others = dict(matplotlib.rcParams)
        drawn = PICTURES[name](table)
        assert dict(matplotlib.rcParams) == others
        np.testing.assert_array_equal(pixels(drawn), expected)


def test_all_that_draws_goes_through_one_door():
    """Whatever makes a figure, or saves one, stands under `ours`; but for the door itself."""
    package = Path(xcos.__file__).parent
    makers = {"Figure", "new_figure", "savefig", "subplots"}
    for path in sorted(package.rglob("*.py")):
        if path == package / "drawing" / "figure.py":
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef) or function.name in ("_axes", "_picture_axes", "_sheet"):
                continue  # the latter three have their callers' settings
            calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
            called = {getattr(call, "id", getattr(call, "attr", "")) for call in calls}
            doors = {getattr(decorator, "id", "") for decorator in function.decorator_list}
            assert not called & makers or "ours" in doors, f"{path.name}: {function.name}"


def test_a_notebook_goes_on_showing_figures():
    """The first figure makes a notebook choose its backend, which turns "interactive" on within our settings."""
    with matplotlib.rc_context({"interactive": False}):
        with settings():
            matplotlib.interactive(True)
        assert matplotlib.is_interactive()
        with pytest.raises(KeyError), settings():
            matplotlib.interactive(False)
            raise KeyError
        assert not matplotlib.is_interactive()
