"""Prefork's children: they end their calls before they heed SIGTERM; nobody waits for dead ones.

systemd and others send SIGTERM to every process of a service. A child would die of it in the middle
of its call, while its parent lets calls finish.
"""

import os
import signal
from typing import Any

from celery.signals import task_postrun, task_prerun
from celery.worker import state


def keep_calls() -> None:
    """Have the children heed SIGTERM and SIGHUP between tasks only: their parent ends them."""
    heeded: dict[signal.Signals, Any] = {}

    def begin(**_: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            heeded[number] = signal.signal(number, signal.SIG_IGN)

    def end(**_: Any) -> None:
        for number, handler in heeded.items():
            signal.signal(number, handler)

    # not at the start of a child: billiard sets its own handlers after that
    task_prerun.connect(begin, weak=False)
    task_postrun.connect(end, weak=False)


def end_by_kill(pool: Any) -> None:
    """Have the pool end by SIGKILL the children whose task is cancelled, or in a cold shutdown.

    It sends SIGTERM, which they do not die of.
    """
    terminate = pool.terminate_job
    pool.terminate_job = lambda pid, _signal=None: terminate(pid, signal.SIGKILL)


def kill(pool: Any) -> None:
    """Kill every child."""
    for child in _children(pool):
        if child.exitcode is None:
            os.kill(child.pid, signal.SIGKILL)


def is_calling(pool: Any) -> bool:
    """Say whether a child lives that has a task."""
    alive = {child.pid for child in _children(pool) if child.exitcode is None}
    having = {request.worker_pid for request in (*state.reserved_requests, *state.active_requests)}
    # one whose child is not known yet may be with any of them
    return bool(alive & having) or bool(alive and None in having)


def _children(pool: Any) -> list[Any]:
    return list(getattr(getattr(pool, "_pool", None), "_pool", None) or [])
