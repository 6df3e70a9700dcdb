"""Chromium from the system, driven by Playwright, and axe-core from the npm cache."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.processes import ROOT
from tests.sdk import node_runtime

SHOTS = ROOT / "build" / "screenshots"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# the others are matters of taste or of the page's content
SERIOUS = ("serious", "critical")


def found() -> str | None:
    """Find a browser: CHROMIUM's, or one on the path."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless browser."""
    with sync_playwright() as playwright:
        # root has no sandbox; the browser opens only our own pages
        args = ["--no-sandbox"] if os.geteuid() == 0 else []
        made = playwright.chromium.launch(executable_path=found(), args=args)
        try:
            yield made
        finally:
            made.close()


def shot(page: Page, name: str) -> None:
    """Keep a picture of the page."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def axe() -> str:
    """Read axe-core's script."""
    folder: Path = node_runtime.installed("axe")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


def flaws(page: Page, script: str) -> list[str]:
    """List what axe finds serious on a page."""
    page.evaluate(script)
    results = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in results["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, written as `rgb(r, g, b)`, by WCAG 2.1's luminance."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
