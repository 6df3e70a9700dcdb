"""What was last seen of a Celery app: its workers, what each runs, its queues and its tasks."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..functions.celery_task import OWN_PREFIX
from ..values import canonical
from ..values.dataclass_json import decode, encode

# heartbeats come every two seconds; a busy worker of the pool solo sends none
SILENT = timedelta(seconds=30)
_FORGOTTEN = timedelta(minutes=10)
_UNSEEN = timedelta(minutes=1)  # the watcher looks every ten seconds
_MOST_RUNNING, _MOST_WORKERS = 16, 100
# of a worker that is heard of, but says nothing when it is asked
MUTE = (
    "answers no questions, so its tasks are not known: its app has to write and accept JSON"
    " (task_serializer, accept_content) and to keep worker_enable_remote_control on"
)
MOST_TASKS = 2000  # of an app; the others become no functions


@dataclass(frozen=True, slots=True)
class Running:
    """A task that a worker runs; `started` is None if the worker does not say it."""

    id: str
    name: str
    started: datetime | None = None


@dataclass(frozen=True, slots=True)
class SeenWorker:
    """A worker; `heard` is its last sign of life, by our clock.

    `processes` is how many tasks it runs at a time, `active` how many it runs, and `reserved` how
    many it holds beside these. None is not known. `running` has the first of the active ones.
    """

    host: str
    heard: datetime
    pool: str | None = None
    processes: int | None = None
    queues: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    active: int | None = None
    reserved: int | None = None
    running: tuple[Running, ...] = ()

    def is_silent(self, now: datetime) -> bool:
        """Say whether nothing has been heard of it for some time."""
        return now - self.heard > SILENT

    @property
    def is_busy(self) -> bool:
        """Whether it runs as many tasks as it can, as far as is known."""
        return self.processes is not None and (self.active or 0) >= self.processes


@dataclass(frozen=True, slots=True)
class GoneTask:
    """A task that no worker has any more."""

    name: str
    since: datetime


@dataclass(frozen=True, slots=True)
class SeenQueue:
    """A queue of the app's broker, and how many messages wait in it."""

    name: str
    messages: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of an app; `left_out` is how many tasks its workers have beyond MOST_TASKS."""

    workers: tuple[SeenWorker, ...] = ()
    tasks: tuple[str, ...] = ()
    gone: tuple[GoneTask, ...] = ()
    queues: tuple[SeenQueue, ...] = ()
    left_out: int = 0

    def alive(self, now: datetime) -> list[SeenWorker]:
        """List the workers that have been heard of lately."""
        return [one for one in self.workers if not one.is_silent(now)]

    def messages(self, queue: str) -> int | None:
        """Say how many messages wait in a queue; None when that is not known."""
        return next((one.messages for one in self.queues if one.name == queue), None)

    def to_json(self) -> str:
        """Write it for the app's row."""
        return canonical.dumps(encode(self)).decode()


def from_json(stored: str | None) -> Seen:
    """Read what Seen.to_json() wrote; None for nothing."""
    return decode(Seen, canonical.loads(stored or "{}"))


@dataclass(frozen=True, slots=True)
class State:
    """How an app's connection is, in a word or two; `advice` is what to do, None for nothing."""

    name: str
    advice: str | None = None


def state(seen: Seen, at: datetime | None, queue: str, error: str | None, now: datetime) -> State:
    """Say how the connection of an app is that was seen at a time; None if it was not yet.

    `queue` is the app's, `error` what is wrong with its broker, None for nothing.
    """
    if error is not None:
        return State("error", error)
    if at is None:
        return State("connecting", "A worker of this server looks for it within seconds.")
    if now - at > _UNSEEN:
        return State("not watched", "No worker of this server looks at it: is one running?")
    alive = seen.alive(at)
    if not alive:
        return State("no worker", "Nothing takes its tasks: start one of its workers.")
    if not any(not one.queues or queue in one.queues for one in alive):
        text = f"No worker reads the queue {queue}: start one by celery worker -Q {queue}, or"
        return State("no reader", f"{text} connect the app again with the queue they read.")
    return State("connected")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ask for the names that are near to one that is wrong; empty when none is.

    Those are near that look alike, and those whose last part does, after the module's name.
    """
    names = list(known)
    last = {one: one.rpartition(".")[2] for one in names}
    alike = difflib.get_close_matches(name, names, n=3, cutoff=0.8)
    parts = difflib.get_close_matches(name.rpartition(".")[2], set(last.values()), n=3, cutoff=0.8)
    same = [one for part in parts for one in names if last[one] == part]
    near = list(dict.fromkeys([*alike, *same]))[:3]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


class Workers:
    """What the watcher of an app learns of its workers, by their events and answers.

    Workers of other apps on the same broker answer, too. An app's own are those that read `queue`,
    its queue, and those that have no other tasks than these. None takes all for its own.
    """

    def __init__(self, queue: str | None = None) -> None:
        self._queue = queue
        self._names: set[str] = set()  # the app's tasks, as far as they are known
        self._known: dict[str, SeenWorker] = {}
        self.queues: dict[str, int] = {}

    def heard(self, host: str, now: datetime, active: object = None) -> SeenWorker:
        """Note a sign of life; `active` is how many tasks the worker runs, if it says so."""
        known = self._known.get(host) or SeenWorker(host, now)
        number = active if isinstance(active, int) else known.active
        made = self._known[host] = replace(known, heard=now, active=number)
        return made

    def left(self, host: str) -> None:
        """Forget a worker that said that it stops."""
        self._known.pop(host, None)

    def told(
        self,
        registered: Mapping[str, Sequence[str]],
        stats: Mapping[str, Mapping[str, object]],
        queues: Mapping[str, Sequence[Mapping[str, object]]],
        now: datetime,
    ) -> None:
        """Note the tasks, pools and queues of the workers that answered."""
        for host in {*registered, *stats, *queues}:
            known = self.heard(host, now)
            given = stats.get(host, {}).get("pool")
            pool: Mapping[str, object] = given if isinstance(given, dict) else {}
            names = [name.partition(" [")[0] for name in registered.get(host, known.tasks)]
            self._known[host] = replace(
                known,
                pool=_pool(pool.get("implementation")) or known.pool,
                processes=_number(pool.get("max-concurrency")) or known.processes,
                queues=tuple(str(one.get("name")) for one in queues[host])
                if host in queues
                else known.queues,
                tasks=tuple(name for name in names if not name.startswith(OWN_PREFIX)),
            )

    def hold(
        self,
        active: Mapping[str, Sequence[Running]],
        reserved: Mapping[str, int],
        now: datetime,
    ) -> None:
        """Note which tasks the workers run that answered, and how many more they hold."""
        for host, running in active.items():
            known = self.heard(host, now, len(running))
            self._known[host] = replace(
                known,
                running=tuple(running[:_MOST_RUNNING]),
                reserved=reserved.get(host, known.reserved),
            )

    def is_any_alive(self, now: datetime) -> bool:
        """Say whether a worker has been heard of lately."""
        return any(not one.is_silent(now) for one in list(self._known.values()))

    @property
    def read_queues(self) -> set[str]:
        """The queues that workers read."""
        return {queue for one in self._own() for queue in one.queues}

    def _own(self) -> list[SeenWorker]:
        known = list(self._known.values())
        names = {name for one in known if self._queue in one.queues for name in one.tasks}
        names = names or self._names
        if self._queue is None or not names:
            return known
        return [one for one in known if self._queue in one.queues or names.issuperset(one.tasks)]

    def seen(self, before: Seen, now: datetime) -> Seen:
        """Sum it up; `before` is what was stored last, maybe by another watcher.

        While no worker is heard of, the tasks stay as they were: they are not gone.
        """
        self._names = {*before.tasks, *(one.name for one in before.gone)}
        for one in list(self._known.values()):
            if now - one.heard > _FORGOTTEN:
                self.left(one.host)
        own = self._own()
        alive = [one for one in own if not one.is_silent(now)]
        shown = sorted(own, key=lambda one: (one.is_silent(now), one.host))
        made = Seen(
            # the names of all tasks once, not for each worker
            workers=tuple(replace(one, tasks=()) for one in shown[:_MOST_WORKERS]),
            tasks=before.tasks,
            gone=before.gone,
            left_out=before.left_out,
            queues=tuple(SeenQueue(*one) for one in sorted(self.queues.items())),
        )
        if not any(one.tasks for one in alive):
            return made
        found, known = {name for one in alive for name in one.tasks}, set(before.tasks)
        tasks = sorted(found, key=lambda name: (name not in known, name))[:MOST_TASKS]
        return replace(
            made,
            tasks=tuple(sorted(tasks)),
            gone=_gone(before, found, now),
            left_out=len(found) - len(tasks),
        )


def _gone(before: Seen, tasks: Iterable[str], now: datetime) -> tuple[GoneTask, ...]:
    had = dict.fromkeys(before.tasks, now) | {one.name: one.since for one in before.gone}
    names = sorted(set(had).difference(tasks))[:MOST_TASKS]
    return tuple(GoneTask(name, had[name]) for name in names)


def _pool(implementation: object) -> str | None:
    """Name a pool as `celery worker --pool` does, from its class's path."""
    if not isinstance(implementation, str):
        return None
    return implementation.partition(":")[0].rpartition(".")[2][:100] or None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
