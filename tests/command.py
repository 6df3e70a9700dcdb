"""The command line in the test's own process: to start it takes 1.4 s of CPU each time.

`tests/unit/test_cli.py` and the tests of servers start it as users do.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from click.testing import CliRunner, Result

from inngest_py.cli import cli

# where a client finds the server, and how it calls: a developer's own must not reach it
_OURS = ("INNGEST_BASE_URL", "INNGEST_DEV", "INNGEST_EVENT_KEY", "INNGEST_SIGNING_KEY")


def command(*args: str, given: str = "") -> Result:
    """Run `inngest-py ARGS`, with `given` on its standard input.

    An exception that the command line lets through fails the test.
    """
    with _logs_as_before():
        done = CliRunner(env=dict.fromkeys(_OURS)).invoke(cli, args, given, prog_name="inngest-py")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@contextmanager
def _logs_as_before() -> Iterator[None]:
    """Undo what a command sets up for logs: later tests of this process look at what is logged."""
    root, ours = logging.getLogger(), logging.getLogger("inngest_py")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    try:
        yield
    finally:
        root.handlers = handlers
        for logger, level in zip((root, ours), levels, strict=True):
            logger.setLevel(level)
