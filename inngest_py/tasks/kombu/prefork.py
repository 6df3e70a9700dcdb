"""Prefork's children: they finish their calls before they obey SIGTERM.

systemd and others send SIGTERM to every process of a service. A child would die of it in the middle
of its call, although its parent waits for calls to finish. The parent waits only for children that
live.

Without this, calls would be cut at a stop, so no setting turns it off.

Written against Celery 5.7 and billiard 4.3: Celery ends a child by the pool's `terminate_job()`,
the children are `Process` objects in `pool._pool._pool`, and each sets its signal handlers when it
starts, before its first task.
"""

import os
import signal
from typing import Any

from celery.signals import task_postrun, task_prerun
from celery.worker import state


def ignore_signals_in_tasks() -> None:
    """Make the children ignore SIGTERM and SIGHUP during a task: their parent ends them."""
    handlers: dict[signal.Signals, Any] = {}

    def begin(**_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            handlers[number] = signal.signal(number, signal.SIG_IGN)

    def end(**_: object) -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    # for each task, not once at the start of a child: billiard sets its own handlers after that
    task_prerun.connect(begin, weak=False)
    task_postrun.connect(end, weak=False)


def cancel_by_sigkill(pool: Any) -> None:
    """Make the pool use SIGKILL for children whose task is cancelled, and in a cold shutdown.

    The pool would send SIGTERM, which children with a task ignore.
    """
    terminate = pool.terminate_job
    pool.terminate_job = lambda pid, _signal=None: terminate(pid, signal.SIGKILL)


def kill_children(pool: Any) -> None:
    """Kill every child."""
    for child in _children(pool):
        if child.exitcode is None:
            os.kill(child.pid, signal.SIGKILL)


def any_child_busy(pool: Any) -> bool:
    """Say whether any child that lives has a task."""
    alive = {child.pid for child in _children(pool) if child.exitcode is None}
    busy = {request.worker_pid for request in (*state.reserved_requests, *state.active_requests)}
    # None: the request's child is not known yet, it may be any of them
    return bool(alive & busy) or bool(alive and None in busy)


def _children(pool: Any) -> list[Any]:
    return list(getattr(getattr(pool, "_pool", None), "_pool", None) or [])
