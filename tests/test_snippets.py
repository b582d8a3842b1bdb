"""Every command and every snippet on the pages runs as it stands there, or the page says why it does not."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
from snippets import NOT_CODE, ROOT, Reader, blocks_of, commands_of

from xcos.cli import main

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for pattern in ("*.md", "docs/*.md", "examples/*.md") for path in sorted(ROOT.glob(pattern))
}  # fmt: skip
CODE = {page: blocks for page, text in PAGES.items() if (blocks := blocks_of(text))}

# What pages need beyond NumPy.
EVALUATION = ("sklearn", "scipy", "matplotlib", "jinja2")
NEEDS = {
    "README.md": ("matplotlib",),
    "docs/tour.md": ("onnx", "fpdf", "lancedb", "pandas", *EVALUATION),
    "docs/audit.md": EVALUATION,
    "docs/case-report.md": ("fpdf", "matplotlib"),
    "docs/coming-from.md": ("lancedb", "torch", "matplotlib"),
    "docs/compare.md": EVALUATION,
    "docs/evaluate.md": EVALUATION,
    "docs/explanations.md": EVALUATION,
    "docs/gallery.md": ("lancedb",),
    "docs/plug.md": ("torch", "onnx", *EVALUATION),
    "docs/reading.md": ("matplotlib",),
    "docs/serve.md": ("starlette", "uvicorn", "python_multipart", "fpdf", "lancedb"),
    "docs/train.md": ("torch", "onnx", *EVALUATION),
}
# Names that a page takes for granted.
NAMES = {"docs/tour.md": {"paths_of_known": ["a.jpg"], "paths_of_found": ["b.jpg", "group.jpg"]}}
# On these pages the folder people/ is a gallery that they make themselves.
MAKES = {"docs/gallery.md": ["people/"], "docs/serve.md": ["people/"], "docs/tour.md": ["people/"]}
# What would take minutes, or real data, is made smaller here, text by text; every line runs all the same.
SMALLER = {
    "docs/coming-from.md": {"stride=5": "stride=56"},
    "docs/compare.md": {
        "CorrRISE(model)": "CorrRISE(model, masks=8)",
        "], pairs)": "], pairs, measures=[\"deletion\"])",
        "200)": "4)",
        "-n 500 --methods XCos CorrRISE MinPlus": "-n 4 --methods XCos",
    },
    "docs/explanations.md": {
        "CorrRISE()": "CorrRISE(masks=8)",
        "-o truth.png": "-o truth.png --triples 2",
        "--all-cells": "--all-cells --triples 2",
        '"people/", "lfw.bin")': '"people/", "lfw.bin", triples=2)',
        "triples=100": "triples=2",
        "200)": "4)",
    },
    "docs/gallery.md": {"threshold_for(0.1)": "threshold_for(0.5)"},
    "docs/plug.md": {
        "--scale 0.0078125": "--scale 0.0078125 --steps 1 --truth 2",
        "1 / 128": "1 / 128, steps=1, truth=2",
    },
    "docs/train.md": {"--progress": "--steps 2 --batch 16 --rows 8 --pasted 1 --truth 2"},
}


@pytest.mark.slow
@pytest.mark.parametrize("page", CODE)
def test_page(page, tmp_path, monkeypatch):
    for module in NEEDS.get(page, ()):
        pytest.importorskip(module)
    blocks = [block for block in CODE[page] if not block.not_run]
    if any("curl" in block.text for block in blocks) and not shutil.which("curl"):
        pytest.skip("curl is not installed")
    for long, short in SMALLER.get(page, {}).items():
        assert any(long in block.text for block in blocks), f"{page} has no {long!r} any more"
        blocks = [block._replace(text=block.text.replace(long, short)) for block in blocks]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("xcos.evaluation.fitting.REFITS", 20)  # of 200: no page is asked how wide intervals are
    reader = Reader(tmp_path, blocks, MAKES.get(page, ()))
    reader.names.update(NAMES.get(page, {}))
    try:
        for block in blocks:
            reader.follow(block)
    finally:
        reader.leave()


@pytest.mark.parametrize("page", CODE)
def test_blocks_say_their_language(page):
    """Also those that are not run: what has no name is neither coloured nor checked."""
    assert {block.kind for block in CODE[page]} <= {"python", "sh", "console", *NOT_CODE}


def test_reasons_stand_above_blocks():
    for page, text in PAGES.items():
        excused = [block for block in CODE.get(page, ()) if block.not_run]
        assert len(re.findall("^<!-- not run:", text, re.MULTILINE)) == len(excused), page


def inline(page):
    """Commands within sentences, split into words, and those of blocks that are not run."""
    prose = re.sub(r"^ *(`{3,})[^`].*?^ *\1 *$", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    for text in re.findall(r"(?<!`)`((?:xcos|python|make|sh) [^`]+)`", prose):
        if "…" not in text and "\n" not in text:
            yield shlex.split(text, comments=True)
    for block in CODE.get(page, ()):
        if block.not_run and block.kind != "python":
            yield from commands_of(block)


@pytest.fixture(scope="module")
def help_of():
    """The help of a command as text, each asked for once."""
    known = {}

    def ask(*words):
        if words not in known:
            command = [sys.executable, *words, "--help"]
            known[words] = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        return known[words]

    return ask


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_sentences_exist(page, capsys, help_of):
    """Their files, targets, subcommands and options do; they are not run."""
    for words in inline(page):
        options = [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]
        if words[0] == "xcos":
            subcommands = [word for word in words[1:3] if re.fullmatch("[a-z-]+", word)]
            told = ""
            for depth in range(len(subcommands), -1, -1):
                with pytest.raises(SystemExit) as end:
                    main([*subcommands[:depth], "--help"])
                told = capsys.readouterr().out
                if end.value.code == 0:
                    break
            assert depth, f"{shlex.join(words)}: no such command"
        elif words[0] == "python" and words[1] == "-m":
            told = help_of(*words[1:3]) if words[2].startswith("xcos.") else " ".join(options)
        elif words[0] == "make":
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            assert {word for word in words[1:] if "=" not in word} <= set(targets), shlex.join(words)
            told = ""
        elif words[1].endswith((".py", ".sh")):
            script = ROOT / words[1]
            assert script.is_file(), words[1]
            told = script.read_text(encoding="utf-8")
        else:
            continue
        assert {option for option in options if option not in told} == set(), shlex.join(words)
