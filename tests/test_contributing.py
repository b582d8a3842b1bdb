"""What contributors meet: issue forms of GitHub's schema, and a help of make that leaves no target out."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")

# GitHub's documented form: attributes of each kind of element, those that must be there first.
ELEMENTS = {
    "markdown": ({"value"}, set()),
    "textarea": ({"label"}, {"description", "placeholder", "value", "render"}),
    "input": ({"label"}, {"description", "placeholder", "value"}),
    "dropdown": ({"label", "options"}, {"description", "multiple", "default"}),
    "checkboxes": ({"label", "options"}, {"description"}),
}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms(path):
    form = pytest.importorskip("yaml").safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form) <= {
        "name", "description", "body", "title", "labels", "assignees", "projects", "type",
    }  # fmt: skip
    asked = [element for element in form["body"] if element["type"] != "markdown"]
    assert asked and all(re.fullmatch(r"[\w-]+", element["id"]) for element in asked)
    for key in ("id", "label"):
        named = [element["id"] if key == "id" else element["attributes"]["label"] for element in asked]
        assert len(set(named)) == len(named)
    for element in form["body"]:
        must, may = ELEMENTS[element["type"]]
        assert must <= set(element["attributes"]) <= must | may
        assert set(element) <= {"type", "id", "attributes", "validations"}
        if element["type"] == "markdown":
            assert "id" not in element and "validations" not in element
        assert all(value is True for value in element.get("validations", {"required": True}).values())
        options = element["attributes"].get("options", ["one"])
        texts = [option["label"] if isinstance(option, dict) else option for option in options]
        assert texts and len(set(texts)) == len(texts)
        assert not {"true", "false"} & {str(text).lower() for text in texts}  # which YAML takes for no text


def test_the_chooser():
    text = (ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml").read_text(encoding="utf-8")
    assert pytest.importorskip("yaml").safe_load(text) == {"blank_issues_enabled": True}


def test_make_help_lists_every_target():
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of `make test`
    told = subprocess.run(["make", "help"], cwd=ROOT, env=outside, capture_output=True, text=True, check=True).stdout
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())
    assert [line.split()[:2] for line in told.splitlines()] == [["make", name] for name in re.findall(
        r"^([a-z][a-z-]*):", text, re.MULTILINE
    )]  # fmt: skip
    assert {line.split()[1] for line in told.splitlines()} == targets
