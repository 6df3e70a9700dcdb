"""What an event did beside starting runs: batches, debounces, ended waits, cancelled runs.

Nothing is written for this. Attempts say which event ended a wait or cancelled a run; they have no
index of events, so those that ended next after the event came are looked through.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, select

from ....domain.values import canonical
from ...catalog.functions import FunctionRow
from ...db.columns import table_of
from ...flow.debounces import DebounceRow
from ...flow.event_batches import BatchEvent
from ...queue.queue_items import QueueItem
from ...runs.attempts import Attempt
from ...runs.runs import RunRow
from .. import figures

_attempts, _runs, _functions = table_of(Attempt), table_of(RunRow), table_of(FunctionRow)
_members, _debounces, _items = table_of(BatchEvent), table_of(DebounceRow), table_of(QueueItem)
MOST_ATTEMPTS = 10_000  # that one look goes through
_MOST = 200  # of each kind
_BY_EVENT = ("foundEventID", "returnEventID", "eventID")


@dataclass(frozen=True, slots=True)
class EventEffects:
    """Rows about an event; `is_all` says that no later attempt is left to look at.

    `batches` have `batch_id`, `position`, `added_at`, the batch's run, if any, and, while it is
    open, `due_at`. `debounces` have `first_at` and `fires_at`. `ended` are attempts, with `status`
    `cancelled` for runs that the event cancelled, else for waits that it ended. `answered` are
    waits that it has ended and whose runs have not continued yet.
    """

    batches: Sequence[RowMapping]
    debounces: Sequence[RowMapping]
    ended: Sequence[RowMapping]
    answered: Sequence[RowMapping]
    is_all: bool


def of_event(tx: Connection, event_id: str, received_at: datetime) -> EventEffects:
    """Read what an event did."""
    ended, is_all = _ended(tx, event_id, received_at)
    return EventEffects(
        _batches(tx, event_id), _debounced(tx, event_id), ended, _answered(tx, event_id), is_all
    )


def _batches(tx: Connection, event_id: str) -> list[RowMapping]:
    query = (
        select(
            _members.c.batch_id,
            _members.c.position,
            _members.c.added_at,
            _runs.c.id.label("run_id"),
            _items.c.due_at,
            _functions.c.slug,
        )
        .outerjoin(
            _runs, (_runs.c.batch_id == _members.c.batch_id) & _runs.c.original_run_id.is_(None)
        )
        # the timer of an open batch
        .outerjoin(_items, _items.c.run_id == _members.c.batch_id)
        .outerjoin(_functions, _functions.c.id == _runs.c.function_id)
        .where(_members.c.event_id == event_id)
        .limit(_MOST)
    )
    return list(tx.execute(query).mappings())


def _debounced(tx: Connection, event_id: str) -> list[RowMapping]:
    query = select(_debounces.c.first_at, _debounces.c.fires_at, _functions.c.slug)
    query = query.join(_functions, _functions.c.id == _debounces.c.function_id)
    query = query.where(_debounces.c.event_id == event_id)
    return list(tx.execute(query.limit(_MOST)).mappings())


def _ended(tx: Connection, event_id: str, received_at: datetime) -> tuple[list[RowMapping], bool]:
    """List the attempts, of those that ended next, that name the event as their cause."""
    end = figures.end_of_attempts(tx)
    first = figures.first_attempt_since(tx, received_at, end)
    until = min(end, first + MOST_ATTEMPTS)
    query = (
        select(
            _attempts.c.run_id,
            _attempts.c.name,
            _attempts.c.op,
            _attempts.c.status,
            _attempts.c.ended_at,
            _attempts.c.info,
            _functions.c.slug,
        )
        .join(_runs, _runs.c.id == _attempts.c.run_id)
        .join(_functions, _functions.c.id == _runs.c.function_id)
        .where(
            _attempts.c.id >= first,
            _attempts.c.id < until,
            _attempts.c.info.contains(f'"{event_id}"', autoescape=True),
        )
        .order_by(_attempts.c.id)
        .limit(_MOST)
    )
    rows = [row for row in tx.execute(query).mappings() if _is_cause(row["info"], event_id)]
    return rows, until == end


def _is_cause(info: str, event_id: str) -> bool:
    found = canonical.loads(info)
    return any(found.get(name) == event_id for name in _BY_EVENT)


def _answered(tx: Connection, event_id: str) -> list[RowMapping]:
    answer = canonical.dumps({"event": event_id}).decode()
    query = (
        select(_items.c.run_id, _items.c.step_name.label("name"), _functions.c.slug)
        .join(_runs, _runs.c.id == _items.c.run_id)
        .join(_functions, _functions.c.id == _runs.c.function_id)
        .where(_items.c.answer.is_not(None), _items.c.answer == answer)
        .limit(_MOST)
    )
    return list(tx.execute(query).mappings())
