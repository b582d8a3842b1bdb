"""The house of the Python package: rooms know only rooms below them, and nothing goes in circles."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from xcos.base.moved import MOVED

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import house  # noqa: E402

PACKAGE = ROOT / "xcos"

# From the ground up. Files at the top are rooms of their own.
ORDER = (
    "models", "errors", "base", "storage", "measured", "plan", "importers.onnx", "importers.torch", "importers",
    "faces", "drawing", "view", "casefile", "recognition", "gallery", "datasets", "twin", "evaluation", "explainers",
    "faithfulness", "train", "plugging", "serve", "api", "ray", "__init__", "cli", "__main__",
)  # fmt: skip
TOP = {"__init__.py", "__main__.py", "api.py", "errors.py", "ray.py"}

# Network.from_onnx, a public constructor, asks the importer that makes plans.
DOORS = {("plan.network", "importers.onnx.importer")}


@pytest.fixture(scope="module")
def modules():
    return house.modules_of(PACKAGE)


@pytest.fixture(scope="module")
def arrows():
    return [arrow for arrow in house.arrows_of(PACKAGE) if (arrow.source, arrow.target) not in DOORS]


def test_only_the_front_doors_are_at_the_top():
    assert {path.name for path in PACKAGE.glob("*.py")} == TOP


def test_no_arrow_runs_back_up(modules, arrows):
    """Imports in functions and those for type checkers count as well."""
    floor = {room: i for i, room in enumerate(ORDER)}
    assert {house.room_of(module, modules) for module in modules} == set(ORDER)
    up = []
    for arrow in arrows:
        here, there = house.room_of(arrow.source, modules), house.room_of(arrow.target, modules)
        if floor[there] > floor[here]:
            up.append(f"{arrow.source}:{arrow.line} imports {arrow.target}")
    assert up == []


def test_no_circle_of_rooms(modules, arrows):
    assert house.circles(house.rooms_of(house.graph_of(arrows), modules)) == []


def test_no_circle_of_modules(arrows):
    """Imports in functions and those for type checkers count as well."""
    assert house.circles(house.graph_of(arrows)) == []


def test_doors_are_in_use():
    assert DOORS <= {(arrow.source, arrow.target) for arrow in house.arrows_of(PACKAGE)}


def test_the_drawing_is_right(tmp_path):
    """A house of four rooms drawn by hand: a -> b -> c in functions, c -> a for type checkers, d a file at the top."""
    files = {
        "__init__.py": "", "d.py": "from .a import x\nfrom . import b\nimport os",
        "a/__init__.py": "", "a/x.py": "def f():\n    from ..b.y import z\n",
        "b/__init__.py": "", "b/y.py": "class K:\n    def f(self):\n        import toy.c.w\nimport numpy\n",
        "c/__init__.py": "", "c/w.py": "if TYPE_CHECKING:\n    from ..a import x\n",
    }  # fmt: skip
    for name, text in files.items():
        path = tmp_path / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    toy = tmp_path / "toy"
    found = house.arrows_of(toy)
    assert sorted((a.source, a.target, a.line, a.kind) for a in found) == [
        ("a.x", "b.y", 2, "function"), ("b.y", "c.w", 3, "function"), ("c.w", "a.x", 2, "typing"),
        ("d", "a.x", 1, "top"), ("d", "b", 2, "top"),
    ]  # fmt: skip
    rooms = house.rooms_of(house.graph_of(found, ("top", "function")), house.modules_of(toy))
    assert house.circles(rooms) == [] and house.floors(rooms) == {"__init__": 1, "a": 3, "b": 2, "c": 1, "d": 4}
    assert house.circles(house.graph_of(found)) == [["a.x", "b.y", "c.w"]]
    assert len(house.backward(house.rooms_of(house.graph_of(found), house.modules_of(toy)))) == 1


FIRST_NAMES = """
import os, sys, warnings
import xcos
from importlib import import_module
from xcos.base.moved import MOVED
warnings.simplefilter("always")
failed = []
for old, new in sorted(MOVED.items()):
    child = os.fork()  # each is imported where nothing but xcos itself was
    if child == 0:
        with warnings.catch_warnings(record=True) as said:
            module = import_module(f"xcos.{old}")
        same = module is import_module(f"xcos.{new}") and module.__spec__.name == f"xcos.{new}"
        told = any(f"xcos.{old} is xcos.{new} now" in str(each.message) for each in said)
        os._exit(0 if same and told else 1)
    if os.waitpid(child, 0)[1]:
        failed.append(old)
print(len(MOVED), failed)
"""


def test_modules_are_found_under_their_first_names():
    command = [sys.executable, "-c", FIRST_NAMES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"{len(MOVED)} []\n", done.stderr


@pytest.mark.parametrize("folder", ["benchmarks", "docs", "fuzz", "tests", "tools"])
def test_what_scripts_and_tests_import_is_there(folder):
    """Also where the import stands in a script that no test runs, or in a function."""
    missing = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module if isinstance(node, ast.ImportFrom) and not node.level else None
            if module is None or module.partition(".")[0] != "xcos":
                continue
            home = import_module(module)
            missing += [f"{path.relative_to(ROOT)}:{node.lineno}: {module}.{alias.name}" for alias in node.names
                        if not hasattr(home, alias.name) and not is_module(f"{module}.{alias.name}")]  # fmt: skip
    assert missing == []


def is_module(name):
    try:
        import_module(name)
    except ModuleNotFoundError:
        return False
    return True
