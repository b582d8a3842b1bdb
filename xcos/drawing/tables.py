"""Tables as Markdown, LaTeX and HTML, and the one style of pages that hold them.

A table is a row of heads and rows of cells, all of them texts. HTML is made by one Jinja2 template (page.html), which
escapes whatever it is given; pages of their own extend it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

Row = Sequence[str]

_LATEX_NAMES = {"±": r"$\pm$", "~": r"\~{}", "^": r"\^{}", "\\": r"\textbackslash{}"}
_LATEX = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | _LATEX_NAMES)


def markdown(head: Row, rows: Sequence[Row]) -> str:
    """A table in Markdown; bars within cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def latex(head: Row, rows: Sequence[Row], kinds: str) -> str:
    """A tabular with booktabs rules; `kinds` says how columns are aligned, as LaTeX does: a letter for each."""
    first, *others = (" & ".join(cell.translate(_LATEX) for cell in line) + r" \\" for line in (head, *rows))
    begin = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", first, r"\midrule"]
    return "\n".join([*begin, *others, r"\bottomrule", r"\end{tabular}"])


def html(head: Row, rows: Sequence[Row], caption: str = "") -> str:
    """A table as a fragment of HTML, for notebooks; the caption is a paragraph above it. Needs jinja2."""
    return render('{% from "page.html" import table %}{{ table(head, rows, caption=caption) }}',
                  head=head, rows=rows, caption=caption)


def facts(values: Mapping[str, str]) -> str:
    """A table of two columns without heads, names and values. Needs jinja2."""
    return render('{% from "page.html" import facts %}{{ facts(values) }}', values=values)


def render(template: str, **values: Any) -> str:
    """What a template makes of values, escaping them; it may extend page.html or import its macros.

    Raises ImportError without jinja2.
    """
    return _environment().from_string(template).render(values)


@cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError:
        raise ImportError("tables and pages in HTML need jinja2: pip install xcos[plot]") from None
    folder = files(__package__)
    return Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
