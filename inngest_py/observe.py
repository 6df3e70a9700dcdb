"""Log events and signals: what happens in the server, for logs, metrics and other packages.

`event()` is for operators: it writes a log line, and watchers may count it. The blinker signals are
for other packages. Each is sent after the commit that made it true, with keyword arguments only;
`call_finished` is sent when the call is over.
A listener that raises is logged, and never disturbs the run.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

from blinker import NamedSignal, Namespace

_signals = Namespace()
_log = logging.getLogger("inngest_py")

run_queued: NamedSignal = _signals.signal("run-queued")
"""A run was created: `run_id`, `function_id`, `event_id`."""
run_started: NamedSignal = _signals.signal("run-started")
"""A run's first request goes out: `run_id`, `function_id`."""
step_finished: NamedSignal = _signals.signal("step-finished")
"""A step has a stored result: `run_id`, `function_id`, `step`, `name`, `value` (its entry of the
memo, as JSON text), `failed`."""
attempt_failed: NamedSignal = _signals.signal("attempt-failed")
"""An attempt failed and will be made again: `run_id`, `function_id`, `step`, `attempt`, `error`."""
run_finished: NamedSignal = _signals.signal("run-finished")
"""A run has ended: `run_id`, `function_id`, `status`, `output` (JSON text or None), `queued_at`,
`function`, `traceparent` (of its event's request, or None)."""

events_accepted: NamedSignal = _signals.signal("events-accepted")
"""Events of a sender are stored: `count`."""
call_finished: NamedSignal = _signals.signal("call-finished")
"""A request is over: `run_id`, `function_id`, `to` (app, gateway), `url`, `request_id`,
`started_at`, `seconds`, `status` (None without an answer), `steps` (the names of those that its
answer is about), `attempt` (from 0), `traceparent` (of the event's request)."""

task_ended: NamedSignal = _signals.signal("task-ended")
"""An attempt of a Celery task is over, told a second later: `run_id`, `function_id`, `function`,
`app`, `task` (its registered name), `step`, `task_id`, `attempt` (from 0), `outcome` (completed,
failed, lost, timed_out, expired), `error` (its name, or None), `queued_at`, `sent_at`,
`started_at` (None if no event told it), `ended_at`, `worker`, `retries` (Celery's own),
`traceparent`."""

job_started: NamedSignal = _signals.signal("job-started")
"""A task begins to work on a run: `run_id`, `function_id`, `function`, `item_id`, `kind`, `step`
(its name, if it is known already), `attempt` (from 0), `traceparent`."""
job_ended: NamedSignal = _signals.signal("job-ended")
"""That task has ended its work on the run, in the same thread or greenlet: `run_id`."""

Watcher = Callable[[str, dict[str, object]], None]
UNEXPECTED = "error.unexpected"
"""What watchers are also called with for each event that has a traceback: `event`, its name."""
Listener = Callable[..., None]
_watchers: list[Watcher] = []
_heard: dict[str, list[Listener]] = {}


def watch(watcher: Watcher) -> None:
    """Call a function with every event, whatever the log's level; it must not block."""
    _watchers.append(watcher)


def unwatch(watcher: Watcher) -> None:
    """Stop calling a function with events."""
    _watchers.remove(watcher)


_bound: ContextVar[Mapping[str, object] | None] = ContextVar("inngest_py_bound", default=None)


@contextmanager
def bound(**ids: object) -> Iterator[None]:
    """Add ids to every log line of this thread or greenlet within the block, in all packages."""
    token = _bound.set(ids)
    try:
        yield
    finally:
        _bound.reset(token)


def with_ids(fields: Mapping[str, object]) -> Mapping[str, object]:
    """Add the bound ids to the fields of a log line.

    A line about another run keeps its own: in a group commit, one writer writes for many runs.
    """
    ids = _bound.get()
    if ids is None or fields.get("run_id", ids.get("run_id")) != ids.get("run_id"):
        return fields
    return {**ids, **fields}


_held: ContextVar[list[Callable[[], None]] | None] = ContextVar("inngest_py_held", default=None)


class EventsAfterCommit:
    """Keeps the events of a transaction until it is committed; drops them if it fails.

    A transaction that fails may be run again, and would otherwise log and count its events twice.
    A generator in place of this class would cost each transaction 2 µs more.
    """

    __slots__ = ("_events", "_token")

    def __enter__(self) -> None:
        self._events: list[Callable[[], None]] = []
        self._token = _held.set(self._events)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _held.reset(self._token)
        if kind is None:
            for log_one in self._events:
                log_one()


def event(
    name: str,
    *,
    level: int = logging.INFO,
    exc_info: BaseException | None = None,
    **fields: object,
) -> None:
    """Log a named event with its fields, and the traceback of an exception."""
    held = _held.get()
    if held is None:
        _event(name, level, exc_info, fields)
    else:
        held.append(partial(_event, name, level, exc_info, fields))


def _event(
    name: str, level: int, exc_info: BaseException | None, fields: dict[str, object]
) -> None:
    _call_watchers(name, fields)
    if exc_info is not None:
        count_unexpected(name)
    if _log.isEnabledFor(level):
        _log.log(level, name, exc_info=exc_info, extra={"event": name, "fields": fields})


def count_unexpected(name: str) -> None:
    """Count an unexpected exception that is logged elsewhere, by the name of an event."""
    _call_watchers(UNEXPECTED, {"event": name})


def _call_watchers(name: str, fields: dict[str, object]) -> None:
    for watcher in _watchers:
        try:
            watcher(name, fields)
        except Exception:
            _log_failed()


def listen(signal: NamedSignal, listener: Listener) -> None:
    """Call a function of this package with a signal's fields; it must not block.

    A subscriber of blinker costs 4 µs per signal, for its weak reference; this costs nothing.
    """
    _heard[signal.name] = [*_heard.get(signal.name, ()), listener]  # not in a list that is read now


def stop_listening(signal: NamedSignal, listener: Listener) -> None:
    """Stop calling a function with a signal."""
    _heard[signal.name] = [one for one in _heard.get(signal.name, ()) if one != listener]


def is_heard(signal: NamedSignal) -> bool:
    """Say whether anybody listens to a signal."""
    return bool(_heard.get(signal.name)) or bool(signal.receivers)


def send(signal: NamedSignal, **fields: object) -> None:
    """Send a signal; an exception of a listener is logged."""
    for listener in _heard.get(signal.name, ()):
        try:
            listener(**fields)
        except Exception:
            _failed()
    if not signal.receivers:
        return
    for receiver in list(signal.receivers_for(None)):
        try:
            receiver(None, **fields)
        except Exception:
            _failed()


def _failed() -> None:
    _log_failed()
    count_unexpected("listener.failed")


def _log_failed() -> None:
    _log.exception("listener.failed", extra={"event": "listener.failed", "fields": {}})
