"""What is in the outbox, and what to do with events that the server refused."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from ..databases.choose import choose
from ..databases.database import Execute
from . import waking
from .table import listed, now_ms

T = TypeVar("T")
_STATUS = (
    "SELECT state, COUNT(*), MIN(created_at) FROM inngest_outbox"
    " WHERE state IN ('waiting', 'parked') GROUP BY state"
)
_PARKED = (
    "SELECT id, order_key, event, created_at, error FROM inngest_outbox"
    " WHERE state = 'parked' ORDER BY id LIMIT {limit:d}"
)
_RETRY = (
    "UPDATE inngest_outbox SET state = 'waiting', due_at = 0, attempts = 0"
    " WHERE state = 'parked' AND id IN ({ids})"
)
_DISCARD = "DELETE FROM inngest_outbox WHERE state = 'parked' AND id IN ({ids})"


@dataclass(frozen=True, slots=True)
class Status:
    """How much there is to do."""

    waiting: int
    """Events that the server has not taken yet."""
    oldest_seconds: float
    """How long the oldest of them waits; 0 if there is none."""
    parked: int
    """Events that the server refused."""


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that the server refused."""

    id: int
    """The row's."""
    key: str | None
    event: dict[str, object]
    sent_at: datetime
    """When the app sent it."""
    error: str


def status(database: object) -> Status | Awaitable[Status]:
    """Count what waits and what is parked. With an async engine or session, await it."""
    return _in_own(database, read_status)


def read_status(execute: Execute) -> Status:
    """Count within a transaction."""
    found = {str(state): (int(str(n)), int(str(at))) for state, n, at in execute(_STATUS).rows}
    now = now_ms()
    waiting, since = found.get("waiting", (0, now))
    parked_count, _ = found.get("parked", (0, 0))
    return Status(waiting, max(0, now - since) / 1000, parked_count)


def parked(database: object, limit: int = 100) -> list[Parked] | Awaitable[list[Parked]]:
    """List the events that the server refused, the oldest first."""

    def work(execute: Execute) -> list[Parked]:
        return [
            Parked(
                int(str(row_id)),
                None if key is None else str(key),
                json.loads(str(event)),
                datetime.fromtimestamp(int(str(created)) / 1000, UTC),
                str(error),
            )
            for row_id, key, event, created, error in execute(_PARKED.format(limit=limit)).rows
        ]

    return _in_own(database, work)


def retry_parked(database: object, ids: list[int]) -> int | Awaitable[int]:
    """Send refused events again, by the ids of their rows; return how many.

    They come after what was sent of their keys meanwhile.
    """
    return _change(database, _RETRY, ids)


def discard_parked(database: object, ids: list[int]) -> int | Awaitable[int]:
    """Delete refused events, by the ids of their rows; return how many."""
    return _change(database, _DISCARD, ids)


def _change(database: object, statement: str, ids: list[int]) -> int | Awaitable[int]:
    names, values = listed("id", ids or [-1])

    def work(execute: Execute) -> int:
        return execute(statement.format(ids=names), values).count

    found = _in_own(database, work)
    waking.wake()
    return found


def _in_own(database: object, work: Callable[[Execute], T]) -> T | Awaitable[T]:
    """Do the work in a transaction of its own."""
    chosen = choose(database, "database")

    def run() -> T:
        with chosen.begin() as transaction:
            return work(transaction.execute)

    return chosen.run(run) if chosen.is_async else run()
