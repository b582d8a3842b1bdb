"""A real browser for the tests: Debian's Chromium without a window, driven by selenium."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

import pytest


@contextmanager
def open_browser(width: int, height: int, *, arguments: tuple[str, ...] = ()) -> Iterator[Any]:
    """A session with a window of this size; skips the test where selenium or Chromium is missing."""
    selenium = pytest.importorskip("selenium.webdriver", reason="the PyPI package selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("Chromium is not installed (Debian: chromium chromium-driver)")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # of tools/sanitize.sh
    session = selenium.Chrome(options=options, service=selenium.ChromeService(driver, env=environment))
    try:
        resize(session, width, height)
        yield session
    finally:
        session.quit()


def resize(session: Any, width: int, height: int, *, dark: bool = False) -> None:
    """Gives the page a size (below 600 pixels: of a phone) and a colour scheme."""
    session.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    session.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def barriers(session: Any) -> list[str]:
    """What axe-core finds on the page that keeps someone out: its rules for WCAG 2.2 AA, and its best practices."""
    session.execute_cdp_cmd("Runtime.evaluate", {"expression": _axe()})  # no policy of the page keeps this out
    return session.execute_async_script("""
        const options = {resultTypes: ["violations"], rules: {"target-size": {enabled: true}}};
        axe.run(document, options).then(found => arguments[0](found.violations.flatMap(({id, nodes}) =>
            nodes.map(node => `${id}: ${node.target.join(" ")}: ${node.failureSummary}`))));
    """)


@cache
def _axe() -> str:
    pytest.importorskip("axe_selenium_python", reason="the PyPI package axe-selenium-python-nhsuk is not installed")
    return files("axe_selenium_python").joinpath("node_modules/axe-core/axe.min.js").read_text("utf-8")
