"""Figures that are published are those of the committed results."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def figures():
    spec = importlib.util.spec_from_file_location("figures", ROOT / "tools" / "figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_say_what_the_results_say(figures, capsys):
    assert figures.main(["--check"]) == 0, capsys.readouterr().out
    stand = {found["name"] for path in figures.pages() for found in figures.MARK.finditer(path.read_text())}
    assert stand == set(figures.FIGURES)


def test_a_percentage_in_readme_has_a_source(figures):
    rest = figures.MARK.sub("", (ROOT / "README.md").read_text())
    assert not re.findall(r"\d ?%|0\.\d+", rest)


def test_a_figure_that_differs_is_named_and_written(figures, tmp_path, monkeypatch, capsys):
    (tmp_path / "README.md").write_text("has <!--=leak-->0.01<!--/--> and\n<!--=by_whole-->old<!--/-->")
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    assert figures.main(["--check"]) == 1
    assert "README.md: leak is '0.01', the results say '0.09'" in capsys.readouterr().out
    assert figures.main([]) == 0 and figures.main(["--check"]) == 0
    written = (tmp_path / "README.md").read_text()
    assert written.startswith("has <!--=leak-->0.09<!--/--> and\n<!--=by_whole-->\n\n| w | 0 |")
    (tmp_path / "README.md").write_text("<!--=leek-->0.01<!--/-->")
    with pytest.raises(LookupError, match="no figure 'leek'"):
        figures.main(["--check"])


def test_results_are_read_as_they_were_printed(figures, tmp_path, monkeypatch):
    one = "{}:\n\n| a | b |\n|---|---|\n| x | {} |\n\n"
    (tmp_path / "r.md").write_text(one.format("first", "**1**") + one.format("second", "2 %"))
    monkeypatch.setattr(figures, "RESULTS", tmp_path)
    assert figures.cell("r.md", "x", "b") == "1" and figures.cell("r.md", "x", under="second", pattern=r"(\d)") == "2"
    for wrong in ({"row": "y"}, {"row": "x", "under": "third"}, {"row": "x", "pattern": "([a-z]+)"}):
        with pytest.raises(LookupError, match=r"results/r\.md"):
            figures.cell("r.md", **wrong)
