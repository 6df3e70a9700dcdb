"""Counters of what happens in this process, counted by listeners of `observe`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from blinker import NamedSignal
from prometheus_client import CollectorRegistry, Counter, Histogram

from .. import observe
from ..domain.connect.codes import REASONS
from ..domain.values.json_types import JsonObject
from .labels import OTHER, FunctionLabels

M = TypeVar("M", Counter, Histogram)

# Calls last from milliseconds to two hours.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_UNREACHABLE = "unreachable"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Counters:
    """The counters of one process, in a registry of their own.

    Nothing is counted before connect().
    """

    def __init__(self, slug_of: Callable[[str], str | None]) -> None:
        self.registry = CollectorRegistry()
        self._labels = FunctionLabels(slug_of)
        # results of labels() are kept: the call costs more than the count itself
        self._children: dict[tuple[object, ...], Any] = {}
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._events = self._counter("events_accepted", "Events that were accepted from senders.")
        self._queued = self._counter("runs_queued", "Runs that were created.", "function")
        self._started = self._counter(
            "runs_started", "Runs whose first request went out.", "function"
        )
        self._finished = self._counter(
            "runs_finished", "Runs that have ended.", "function", "status"
        )
        self._steps = self._counter(
            "steps_finished", "Steps whose result was stored.", "function", "outcome"
        )
        self._failed = self._counter(
            "attempts_failed", "Attempts that failed and are made again.", "function"
        )
        self._calls = self._counter(
            "calls",
            "Requests made, to apps or for steps (gateway), by answer: 2xx to 5xx, unreachable.",
            "function",
            "to",
            "answer",
        )
        self._seconds = self._histogram(
            "call_seconds",
            "How long requests took, to apps or for steps (gateway).",
            "function",
            "to",
        )
        self._limits = self._counter(
            "limits_reached",
            "Runs dropped by a rate limit, and items that a limit made wait.",
            "function",
            "limit",
        )
        self._checkpoints = self._counter("checkpoints", "Checkpoint calls stored.", "function")
        self._add_tasks()
        self._add_faults()
        self._add_answers()
        self._add_connections()

    def _add_tasks(self) -> None:
        """Add the counters of Celery tasks; those of canvases have their own names, too."""
        self._task_attempts = self._counter(
            "task_attempts",
            "Attempts of Celery tasks that are over: completed, failed, lost, timed_out, expired.",
            "task",
            "outcome",
        )
        self._task_retries = self._counter("task_retries", "Celery's own retries of tasks.", "task")
        self._task_queued = self._histogram(
            "task_queue_seconds", "From the sending of a task until a worker began it.", "task"
        )
        self._task_ran = self._histogram(
            "task_run_seconds", "From the beginning of a task until its answer.", "task"
        )

    def _add_faults(self) -> None:
        """Add the counters of what should not happen."""
        self._lapsed = self._counter("leases_lapsed", "Leases that lapsed: a worker died or hung.")
        self._repaired = self._counter(
            "runs_repaired", "Stranded runs, whose apps were asked again.", "function"
        )
        self._faults = self._counter(
            "upkeep_faults", "How often a service of upkeep raised an exception.", "service"
        )
        self._unexpected = self._counter(
            "unexpected_errors", "Unexpected exceptions, by the event that logged them.", "event"
        )
        self._lost = self._counter("leases_lost", "Results dropped, as their lease was lost.")

    def _add_answers(self) -> None:
        """Add the counters of an API's answers; in a worker they stay empty."""
        self._requests = self._counter(
            "http_requests",
            "Requests that this server answered, by the route's pattern: 2xx to 5xx.",
            "method",
            "route",
            "answer",
        )
        self._answering = self._histogram(
            "http_request_seconds", "How long this server took to answer.", "method", "route"
        )

    def _add_connections(self) -> None:
        """Add the counters of a gateway; in a worker they stay empty."""
        self._opened = self._counter(
            "connections_opened",
            "Connections of workers that became ready: first ones, and of workers known before.",
            "kind",
        )
        self._closed = self._counter(
            "connections_closed", "Connections that have ended, by the reason.", "reason"
        )
        self._silent = self._counter(
            "connect_requests_lapsed",
            "Requests whose worker was silent for too long: never acknowledged, or not extended.",
            "worker",
        )
        self._refused = self._counter(
            "connect_leases_refused", "Extensions refused: the worker has to drop the request."
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"inngest_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"inngest_{name}", text, labels, registry=self.registry, buckets=BUCKETS)

    def connect(self) -> None:
        """Begin to count."""
        for signal, receiver in self._receivers():
            observe.listen(signal, receiver)
        observe.watch(self._event)

    def disconnect(self) -> None:
        """Count no more."""
        for signal, receiver in self._receivers():
            observe.stop_listening(signal, receiver)
        observe.unwatch(self._event)

    def _receivers(self) -> list[tuple[NamedSignal, Callable[..., None]]]:
        return [
            (observe.events_accepted, self._on_events),
            (observe.run_queued, self._on_queued),
            (observe.run_started, self._on_started),
            (observe.run_finished, self._on_finished),
            (observe.step_finished, self._on_step),
            (observe.attempt_failed, self._on_failed),
            (observe.call_finished, self._on_call),
            (observe.task_ended, self._on_task),
        ]

    def on_request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request that this server answered; `route` is None if no route matched."""
        key = (method if method in _METHODS else OTHER, route or OTHER, status // 100)
        kept = self._answered.get(key)
        if kept is None:  # no more than there are routes, methods and classes of status
            *labels, answer = key
            kept = self._answered[key] = (
                self._requests.labels(*labels, f"{answer}xx"),
                self._answering.labels(*labels),
            )
        kept[0].inc()
        kept[1].observe(seconds)

    def _child(self, metric: Any, function_id: str, *more: str) -> Any:
        key = (metric, function_id, *more)
        child = self._children.get(key)
        if child is None:
            label = self._labels.of_id(function_id)
            child = metric.labels(label, *more)
            if label != OTHER:  # not kept: it may get a name later, and there may be many of them
                self._children[key] = child
        return child

    def _of_slug(self, metric: M, slug: str, *more: str) -> M:
        """Find the child of a slug's label, which `more` follows."""
        label = self._labels.of_slug(slug)
        key = (metric, label, *more)
        child: M | None = self._children.get(key)
        if child is None:  # no more than there are labels
            child = self._children[key] = metric.labels(label, *more)
        return child

    def _on_events(self, *, count: int) -> None:
        self._events.inc(count)

    def _on_queued(self, *, function_id: str, **_: object) -> None:
        self._child(self._queued, function_id).inc()

    def _on_started(self, *, function_id: str, **_: object) -> None:
        self._child(self._started, function_id).inc()

    def _on_finished(self, *, function_id: str, status: str, **_: object) -> None:
        self._child(self._finished, function_id, status).inc()

    def _on_step(self, *, function_id: str, failed: bool, **_: object) -> None:
        self._child(self._steps, function_id, "failed" if failed else "completed").inc()

    def _on_failed(self, *, function_id: str, **_: object) -> None:
        self._child(self._failed, function_id).inc()

    def _on_call(
        self, *, function_id: str, to: str, seconds: float, status: int | None, **_: object
    ) -> None:
        answer = f"{status // 100}xx" if status else _UNREACHABLE
        self._child(self._calls, function_id, to, answer).inc()
        self._child(self._seconds, function_id, to).observe(seconds)

    def _on_task(
        self,
        *,
        app: str,
        task: str,
        outcome: str,
        retries: int,
        sent_at: datetime,
        started_at: datetime | None,
        ended_at: datetime,
        **_: object,
    ) -> None:
        slug = f"{app}-{task}"
        self._of_slug(self._task_attempts, slug, outcome).inc()
        if retries:
            self._of_slug(self._task_retries, slug).inc(retries)
        if started_at is not None:
            queued, ran = started_at - sent_at, ended_at - started_at
            self._of_slug(self._task_queued, slug).observe(queued.total_seconds())
            self._of_slug(self._task_ran, slug).observe(ran.total_seconds())

    def _event(self, name: str, fields: dict[str, Any]) -> None:
        """Count events that have no signal; all of them are rare."""
        if name == "lease.lapsed":
            self._lapsed.inc(fields["items"])
        elif name == "run.repaired":
            self._child(self._repaired, fields["function_id"]).inc()
        elif name == "upkeep.failed":
            self._faults.labels(fields["service"]).inc()
        elif name == observe.UNEXPECTED:
            self._unexpected.labels(fields["event"]).inc()
        elif name == "item.lease_lost":
            self._lost.inc()
        elif name == "checkpoint.stored":
            self._child(self._checkpoints, fields["function_id"]).inc()
        elif name in _OF_CONNECTIONS:
            self._connection(name, fields)
        elif name in _LIMITS:
            label = self._labels.of_slug(fields["function"])
            self._limits.labels(label, _LIMITS[name]).inc(fields.get("items", 1))

    def _connection(self, name: str, fields: JsonObject) -> None:
        """Count what happens to a connected worker."""
        if name == "connect.ready":
            self._opened.labels("again" if fields["again"] else "first").inc()
        elif name == "connect.ended":
            reason = fields["reason"]
            self._closed.labels(reason if reason in REASONS else OTHER).inc()
        elif name == "connect.lapsed":
            self._silent.labels("not_extended" if fields["acked"] else "not_acknowledged").inc()
        else:
            self._refused.inc()


_OF_CONNECTIONS = frozenset({"connect.ready", "connect.ended", "connect.lapsed", "connect.refused"})
_LIMITS = {
    "rate_limit.dropped": "rate_limit",
    "throttle.waits": "throttle",
    "concurrency.waits": "concurrency",
}
