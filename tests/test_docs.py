"""What is written: links lead somewhere, the version stands in one place, the documentation builds."""

import importlib.util
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import open_browser

import xcos

ROOT = Path(__file__).parents[1]
PAGES = [path for pattern in ("*.md", "docs/*.md", "*/README.md", "xcos/models/*.md") for path in ROOT.glob(pattern)]
COPIED = {"cards": "xcos/models", "results": "benchmarks/results", "tutorials": "notebooks"}  # into docs/, by conf.py
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def prose(path: Path) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    for link in LINK.findall(prose(path)):
        if not re.match(r"[a-z]+:", link):
            target = link.partition("#")[0]
            folder, _, name = target.partition("/")
            copied = ROOT / COPIED[folder] / name if path.parent == ROOT / "docs" and folder in COPIED else None
            assert not target or (copied or path.parent / target).exists(), link


def test_one_version():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE).group(1)
    assert xcos.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_all_brings_every_extra_of_a_user():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = project.split("[project.optional-dependencies]\n")[1].split("\n[")[0]
    extras = set(re.findall(r"^([a-z]+) = ", table, re.MULTILINE))
    brought = set(re.search(r'^all = \["xcos\[([a-z,]+)\]"\]', table, re.MULTILINE).group(1).split(","))
    assert brought <= extras
    assert extras - brought - {"all"} <= {"bench", "docs", "ray"}  # other engines, tools, and what needs a cluster


def test_extras_that_are_named_are_declared():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = set(
        re.findall(r"^([a-z]+) = ", project.split("[project.optional-dependencies]\n")[1].split("\n[")[0], re.MULTILINE)
    )
    code = [path for folder in ("xcos", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    for path in [*PAGES, *code]:
        for named in re.findall(r"xcos\[([a-z,]+)\]", path.read_text(encoding="utf-8")):
            assert set(named.split(",")) <= extras, path


BUILT = ROOT / "docs" / "_build"


def _built_since_the_last_change():
    stamp = BUILT / "built"  # which `make docs` makes after a build without a warning, and so does `pages`
    made = {"_build", "_libs", *COPIED}
    sources = [ROOT / "docs", *ROOT.glob("*.*")]
    for folder in ("docs", "xcos", "notebooks", "benchmarks", "examples", "csrc", "fuzz", "tests", "tools"):
        for path in (ROOT / folder).rglob("*"):
            inside = set(path.relative_to(ROOT).parts)
            if path.suffix != ".so" and path.is_file() and (folder == "benchmarks" or not inside & made):
                sources.append(path)
    sources = [path for path in sources if "__pycache__" not in path.parts and not path.name.startswith(".")]
    sources = [path for path in sources if path.suffix != ".egg-info"]
    return stamp.is_file() and all(path.stat().st_mtime < stamp.stat().st_mtime for path in sources)


@pytest.fixture(scope="module")
def pages():
    """The built pages. Where they were built since the last change of any file, by `make docs` or by another process of
    these tests, that is not done again."""
    for needed in ("sphinx", "myst_nb", "furo", "numpydoc", "matplotlib"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    fcntl = pytest.importorskip("fcntl")
    BUILT.mkdir(exist_ok=True)
    with (BUILT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _built_since_the_last_change():
            command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", BUILT / "html"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-4000:]
            (BUILT / "built").touch()
    return BUILT / "html"


class Fetched(HTMLParser):
    """What a page makes a browser fetch: all but links that are followed by hand. And how many formulas it has."""

    def __init__(self, text):
        super().__init__()
        self.urls, self.formulas = [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        names = {"src", "srcset", "poster", "data", "href"} if tag != "a" else set()
        if tag == "link" and dict(attributes).get("rel") in ("canonical", "next", "prev", "search", "index"):
            names = set()
        self.urls += [value or "" for name, value in attributes if name in names]
        self.formulas += tag == "math"


@pytest.mark.slow
def test_pages_fetch_nothing_from_outside(pages):
    formulas = 0
    for path in pages.rglob("*.html"):
        page = Fetched(path.read_text(encoding="utf-8"))
        assert not [url for url in page.urls if re.match(r"\s*(?:[a-z]+:)?//", url, re.IGNORECASE)], path
        formulas += page.formulas
    for path in pages.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", text), path
    assert formulas > 20  # as MathML, which a browser sets itself
    assert "<xcos-explanation" in (pages / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_pages_work_from_the_disk_without_a_network(pages):
    with open_browser(1200, 800, arguments=("--host-resolver-rules=MAP * ~NOTFOUND",)) as browser:
        for page in ("index.html", "method.html", "api.html", "tutorials/01_verify_and_explain.html"):
            browser.get((pages / page).as_uri())
        wide = "return Math.max(...[...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().width))"
        browser.get((pages / "method.html").as_uri())
        assert browser.execute_script(wide) > 200  # a formula of a line, set
        browser.get((pages / "search.html").as_uri() + "?q=patch+cosine")
        found = "return [...document.querySelectorAll('#search-results li a')].map(a => a.getAttribute('href'))"
        end = time.monotonic() + 30
        links = []
        while not any("method.html" in link for link in links):
            assert time.monotonic() < end, links
            time.sleep(0.1)
            links = browser.execute_script(found)
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(("scipy", "sklearn")))  # as if they were not installed
import xcos
from xcos.base import extras
extras.find_spec = lambda name: None
pairs = None  # nothing is looked at
for call in (
    lambda: xcos.evaluate(None, pairs),
    lambda: xcos.compare_models([None], pairs),
    lambda: xcos.calibrate(None, pairs),
    lambda: xcos.faithfulness.truth(None, {}, pairs),
    lambda: xcos.faithfulness.compare(None, [], pairs),
):
    try:
        call()
    except ImportError as error:
        print(error)
"""


def test_what_is_missing_is_told_before_the_work():
    command = [sys.executable, "-c", WITHOUT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "evaluation needs scikit-learn and SciPy: pip install xcos[eval]",
        "evaluation needs scikit-learn and SciPy: pip install xcos[eval]",
        "calibration needs scikit-learn: pip install xcos[eval]",
        "measuring cells needs scikit-learn and SciPy: pip install xcos[eval]",
        "measuring explanations needs scikit-learn and SciPy: pip install xcos[eval]",
    ]
