"""Helpers for tests of flow control."""

import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event, text

from inngest_py.domain.events.user_events import Event
from inngest_py.engine.intake import publish
from inngest_py.storage.db.connection import Cursor, Pipelined
from inngest_py.storage.db.session import Database
from tests.engine.harness import Engine


def rows(db: Database, query: str) -> list[Any]:
    """Read rows with plain SQL."""
    with db.reading() as tx:
        return list(tx.execute(text(query)))


def statuses(engine: Engine) -> list[str]:
    """List the runs' statuses in order of creation."""
    return [row[0] for row in rows(engine.ctx.db, "SELECT status FROM runs ORDER BY id")]


def send(engine: Engine, *data: dict[str, Any], **fields: Any) -> list[Event]:
    """Accept an event for each of the data, in one transaction."""
    made = [engine.event(data=one, **fields) for one in data]
    publish.accept(engine.ctx, made)
    return made


def ran(engine: Engine) -> list[Any]:
    """List `data.n` of the events whose runs have called, in order of the calls."""
    return [request["event"]["data"].get("n") for request in engine.sdk.requests]


def together(count: int, act: Callable[[int], None]) -> None:
    """Run an action in threads that begin at the same moment; raises if one of them raised."""
    barrier, errors = threading.Barrier(count), []

    def call(number: int) -> None:
        try:
            barrier.wait()
            act(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class Statements:
    """Counts the statements that the database gets within the block, by their first words."""

    def __init__(self, db: Database) -> None:
        self._engine = db.engine
        self._traced: list[Any] = []
        self.seen: list[str] = []

    def _noting(self, taken: Any) -> Any:
        """Note what PostgreSQL's driver gets, or keeps for the next statement."""

        def noted(driver: Any, sql: Any, values: Any = None) -> None:
            if sql not in ("COMMIT", "ROLLBACK") and not str(sql).startswith("SET LOCAL"):
                self.seen.append(" ".join(str(sql).split())[:60])
            taken(driver, sql, values)

        return noted

    def _run(self, statement: str) -> None:
        """Note what SQLite ran; a statement that it ran for row after row counts once."""
        first = " ".join(statement.split())[:60]
        if statement not in ("COMMIT", "ROLLBACK") and self.seen[-1:] != [first]:
            self.seen.append(first)

    def _begun(self, connection: Connection) -> None:
        """Trace SQLite itself, since many statements reach it through its own cursors."""
        if self._engine.dialect.name != "sqlite":
            return
        driver: Any = connection.connection.dbapi_connection
        driver.set_trace_callback(self._run)
        self._traced.append(driver)

    def __enter__(self) -> "Statements":
        event.listen(self._engine, "begin", self._begun)
        self._taken = (Cursor.execute, Pipelined.later)
        Cursor.execute = self._noting(Cursor.execute)  # type: ignore[method-assign]
        Pipelined.later = self._noting(Pipelined.later)  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "begin", self._begun)
        Cursor.execute, Pipelined.later = self._taken  # type: ignore[method-assign]
        for driver in self._traced:
            driver.set_trace_callback(None)
