"""Celery apps as one process knows them: their brokers, and tasks that it has just sent."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, RowMapping

from ...domain.errors import InngestPyError
from ...domain.runs.items import CELERY
from ...storage.db.session import Database
from ...storage.queries import celery_app_list
from ...storage.queue.sent_tasks import Sent
from .ended_tasks import EndedTasks
from .group_commit import Committer
from .sent_jobs import SentJobs

_FRESH_SECONDS = 5.0
_TRY_AGAIN = timedelta(seconds=3)
LINE_PREFIX = CELERY  # tasks wait in a line of their app while its broker is away


@dataclass(frozen=True, slots=True)
class CeleryApp:
    """A Celery app: its broker, the queue of its tasks, the key of its answers.

    Two equal values mean that nothing has to be connected anew.
    """

    app_id: str
    name: str
    broker_url: str = field(repr=False)  # may hold a password
    options: str = field(repr=False)  # may hold one, too
    queue: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """A task to be sent. `token` comes back with its answer; `options` are the signature's.

    `root_id` is the run's id in small letters: workers' events name it, and Flower shows it.
    """

    task_id: str
    name: str
    args: list[object]
    kwargs: dict[str, object]
    options: dict[str, object]
    token: str
    root_id: str


class BrokerAway(InngestPyError):
    """The broker of the Celery app cannot be reached."""


class TaskBrokers(Protocol):
    """The connections of this process to the brokers of Celery apps."""

    def send(self, app: CeleryApp, messages: Sequence[TaskMessage]) -> None:
        """Send tasks. Raises BrokerAway; some of them may have been sent then."""

    def reachable(self, app: CeleryApp) -> bool:
        """Try to connect to an app's broker; takes seconds if it does not answer."""


class NoTaskBrokers:
    """Stands in a process that sends no tasks."""

    def send(self, app: CeleryApp, messages: Sequence[TaskMessage]) -> None:
        """Refuse: only workers send tasks."""
        raise BrokerAway("this process sends no tasks")

    def reachable(self, app: CeleryApp) -> bool:
        """Say no."""
        return False


class CeleryApps:
    """The apps, read again every few seconds, and the tasks whose sending is not written yet.

    A sent task stays leased to this process until sent_tasks.hand_over() writes, for many tasks in
    one statement, that the app has it. A short task has ended before.
    """

    def __init__(self, brokers: TaskBrokers | None = None) -> None:
        self.brokers: TaskBrokers = brokers or NoTaskBrokers()
        self.ended = EndedTasks()
        self.jobs = SentJobs()
        self._lock = threading.Lock()
        self._by_id: dict[str, CeleryApp] = {}
        self._read_at = -_FRESH_SECONDS
        self._sent: dict[str, Sent] = {}
        self._away: dict[str, datetime] = {}  # when the last try failed

    def get(self, committer: Committer, app_id: str) -> CeleryApp:
        """Find an app; waits for the end of an outage. Raises BrokerAway for one that is gone."""
        if time.monotonic() - self._read_at > _FRESH_SECONDS or app_id not in self._by_id:
            self._keep(committer.read(_read))
        found = self._by_id.get(app_id)
        if found is None:
            raise BrokerAway("the Celery app was removed: add it again by `inngest-py celery add`")
        return found

    def all(self, db: Database) -> list[CeleryApp]:
        """Read the apps."""
        with db.reading() as tx:
            found = _read(tx)
        self._keep(found)
        return found

    def _keep(self, found: Sequence[CeleryApp]) -> None:
        self._by_id = {app.app_id: app for app in found}
        self._read_at = time.monotonic()

    def note_away(self, app_id: str, now: datetime) -> bool:
        """Note that an app's broker is away; say whether that is new."""
        known = app_id in self._away
        self._away[app_id] = now
        return not known

    def is_away(self, app_id: str, now: datetime) -> bool:
        """Say whether an app's broker was found away just now: a try may take ten seconds."""
        tried = self._away.get(app_id)
        return tried is not None and now - tried < _TRY_AGAIN

    def note_reached(self, app_id: str) -> None:
        """Note that an app's broker takes tasks."""
        self._away.pop(app_id, None)

    def note_sent(self, sent: Sequence[Sent]) -> None:
        """Note tasks that were sent just now."""
        with self._lock:
            self._sent.update((one.item.id, one) for one in sent)

    def forget_sent(self, item_ids: Sequence[str]) -> None:
        """Forget tasks that have ended, or that could not be sent."""
        with self._lock:
            for item_id in item_ids:
                self._sent.pop(item_id, None)

    def written(self, sent: Sequence[Sent]) -> None:
        """Forget what is written; an item that was sent again meanwhile is kept."""
        with self._lock:
            for one in sent:
                if self._sent.get(one.item.id) is one:
                    del self._sent[one.item.id]

    def sent(self) -> list[Sent]:
        """List the tasks whose sending is not written yet."""
        with self._lock:
            return list(self._sent.values())


def _read(tx: Connection) -> list[CeleryApp]:
    return [_app(row) for row in celery_app_list.every(tx)]


def _app(row: RowMapping) -> CeleryApp:
    names = ("app_id", "name", "broker_url", "options", "queue", "secret")
    return CeleryApp(**{name: row[name] for name in names})
