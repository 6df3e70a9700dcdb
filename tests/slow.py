"""A pytest plugin: the slowest tests are listed, and the longest have to say why they are slow.

`make test` loads it with `-p tests.slow`. A test that takes more than half a minute needs a line
`Slow: why` in its docstring. A loaded machine makes tests slow, so the run says which have none
and does not fail for it.
"""

import inspect
import re
from collections import defaultdict
from collections.abc import Generator
from typing import Any

import pytest

LISTED = 20
_OPTION = "--slow-after"
_SAYS_WHY = re.compile(r"^\s*Slow: \S", re.MULTILINE)
_PROPERTY = "slow without a reason"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the time after which a test has to say why."""
    parser.addoption(
        _OPTION,
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="a test that takes longer says why",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Sum up in the process that has the terminal, not in xdist's workers."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Durations())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mark a long test without a reason, where its docstring is at hand: in the worker.

    The test's own part counts: what fixtures share is paid by whichever test comes first.
    """
    report = yield
    if call.when == "call" and call.duration > item.config.getoption(_OPTION):
        doc = inspect.getdoc(getattr(item, "function", None)) or ""
        if not _SAYS_WHY.search(doc):
            report.user_properties.append((_PROPERTY, f"{call.duration:.0f}"))
    return report


class Durations:
    """Add up what each test took, and list the slowest."""

    def __init__(self) -> None:
        self.took: dict[str, float] = defaultdict(float)
        self.silent: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a phase of a test to its time."""
        self.took[report.nodeid] += report.duration
        for name, seconds in report.user_properties:
            if name == _PROPERTY:
                self.silent[report.nodeid] = str(seconds)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """List the slowest tests, and those which do not say why."""
        slowest = sorted(self.took.items(), key=lambda test: -test[1])[:LISTED]
        terminalreporter.write_sep("=", f"slowest {len(slowest)} tests, with their fixtures")
        for nodeid, seconds in slowest:
            terminalreporter.write_line(f"{seconds:7.1f} s {nodeid}")
        for nodeid, seconds in sorted(self.silent.items()):
            told = f"SLOW {nodeid} took {seconds} s: write `Slow: why` into its docstring"
            terminalreporter.write_line(told, yellow=True)
