"""Rows of the outbox are leased for a request, and settled when its outcome is known.

A lease is a time (due_at) and the seed of the request. A relay that finds a lapsed lease makes the
same request again: with the same seed, the server gives the same ids, and stores no event twice.
Each statement that leases is guarded, so that several relays can work at the same time.
"""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from ..databases.database import Database, Execute
from .choosing import ALONE_AFTER, Choice, Chooser, Row
from .table import listed, now_ms

LEASE_MS = 60_000  # longer than a request may take
_PAGE = 200
_WAITING = (
    "SELECT id, order_key, due_at, attempts, seed, LENGTH(event) FROM inngest_outbox"
    " WHERE state = 'waiting' AND id > :after ORDER BY id LIMIT {page:d}"
)
_LEASE = (
    "UPDATE inngest_outbox SET seed = :seed, due_at = :until, attempts = attempts + 1"
    " WHERE id IN ({ids}) AND state = 'waiting' AND seed IS NULL"
)
_OF_REQUEST = "SELECT id FROM inngest_outbox WHERE state = 'waiting' AND seed = :seed"
_LEASE_AGAIN = (
    "UPDATE inngest_outbox SET due_at = :until, attempts = attempts + 1"
    " WHERE id IN ({ids}) AND seed = :seed AND due_at <= :now AND state = 'waiting'"
)
_LEASED = (
    "SELECT id, event, attempts FROM inngest_outbox"
    " WHERE id IN ({ids}) AND seed = :seed ORDER BY id"
)
_DELETE = "DELETE FROM inngest_outbox WHERE id IN ({ids}) AND seed = :seed"
_KEEP = (
    "UPDATE inngest_outbox SET state = 'sent', due_at = :now, seed = NULL, error = NULL"
    " WHERE id IN ({ids}) AND seed = :seed"
)
_PARK = (
    "UPDATE inngest_outbox SET state = 'parked', seed = NULL, error = :error"
    " WHERE id IN ({ids}) AND seed = :seed"
)
_GIVE_BACK = (
    "UPDATE inngest_outbox SET seed = NULL, due_at = 0, attempts = :attempts"
    " WHERE id IN ({ids}) AND seed = :seed"
)
_PUT_OFF = (
    "UPDATE inngest_outbox SET due_at = :due_at, error = :error"
    " WHERE id IN ({ids}) AND seed = :seed"
)
_SWEEP = "DELETE FROM inngest_outbox WHERE state = 'sent' AND due_at < :before"


class TakenError(Exception):
    """Another relay has some of the rows: the transaction is rolled back."""


@dataclass(frozen=True, slots=True)
class Leased:
    """The events of one request."""

    seed: str
    ids: tuple[int, ...]
    events: tuple[str, ...]
    attempts: int
    """How often it was tried, with this time."""


def lease(database: Database) -> Leased | None:
    """Lease what is to be sent next; None if there is nothing.

    Raises TakenError if another relay was quicker. The first statement of its transaction writes:
    SQLite has the lock before it has a snapshot.
    """
    now = now_ms()
    choice = _choose(database, now)
    if not choice:
        return None
    again = None if choice.seed is None else _of_request(database, choice.seed)
    with database.begin() as transaction:
        if choice.seed is None or again is None:
            return _lease_rows(transaction.execute, choice, now)
        values = {"now": now, "until": now + LEASE_MS}
        if _on(transaction.execute, _LEASE_AGAIN, again, choice.seed, **values) < len(again):
            raise TakenError
        return _leased(transaction.execute, again, choice.seed)


def _of_request(database: Database, seed: str) -> list[int]:
    with database.begin() as transaction:
        return [int(str(row[0])) for row in transaction.execute(_OF_REQUEST, {"seed": seed}).rows]


def _on(execute: Execute, sql: str, ids: Sequence[int], seed: str, **values: object) -> int:
    """Run a statement on rows by their ids, so that no other row is locked; return how many."""
    if not ids:
        return 0
    names, listed_ids = listed("id", list(ids))
    return execute(sql.format(ids=names), {"seed": seed, **listed_ids, **values}).count


def _choose(database: Database, now: int) -> Choice:
    chooser, after = Chooser(now), 0
    while True:
        with database.begin() as transaction:
            found = transaction.execute(_WAITING.format(page=_PAGE), {"after": after}).rows
        page = [Row(*row) for row in found]  # type: ignore[arg-type]
        if choice := chooser.choose(page):
            return choice
        if len(page) < _PAGE:
            return choice
        after = page[-1].id


def _lease_rows(execute: Execute, choice: Choice, now: int) -> Leased:
    seed = f"{now},{base64.b64encode(secrets.token_bytes(10)).decode()}"
    # in the order of the ids: two relays would else wait for each other
    ids = sorted(choice.heads + choice.followers)
    if _on(execute, _LEASE, ids, seed, until=now + LEASE_MS) < len(ids):
        raise TakenError
    return _leased(execute, ids, seed)


def _leased(execute: Execute, ids: list[int], seed: str) -> Leased:
    names, listed_ids = listed("id", ids)
    rows = execute(_LEASED.format(ids=names), {"seed": seed, **listed_ids}).rows
    if not rows:
        raise TakenError
    attempts = max(int(str(row[2])) for row in rows)
    found = tuple(int(str(row[0])) for row in rows)
    return Leased(seed, found, tuple(str(row[1]) for row in rows), attempts)


def settle_accepted(database: Database, leased: Leased, *, keep: bool) -> None:
    """Delete the rows, as the server has their events; or keep them as sent."""
    with database.begin() as transaction:
        _done(transaction.execute, leased, len(leased.ids), keep=keep)


def settle_refused(
    database: Database, leased: Leased, accepted: int, error: str, *, keep: bool
) -> None:
    """Park the row that the server refused, which took those before it; free those after it."""
    bad, rest = leased.ids[accepted : accepted + 1], leased.ids[accepted + 1 :]
    with database.begin() as transaction:
        _done(transaction.execute, leased, accepted, keep=keep)
        _on(transaction.execute, _PARK, bad, leased.seed, error=error[:2000])
        _on(transaction.execute, _GIVE_BACK, rest, leased.seed, attempts=0)


def settle_split(database: Database, leased: Leased) -> None:
    """Let each row be sent by itself: one of them may be the cause, or all are too large together.

    The answer says that nothing was stored. Where that was wrong, the events come twice, with the
    same ids of their own.
    """
    with database.begin() as transaction:
        _on(transaction.execute, _GIVE_BACK, leased.ids, leased.seed, attempts=ALONE_AFTER)


def settle_failed(database: Database, leased: Leased, delay: float, error: str) -> None:
    """Have the same request made again, in so many seconds."""
    due_at = now_ms() + int(delay * 1000)
    with database.begin() as transaction:
        _on(
            transaction.execute,
            _PUT_OFF,
            leased.ids,
            leased.seed,
            due_at=due_at,
            error=error[:2000],
        )


def sweep_sent(database: Database, before: int) -> int:
    """Delete kept rows that were sent before a time; return how many."""
    with database.begin() as transaction:
        return transaction.execute(_SWEEP, {"before": before}).count


def _done(execute: Execute, leased: Leased, count: int, *, keep: bool) -> None:
    ids = leased.ids[:count]
    if keep:
        _on(execute, _KEEP, ids, leased.seed, now=now_ms())
    else:
        _on(execute, _DELETE, ids, leased.seed)
