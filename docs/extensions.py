"""What the pages need beyond Sphinx: the interactive view of a pair, the files of the repository, and formulas."""

import logging
import re
import tempfile
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.utils.math.latex2mathml import tex2mathml
from PIL import Image
from pygments.lexers import JavascriptLexer
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

import xcos
from xcos.datasets import wear
from xcos.view import explanation_html

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
COVERS = {
    "sunglasses": wear.sunglasses,
    "mask": lambda path: wear.mask(path, wear.read_masks(ROOT / "docs")["surgical"]),
}


class Explanation(SphinxDirective):
    """``{explanation} FIRST SECOND`` (files of examples/): the view, made by the model of this version.

    ``:expect:``  same | different: what the text around says; the build fails when the model says otherwise.
                  Without it the text says nothing of the decision
    ``:shrink:``  heights in pixels; the first photograph is shrunk to the first of them at which the model says
                  what is expected
    ``:cover:``   sunglasses | mask: put on the first face
    """

    required_arguments = 2
    option_spec: ClassVar[dict[str, Any]] = {
        "expect": lambda text: directives.choice(text, ("same", "different")),
        "shrink": directives.positive_int_list,
        "cover": lambda text: directives.choice(text, tuple(COVERS)),
    }

    def run(self) -> list[nodes.Node]:
        first, second = (EXAMPLES / name for name in self.arguments)
        for path in (first, second):
            self.env.note_dependency(str(path))
        expected = self.options.get("expect")
        with tempfile.TemporaryDirectory() as folder:
            if cover := self.options.get("cover"):
                first = _covered(first, cover, Path(folder))
            for height in self.options.get("shrink", [None]):
                e = xcos.explain(_shrunk(first, height, Path(folder)) if height else first, second)
                if expected is None or e.same is (expected == "same"):
                    return [nodes.raw("", explanation_html(e), format="html")]
        raise self.error(f"the text expects another decision than {e.sentence()}")


def _covered(path: Path, cover: str, folder: Path) -> Path:
    """The photograph with something on its first face, as a file whose name says so."""
    target = folder / f"{path.stem} with {cover}.png"
    Image.fromarray(COVERS[cover](path).image).save(target)
    return target


def _shrunk(path: Path, height: int, folder: Path) -> Path:
    """The photograph with so many rows of pixels, as a file whose name says so."""
    target = folder / f"{path.stem} at {height} pixels.png"
    with Image.open(path) as image:
        image.resize((round(image.width * height / image.height), height), Image.Resampling.BOX).save(target)
    return target


class Files(SphinxDirective):
    """``{files} PATTERN…``: the files of the repository, each with the first sentence that it says of itself."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        entries = nodes.bullet_list()
        for path in sorted(path for pattern in self.arguments[0].split() for path in ROOT.glob(pattern)):
            self.env.note_dependency(str(path))
            text = path.read_text(encoding="utf-8")
            comment = re.match(r'\s*(?:#!.*\n)?(?:/\*(.*?)\*/|"""(.*?)"""|((?:#.*\n)+))', text, re.DOTALL)
            if not comment:
                continue
            lines = "".join(filter(None, comment.groups())).split("\n")
            said = " ".join(re.sub(r"^[ #*]+", "", line) for line in lines)
            sentence = re.split(r"(?<=[.:])\s", said.strip().removeprefix(f"{path.name}: "), maxsplit=1)[0]
            name = nodes.literal("", path.relative_to(ROOT).as_posix())
            entries += nodes.list_item("", nodes.paragraph("", "", name, nodes.Text(f": {sentence.rstrip('.:')}")))
        return [entries]


def _formula(writer: HTML5Translator, node: nodes.math | nodes.math_block) -> NoReturn:
    """As MathML, which browsers set themselves: nothing is fetched for it, and it is there without JavaScript."""
    block = isinstance(node, nodes.math_block)
    text = tex2mathml(node.astext(), as_block=block)
    writer.body.append(f'<div class="math">{text}</div>\n' if block else text)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("explanation", Explanation)
    app.add_directive("files", Files)
    app.add_html_math_renderer("mathml", inline_renderers=(_formula, None), block_renderers=(_formula, None))
    app.add_lexer("jsonc", JavascriptLexer)  # Pygments has none for JSON with comments
    # A pattern of index.md may match nothing yet; Sphinx gives that warning no type to suppress it by.
    log = logging.getLogger("sphinx.sphinx.directives.other")
    log.addFilter(lambda record: not str(record.msg).startswith("toctree glob pattern"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
