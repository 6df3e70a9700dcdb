"""The pytest plugin: the fixtures `inngest` and `inngest_app`.

pytest loads this in every project that has this package, so it imports nothing else before a test
asks for the fixture.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .harness import Inngest

_OPTIONS = ("start", "path", "crons", "allow_http")
_MARK = (
    "inngest(start=None, path=None, crons=True, allow_http=False): where the clock of the fixture"
    " `inngest` stands at first, and what inngest_py.testing.Inngest takes else"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings of the plugin."""
    app = "the app that the fixture `inngest` serves, as in shop.web:app (or shop.web:make_app())"
    parser.addini("inngest_app", app, default="")
    parser.addini("inngest_path", "where that app serves its functions", default="/api/inngest")


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", _MARK)


@pytest.fixture
def inngest_app(request: pytest.FixtureRequest) -> object:
    """The app under test: override it, or name the app by the setting `inngest_app`."""
    named = request.config.getini("inngest_app")
    if not named:
        return None
    from .named_apps import load

    return load(named)


@pytest.fixture
def inngest(request: pytest.FixtureRequest, inngest_app: object) -> Iterator["Inngest"]:
    """A server of Inngest's protocol for this test, in this process, whose clock the test moves."""
    from . import Inngest

    options = {"path": request.config.getini("inngest_path")}
    for mark in reversed(list(request.node.iter_markers("inngest"))):
        wrong = [*map(repr, mark.args), *(name for name in mark.kwargs if name not in _OPTIONS)]
        if wrong:
            known = ", ".join(f"{name}=…" for name in _OPTIONS)
            pytest.fail(f"@pytest.mark.inngest takes {known}, not {wrong[0]}", pytrace=False)
        options.update(mark.kwargs)
    failed_before = request.session.testsfailed
    made = Inngest(inngest_app, **options).__enter__()
    try:
        yield made
    finally:
        made.close()
    if request.session.testsfailed == failed_before:
        made.check()  # a test that has failed need not be told what it has not met
