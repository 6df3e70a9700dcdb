"""Where sent tasks are: held by a worker, waiting in the broker, or lost.

The watcher of a Celery app compares, every few seconds, what its workers hold with the tasks that
were sent. Nothing can be asked about a task that waits in the broker. So a task counts as lost only
when several looks in a row find it nowhere.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..values import canonical

# in a row that do not find a task, before it counts as lost: half a minute, because busy workers
# are slow to answer
LOOKS = 6
# after its deadline a task ends by itself, if no process of ours could look for it at its app
UNWATCHED = timedelta(minutes=1)
YOUNG = timedelta(seconds=10)  # a task that was sent just now may be on its way


@dataclass(frozen=True, slots=True)
class SentTask:
    """What is known of an attempt; `host` is the worker that holds it, None before one does.

    `limit` is how long it may run, `expires` by when it must have started; `missed` counts the last
    looks that did not find it.
    """

    attempt: int
    sent: datetime
    queue: str
    limit: timedelta
    host: str | None = None
    started: datetime | None = None
    missed: int = 0
    expires: datetime | None = None

    @property
    def ends_at(self) -> datetime | None:
        """When its time is over; None before it has started."""
        return None if self.started is None else self.started + self.limit

    def to_json(self) -> str:
        """Write this for the task's queue item."""
        limit = self.limit.total_seconds()
        found = {
            "attempt": self.attempt,
            "sent": self.sent.isoformat(),
            "queue": self.queue,
            # as canonical JSON has it: a whole float is left to its slow writer
            "limit": int(limit) if limit.is_integer() else limit,
            "host": self.host,
            "started": self.started and self.started.isoformat(),
            "missed": self.missed,
            "expires": self.expires and self.expires.isoformat(),
        }
        return canonical.dumps({key: value for key, value in found.items() if value}).decode()


def from_json(stored: str | None) -> SentTask | None:
    """Read what to_json() wrote; None for None."""
    if stored is None:
        return None
    found = canonical.loads(stored)
    started, expires = found.get("started"), found.get("expires")
    return SentTask(
        found.get("attempt", 0),
        datetime.fromisoformat(found["sent"]),
        found.get("queue", ""),
        timedelta(seconds=found.get("limit", 0)),
        found.get("host"),
        started and datetime.fromisoformat(started),
        found.get("missed", 0),
        expires and datetime.fromisoformat(expires),
    )


@dataclass(frozen=True, slots=True)
class Held:
    """A task in a worker; `started` is None while it waits there for a free process."""

    host: str
    started: datetime | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What one look changes: tasks that are known better, and why others count as lost."""

    changed: dict[str, SentTask]
    lost: dict[str, str]


def look(
    sent: Mapping[str, SentTask],
    held: Mapping[str, Held],
    *,
    hosts: frozenset[str],
    waiting: Mapping[str, int],
    now: datetime,
) -> Look:
    """Compare the tasks that were sent with those that workers hold, by task id.

    `hosts` are the workers that answered; `waiting` has the number of messages of each queue.
    """
    changed: dict[str, SentTask] = {}
    lost: dict[str, str] = {}
    for name, task in sent.items():
        now_known = _seen(task, held[name]) if name in held else _missed(task, hosts, waiting, now)
        if now_known.missed >= LOOKS:
            lost[name] = _reason(task, hosts)
        elif now_known != task:
            changed[name] = now_known
    return Look(changed, lost)


def expired(
    sent: Mapping[str, SentTask], held: Mapping[str, Held], now: datetime
) -> dict[str, SentTask]:
    """Find the tasks that no worker has begun by their deadlines, by task id."""
    return {
        name: task
        for name, task in sent.items()
        if task.expires is not None
        and task.expires <= now
        and task.started is None
        and (name not in held or held[name].started is None)
    }


def given_back(
    sent: Mapping[str, SentTask],
    held: Mapping[str, Held],
    *,
    retried: Collection[str],
    left: Collection[str],
) -> dict[str, SentTask]:
    """Find the tasks that wait in the broker again, by their ids, as they are known now.

    `retried` are those for which Celery's own retry was sent, `left` the workers that have stopped:
    the broker gets back what such a worker has not begun.
    """
    return {
        name: replace(task, host=None, started=None, missed=0)
        for name, task in sent.items()
        if task.host is not None
        and name not in held
        and (name in retried or (task.started is None and task.host in left))
    }


def _seen(task: SentTask, held: Held) -> SentTask:
    same = task.host == held.host
    started = held.started or (task.started if same else None)
    return replace(task, host=held.host, started=started, missed=0)


def _missed(
    task: SentTask, hosts: frozenset[str], waiting: Mapping[str, int], now: datetime
) -> SentTask:
    may_be_near = waiting.get(task.queue, 0) > 0 or now - task.sent < YOUNG or not hosts
    return replace(task, missed=0 if task.host is None and may_be_near else task.missed + 1)


def _reason(task: SentTask, hosts: frozenset[str]) -> str:
    if task.host is None:
        return (
            f"the queue {task.queue} is empty and no worker has this task: the broker lost it, or"
            " it has no queue of this name"
        )
    did = "ran" if task.started is not None else "held"
    if task.host in hosts:
        return f"worker {task.host}, which {did} this task, does not have it any more"
    return f"worker {task.host} has not been heard of for 30 s while it {did} this task"
