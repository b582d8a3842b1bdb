"""Docstrings of public objects, read by numpydoc: complete, of one form, and with examples that run."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import doctest
import inspect
import os
import textwrap
from pathlib import Path

import public
import pytest

import xcos.errors

EXPORTED = public.exported()
OBJECTS = dict(EXPORTED)
for path, value in EXPORTED.items():
    if inspect.isclass(value):
        OBJECTS |= {f"{path}.{name}": member for name, member in public.members(value)}

# Of numpydoc.validate. Not asked for: summaries on a line of their own and as a command (GL01, SS05), sections
# See Also and Notes, a capital or a full stop where a type or formula begins or ends a text (PR08, PR09, RT04, RT05).
CHECKS = {
    "GL03", "GL05", "GL06", "GL07", "GL08", "GL09", "GL10", "SS01", "SS03", "SS04", "SS06",
    "PR01", "PR02", "PR03", "PR04", "PR05", "PR06", "PR07", "PR10", "RT01", "RT02", "RT03", "YD01",
}  # fmt: skip
# Results list their fields as attributes, subclasses only what they add: test_fields_are_documented.
OF_FIELDS = {"PR01", "PR02", "PR03"}


def test_one_name_for_one_thing():
    meant = {}
    for home, name, value in public.names():
        assert meant.setdefault(name, value) is value, f"xcos{home}.{name} is another one"


def test_a_renamed_class_is_found_and_warns():
    import xcos.ray

    with pytest.warns(DeprecationWarning, match="FeatureExtractor"):
        assert xcos.ray.Features is xcos.ray.FeatureExtractor


@pytest.mark.parametrize("path", OBJECTS)
def test_form(path):
    validate = pytest.importorskip("numpydoc.validate").validate
    fields = dataclasses.is_dataclass(OBJECTS[path]) or hasattr(OBJECTS[path], "_fields")
    wrong = [error for error in validate(path)["errors"] if error[0] in (CHECKS - OF_FIELDS if fields else CHECKS)]
    assert wrong == []


@pytest.mark.parametrize("path", [path for path in EXPORTED if dataclasses.is_dataclass(EXPORTED[path])])
def test_fields_are_documented(path):
    numpydoc = pytest.importorskip("numpydoc.docscrape")
    sections = numpydoc.NumpyDocString(inspect.getdoc(EXPORTED[path]))
    entries = [*sections["Parameters"], *sections["Attributes"]]
    named = [name for entry in entries for name in entry.name.split(", ")]
    fields = [field.name for field in dataclasses.fields(EXPORTED[path])]
    assert set(public.own_fields(EXPORTED[path])) <= set(named)
    assert named == [name for name in fields if name in named]


def raised(value: object) -> set[str]:
    """Names of the errors that a function itself raises, for good."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
    errors = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc]
    calls = [error.func for error in errors if isinstance(error, ast.Call)]
    return {call.id for call in calls if isinstance(call, ast.Name)}


@pytest.mark.parametrize("path", [path for path, value in OBJECTS.items() if inspect.isfunction(value)])
def test_errors_are_documented(path):
    numpydoc = pytest.importorskip("numpydoc.docscrape")
    entries = numpydoc.NumpyDocString(inspect.getdoc(OBJECTS[path]) or "")["Raises"]
    known = {**vars(builtins), **vars(xcos.errors)}
    documented = tuple(known[name] for entry in entries for name in entry.type.split(", "))
    for name in raised(OBJECTS[path]):
        assert documented and issubclass(known[name], documented), name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where examples run: the photographs are there, and what an example writes is read by no other. Intervals of
    calibrations, which no example shows, are of a tenth of the fits."""
    folder = tmp_path_factory.mktemp("doctest")
    (folder / "examples").symlink_to(Path(__file__).parents[1] / "examples")
    before = Path.cwd()
    os.chdir(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xcos.evaluation.fitting.REFITS", 20)
        yield folder
    os.chdir(before)


@pytest.mark.parametrize("path", EXPORTED)
def test_examples_run(path, folder):
    tests = doctest.DocTestFinder(recurse=False).find(EXPORTED[path], path, globs={"__name__": "__main__"})
    assert sum(len(test.examples) for test in tests), "no example"
    said: list[str] = []
    for test in tests:
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)
