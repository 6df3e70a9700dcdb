"""The tasks: one per kind of queue item.

A message only names items that are due; the work itself is in rows.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import gevent
from celery import Celery
from gevent.pool import Group
from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError

from ..domain.runs.items import ItemKind
from ..engine.runtime.context import Context, Hint
from ..engine.runtime.jobs import Job
from ..engine.work.celery_tasks import task_jobs
from ..engine.work.claims import Claimed, claim, claim_stored
from ..engine.work.run_item import run_job
from .kombu.publishing import task_name
from .runtime import Runtime, under_gevent

_MOST_IDS = 1000
_LOOK_SECONDS = 1.0


def add_tasks(app: Celery, runner: "Runner") -> None:
    """Register one task per kind on the app."""
    options: dict[str, Any] = dict(app.conf.get("infrastructure_retry", {}))
    retries = options.pop("max_retries", 5)
    for kind in ItemKind:

        def task(item_ids: list[str], kind: ItemKind = kind) -> int:
            return runner.run(kind, item_ids)

        task.__doc__ = f"Run queue items of kind {kind.value} that are due."
        app.task(
            name=task_name(kind),
            # otherwise a second app in the process would run the tasks of the first
            shared=False,
            autoretry_for=(OperationalError, InterfaceError, TimeoutError),
            max_retries=retries,
            **options,
        )(task)


class Runner:
    """Runs the items of one message: together under gevent, one by one under other pools."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._slots: threading.Semaphore | None = None
        self._lock = threading.Lock()

    def run(self, kind: ItemKind, item_ids: list[str]) -> int:
        """Run the items that this worker can claim; return how many."""
        ids = [item for item in item_ids[:_MOST_IDS] if isinstance(item, str)]
        if under_gevent():
            return self._together(ids)
        return self._one(kind, ids)

    def run_one(self, kind: ItemKind, item_id: str) -> int:
        """Run an item without a message; return 1 if this worker could claim it, else 0."""
        return self._together([item_id]) if under_gevent() else self._one(kind, [item_id])

    def _one(self, kind: ItemKind, ids: list[str]) -> int:
        """Run the first item here; send hints of the others, for other processes."""
        ctx = self._runtime.context()
        if len(ids) > 1:
            for other in ids[1:]:
                self._runtime.hints.send([(kind, other)])
        jobs = claim(ctx, ids[:1])
        for job in jobs:
            run_job(ctx, job)
        return len(jobs)

    def _together(self, ids: list[str]) -> int:
        """Run the items in greenlets, up to this process's number of calls in flight."""
        ctx, slots = self._runtime.context(), self._semaphore()
        intake = self._runtime.intake
        group, ours = Group(), 0
        intake.add_waiting(len(ids))
        try:
            while ids:
                taken = _acquire(slots, len(ids))
                chunk, ids = ids[:taken], ids[taken:]
                intake.remove_waiting(taken)
                try:
                    jobs = claim(ctx, chunk)
                except BaseException:
                    slots.release(taken)
                    raise
                ours += len(jobs)
                if taken > len(jobs):
                    slots.release(taken - len(jobs))
                self._begin(jobs, slots, group.spawn)
        finally:  # also if this is killed while it waits: else the intake would stay closed
            intake.remove_waiting(len(ids))
        group.join()
        return ours

    def claim(self, tx: Connection, ctx: Context, hints: Sequence[Hint]) -> list[Hint]:
        """Claim items in the transaction that stores them: see AtOnce.

        No more than there are free slots, and none before items that wait for one.
        """
        if self._runtime.intake.has_waiting:
            return list(hints)
        slots = self._semaphore()
        taken = _acquire_free(slots, len(hints))

        def begin(jobs: Sequence[Claimed]) -> None:
            if taken > len(jobs):
                slots.release(taken - len(jobs))
            self._begin(jobs, slots, gevent.spawn)

        if not taken:
            return list(hints)
        return [*claim_stored(tx, ctx, hints[:taken], begin), *hints[taken:]]

    def _begin(
        self, jobs: Sequence[Claimed], slots: threading.Semaphore, spawn: Callable[..., object]
    ) -> None:
        """Run claimed items in greenlets: those that only send tasks in one, the others each."""
        to_send = [job for job in jobs if task_jobs.sends(job)]
        for job in jobs:
            if not task_jobs.sends(job):
                spawn(self._run_one, job, slots)
        if to_send:
            spawn(self._send, to_send, slots)

    def _run_one(self, job: Claimed, slots: threading.Semaphore) -> None:
        try:
            run_job(self._runtime.context(), job)
        finally:
            slots.release()

    def _send(self, jobs: list[Job], slots: threading.Semaphore) -> None:
        """Run items of Celery apps, in one greenlet: the app's workers do the work."""
        try:
            task_jobs.run_together(self._runtime.context(), jobs)
        finally:
            slots.release(len(jobs))

    def _semaphore(self) -> threading.Semaphore:
        with self._lock:
            if self._slots is None:
                self._slots = threading.Semaphore(self._runtime.slots)
            return self._slots


def _acquire(slots: threading.Semaphore, most: int) -> int:
    """Wait for one slot, then take more that are free, up to `most`; return how many."""
    # with a time-out: a waiter that is killed as it is woken for a slot does not wake the next
    while not slots.acquire(timeout=_LOOK_SECONDS):
        pass
    return 1 + _acquire_free(slots, most - 1)


def _acquire_free(slots: threading.Semaphore, most: int) -> int:
    """Take slots that are free, up to `most`; return how many."""
    taken = 0
    while taken < most and slots.acquire(blocking=False):
        taken += 1
    return taken
