"""A pytest plugin: a test that hangs fails and says where, so that it does not hold the whole run.

`make test` loads it with `-p tests.hanging` and `--timeout`: pytest-timeout interrupts the test by
a signal and prints the stack of every thread. A call into C that waits, as one to a database for a
lock, does not let the signal through: some seconds later faulthandler prints the stacks and ends
the process. xdist replaces it, and tests/scheduling.py counts the test as failed.
"""

import faulthandler
import os
from collections.abc import Generator

import pytest

_OPTION = "--timeout-grace"
_stderr = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the time that a test has after the signal, to close its servers."""
    parser.addoption(
        _OPTION,
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="end the process of a test that the signal of --timeout does not end",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Keep stderr: while a test runs, pytest captures what is written to it."""
    config.stash[_stderr] = os.dup(2)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what was kept."""
    os.close(config.stash[_stderr])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    """End the process when the signal does not end the test."""
    timeout = item.config.getoption("timeout", None)
    if not timeout:
        return (yield)
    seconds = timeout + item.config.getoption(_OPTION)
    faulthandler.dump_traceback_later(seconds, exit=True, file=item.config.stash[_stderr])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
