"""Tables as Markdown, LaTeX and HTML, and pages that hold them. Oracle: the standard library's reader of HTML."""

import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import xcos
from xcos.drawing import tables
from xcos.explainers import CentreMap
from xcos.faithfulness import LabelledCrops, compare

NASTY = ['<script>alert("1")</script>', "a & b | c", "'>_100 %"]


class Reader(HTMLParser):
    """Rows of the texts of a page's cells, and how often each element begins."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.elements, self.inside = [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def test_html_shows_any_text_as_it_is():
    pytest.importorskip("jinja2")
    read = Reader(tables.html(NASTY, [NASTY[::-1], ["1", "", "3"]], caption=NASTY[0]))
    assert read.rows == [NASTY, NASTY[::-1], ["1", "", "3"]]
    assert set(read.elements) == {"p", "table", "thead", "tbody", "tr", "th", "td"}
    assert Reader(tables.facts(dict(zip(NASTY, NASTY[::-1], strict=True)))).rows == [
        list(pair) for pair in zip(NASTY, NASTY[::-1], strict=True)
    ]


def test_values_to_sort_by_are_escaped_too():
    pytest.importorskip("jinja2")
    template = '{% from "page.html" import table %}{{ table(head, rows, values) }}'
    read = Reader(tables.render(template, head=["a"], rows=[["1,000"]], values=[['"><script>']]))
    assert read.rows == [["a"], ["1,000"]] and "script" not in read.elements and "button" in read.elements


def test_markdown_and_latex():
    assert tables.markdown(["a", "b|c"], [["1", "2"]]) == "| a | b\\|c |\n| --- | --- |\n| 1 | 2 |"
    lines = tables.latex(["a_b", "50 %"], [["\\x", "1 ± 2"]], "lr").splitlines()
    assert lines[0] == r"\begin{tabular}{lr}" and lines[-1] == r"\end{tabular}"
    assert lines[2] == r"a\_b & 50 \% \\" and lines[4] == r"\textbackslash{}x & 1 $\pm$ 2 \\"


def test_page_of_a_comparison(photos, tmp_path):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    crops = xcos.load().crops(list(photos.values()))
    pairs = LabelledCrops(crops[:2], crops[2:], np.array([True, False]), NASTY[0])
    table = compare(None, [CentreMap()], pairs, measures=["localisation"], examples=1)
    table.save(tmp_path / "table.html")
    page = (tmp_path / "table.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page and "alert(&#34;1&#34;)" in page and "<script>alert" not in page
    assert [row[0] for row in Reader(page).rows] == ["method", "CentreMap"]
    assert Reader(table._repr_html_()).rows == Reader(page).rows


def test_without_jinja2(photos, monkeypatch):
    """Markdown and the view of an explanation do without; a notebook falls back on text."""
    tables._environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install xcos\[plot\]"):
        tables.html(["a"], [["1"]])
    e = xcos.explain(photos["obama_portrait_2012"], photos["obama_congress_2009"])
    assert xcos.verify(photos["obama_portrait_2012"], photos["obama_congress_2009"])._repr_html_() is None
    assert "<xcos-explanation" in e._repr_html_() and tables.markdown(["a"], [["1"]])
