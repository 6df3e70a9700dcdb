"""Executions of Celery tasks, as the app's workers tell of them by events.

An attempt of a task is sent once, and executed once, or more often when the task asks Celery for a
retry of its own: an execution is each of these. Events say when a worker received it, when it
began, and why the task wanted to be retried. They come from workers whose clocks are their own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ..values import ids
from ..values.json_types import JsonObject
from .task_states import Held

RECEIVED, STARTED, RETRIED = "task-received", "task-started", "task-retried"
_ENDS = frozenset({"task-succeeded", "task-failed", "task-revoked", "task-rejected"})
# a task may be retried without end: executions after these are stored in place of each other
MOST_NUMBER = 100
_MOST_OPEN = 2
MOST_NEW = 2000  # receptions between two looks: five seconds of 400 tasks each
_MOST_LIVE = 20_000  # of tasks whose end is not heard of: workers of gevent do not tell it


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a task; `number` counts Celery's own retries before it.

    `error` is why the task asked to be retried, at `retried`; both are None if it did not.
    """

    run_id: str
    task_id: str
    number: int
    host: str
    received: datetime
    started: datetime | None = None
    retried: datetime | None = None
    error: JsonObject | None = None


@dataclass(slots=True)
class Executions:
    """Makes executions of events; take() gives those that have changed.

    The event of a retry names no execution, and often comes after its successor was received. So
    those of a task that are not over are kept in order, and an event belongs to the first that
    lacks it.
    """

    _live: dict[str, list[Execution]] = field(default_factory=dict)
    _changed: dict[tuple[str, int], Execution] = field(default_factory=dict)

    def note(self, kind: object, name: str, event: Mapping[str, object]) -> None:
        """Take in an event of a task of ours. One that makes no sense is passed over."""
        if kind == RECEIVED:
            self._received(name, event)
        elif kind == STARTED:
            self._started(name, event)
        elif kind in _ENDS:
            self._live.pop(name, None)

    def retried(self, name: str, event: Mapping[str, object], error: JsonObject) -> None:
        """Note that a task asked Celery for a retry, and why."""
        open_, at = self._live.get(name), _moment(event)
        if open_ and at is not None:
            made = replace(open_.pop(0), retried=at, error=error)
            self._changed[name, made.number] = made

    def _received(self, name: str, event: Mapping[str, object]) -> None:
        run_id, at = str(event.get("root_id")).upper(), _moment(event)
        retries = event.get("retries")
        if at is None or not ids.is_ulid(run_id):
            return
        number = min(retries, MOST_NUMBER) if isinstance(retries, int) and retries > 0 else 0
        host = str(event.get("hostname") or "")[:255]
        made = Execution(run_id, name, number, host, at)
        open_ = self._live.setdefault(name, [])
        open_[:] = [one for one in open_ if one.number != number][-_MOST_OPEN:]  # redelivered
        open_.append(made)
        self._changed[name, number] = made
        if len(self._live) > _MOST_LIVE:
            del self._live[next(iter(self._live))]

    def _started(self, name: str, event: Mapping[str, object]) -> None:
        at = _moment(event)
        for place, one in enumerate(self._live.get(name, ())):
            if one.started is None and at is not None:
                made = self._live[name][place] = replace(one, started=at)
                self._changed[name, made.number] = made
                return

    def held(self) -> dict[str, Held]:
        """List the tasks that workers received and have not ended, by their ids.

        Looks at the newest MOST_NEW alone: the others were there at a look before. Another thread
        may take in events meanwhile.
        """
        newest = list(self._live.items())[-MOST_NEW:]
        held = [(name, one) for name, open_ in newest for one in open_[-1:]]
        return {name: Held(one.host, one.started) for name, one in held}

    def awaited(self) -> set[str]:
        """List the tasks whose retry by Celery was sent, and not received yet, by their ids."""
        return {name for name, open_ in list(self._live.items()) if not open_}

    def take(self) -> list[Execution]:
        """Take the executions that have changed since the last time."""
        found, self._changed = list(self._changed.values()), {}
        return found

    def give_back(self, taken: Iterable[Execution]) -> None:
        """Have executions taken again that could not be stored; newer ones are kept."""
        self._changed = {(one.task_id, one.number): one for one in taken} | self._changed


def _moment(event: Mapping[str, object]) -> datetime | None:
    stamp = event.get("timestamp")
    if not isinstance(stamp, int | float):
        return None
    try:
        return datetime.fromtimestamp(stamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None
