"""Cut a process between every two statements of a transaction.

A parent forks a child for each point: the child kills itself there. Then another child does the
same work again, as a retry does. Each pair is a line of JSON on standard output.
"""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

_ASYNC_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql+psycopg2": "postgresql+asyncpg",
    "mysql+pymysql": "mysql+asyncmy",
}


@dataclass
class Outcome:
    """What a kill at one point, and the retry after it, have left."""

    point: str
    """Where the process was killed; empty when it passed all points."""
    found: Any
    """What the retry reports."""


class Points:
    """Counts the points that are passed; ends the process at the one that is armed."""

    def __init__(self) -> None:
        self._left = -1
        self._told = -1

    def arm(self, number: int, told: int) -> None:
        """Kill this process at the point of that number; write its name to the pipe before."""
        self._left, self._told = number, told

    def passed(self, name: str) -> None:
        """Say that a point is reached."""
        self._left -= 1
        if self._left == 0:
            os.write(self._told, name.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, engine: Engine) -> None:
        """Make a point before and after each statement and each commit of a SQLAlchemy engine."""
        self.watch_statements(engine)
        self.wrap(engine.dialect, "do_commit", "COMMIT")

    def watch_statements(self, engine: Engine) -> None:
        """Make a point before and after each statement of an engine."""

        def before(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            self.passed(f"before {statement.split(maxsplit=1)[0]}")

        def after(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            self.passed(f"after {statement.split(maxsplit=1)[0]}")

        event.listen(engine, "before_cursor_execute", before)
        event.listen(engine, "after_cursor_execute", after)

    def wrap(self, owner: Any, method: str, name: str) -> None:
        """Make a point before and after each call of a method."""
        inner = getattr(owner, method)

        def wrapped(*args: Any, **options: Any) -> Any:
            self.passed(f"before {name}")
            found = inner(*args, **options)
            self.passed(f"after {name}")
            return found

        setattr(owner, method, wrapped)


def engine_of(url: str) -> Engine:
    """Make an engine that shares no connection with a forked child."""
    # PyMySQL reads certificates for each connection, which takes 40 ms, encrypted or not
    options = {"ssl_disabled": True} if url.startswith("mysql") else {}
    engine = create_engine(url, poolclass=NullPool, connect_args=options)
    quicken(engine)
    return engine


def async_engine_of(url: str) -> AsyncEngine:
    """Make the same for async code."""
    engine = create_async_engine(async_url(url), poolclass=NullPool)
    quicken(engine.sync_engine)
    return engine


def async_url(url: str) -> str:
    """Name the async driver of a database in place of the blocking one."""
    scheme, _, rest = url.partition("://")
    return f"{_ASYNC_DRIVERS[scheme]}://{rest}"


def quicken(engine: Engine) -> None:
    """Let SQLite not wait for the disk: what the kernel has taken survives a kill."""

    def pragma(made: Any, _record: Any) -> None:
        cursor = made.cursor()
        cursor.execute("PRAGMA synchronous=OFF")
        cursor.close()

    if engine.name == "sqlite":
        event.listen(engine, "connect", pragma)


def killed_at(number: int, points: Points, work: Callable[[], Any]) -> str | None:
    """Do the work in a child that dies at the point; its name, None if it lived to the end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        points.arm(number, writing)
        _finish(work)
    os.close(writing)
    with os.fdopen(reading) as told:
        name = told.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return name
    assert os.WEXITSTATUS(status) == 0, f"the work failed before point {number}"
    return None


def in_child(work: Callable[[], Any]) -> Any:
    """Do the work in a child, and return what it returns, by JSON."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _finish(lambda: os.write(writing, json.dumps(work()).encode()))
    os.close(writing)
    with os.fdopen(reading) as told:
        found = told.read()
    os.waitpid(child, 0)
    return json.loads(found or "null")


def _finish(work: Callable[[], Any]) -> None:
    """Run and leave, without what the parent would do at its own end."""
    code = 1
    try:
        work()
        code = 0
    except BaseException as error:
        print(repr(error), flush=True)
    finally:
        os._exit(code)


def every_point(
    points: Points, reset: Callable[[], None], work: Callable[[], Any], retry: Callable[[], Any]
) -> None:
    """Kill the work at its first point, its second, and so on, until it passes; print outcomes."""

    def again() -> Any:
        found = retry()
        reset()
        return found

    for number in range(1, 100):
        point = killed_at(number, points, work)
        outcome = Outcome(point or "", in_child(again))
        print(json.dumps(asdict(outcome)), flush=True)
        if point is None:
            return
