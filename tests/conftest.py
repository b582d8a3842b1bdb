"""What the tests share."""

import gc
import importlib.util
import os
from pathlib import Path

import pytest

from xcos import _core

gc.disable()  # until all is imported: little of that is garbage, and looking for it takes a third of the time


def pytest_collection_modifyitems(items):
    """Long tests first, so that no process is left alone with one at the end.

    The modules with such a test go first as a whole: their fixtures are made once in a process.
    """
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish():
    gc.set_threshold(100_000, 50, 1000)  # of 700, 10, 10: networks and figures are many objects, and little garbage
    gc.enable()


@pytest.fixture(autouse=True, scope="module")
def frozen():
    """What was imported, by other modules' tests too, stays to the end: garbage isn't looked for in it each time."""
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with foreign models, photographs and data that the repository does not hold."""
    folder = Path(os.environ.get("XCOS_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"the shared folder is absent ({folder}); XCOS_SHARED names another place")
    return folder


@pytest.fixture(scope="session")
def first_model(shared):
    """The model with head v0, of which others have measured figures, from the networks it was made of."""
    pytest.importorskip("onnx")
    place = Path(__file__).parents[1] / "tools" / "build_models.py"
    spec = importlib.util.spec_from_file_location("build_models", place)
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    return build.first_model(shared / "models")


@pytest.fixture(scope="session")
def photos() -> dict[str, Path]:
    """The four photographs under examples/, by name: three of one person, one of another."""
    names = ("obama_portrait_2012", "obama_congress_2009", "obama_blue_room_2010", "biden_blue_room_2010")
    return {name: Path(__file__).parents[1] / "examples" / f"{name}.jpg" for name in names}


@pytest.fixture(params=_core.isa_available())
def isa(request):
    """Each instruction set that the machine has, in force for the networks made by the test."""
    before = _core.isa()
    _core.isa_select(request.param)
    yield request.param
    _core.isa_select(before)


@pytest.fixture
def unprivileged():
    """For a while, root is nobody, since root may read and write everything."""
    root = os.geteuid() == 0
    if root:
        "".encode("cp437")  # of zip files: what nobody may not read of Python, the process takes to be absent for ever
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """What tests print may hold names that are no UTF-8, which pytest-xdist cannot send to the reporting process."""
    report = (yield).get_result()
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
