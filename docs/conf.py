"""Sphinx's settings. Build: make docs (warnings are errors)."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import xcos  # noqa: E402

project = "xcos"
author = "The xcos founders"
copyright = "2026, the xcos founders"
release = version = xcos.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc", "extensions"]
exclude_patterns = ["_build", "README.md"]
nb_execution_mode = "off"  # notebooks are committed with their outputs; a test runs them
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

suppress_warnings = ["misc.highlighting_failure"]  # examples abbreviate with …

numpydoc_show_class_members = False  # autodoc lists them
default_role = "literal"  # `x` in docstrings

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
ALIASES = ("ArrayLike", "DataLike", "FacesLike", "Mapped", "Metric", "ModelLike", "NetworkLike", "Progress")
autodoc_type_aliases = {name: name for name in ALIASES}

html_theme = "furo"
html_title = f"xcos {release}"
html_show_sphinx = False
html_show_search_summary = False  # it would fetch the pages found, which browsers refuse for files

# These lie where people look for them in the repository; Sphinx wants them inside its own folder.
for folder, pattern in {
    "tutorials": "notebooks/*.ipynb",
    "cards": "xcos/models/*.md",
    "results": "benchmarks/results/*.md",
}.items():
    texts = {}
    for source in HERE.parent.glob(pattern):
        text = source.read_text(encoding="utf-8").replace("](../docs/", "](../")  # links to these pages
        titled = source.suffix != ".md" or text.startswith("# ")
        texts[HERE / folder / source.name] = text if titled else f"# {source.stem}\n\n{text}"
    (HERE / folder).mkdir(exist_ok=True)
    for page in {*(HERE / folder).iterdir()} - set(texts):
        page.unlink()
    for page, text in texts.items():
        if not page.is_file() or page.read_text(encoding="utf-8") != text:  # pages that are new are built anew
            page.write_text(text, encoding="utf-8")
