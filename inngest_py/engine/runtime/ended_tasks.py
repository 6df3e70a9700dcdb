"""Attempts of Celery tasks that have ended in this process, for metrics and traces."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class EndedTask:
    """An attempt of a task that is over, as its answer says; `error` is the error's name.

    `task` is the registered name, `step` that of its place in the canvas.
    """

    run_id: str
    function_id: str
    function: str
    app: str
    task: str
    step: str
    task_id: str
    attempt: int
    outcome: str
    error: str | None
    queued_at: datetime
    sent_at: datetime
    ended_at: datetime
    traceparent: str | None


class EndedTasks:
    """Keeps them until what their workers told is stored; the oldest make room if there are many.

    Safe across threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[EndedTask] = deque(maxlen=_MOST)

    def note(self, ended: EndedTask) -> None:
        """Keep an attempt."""
        with self._lock:
            self._kept.append(ended)

    def take(self, before: datetime, most: int) -> list[EndedTask]:
        """Take the oldest of those that ended before a time."""
        found: list[EndedTask] = []
        with self._lock:
            while self._kept and self._kept[0].ended_at < before and len(found) < most:
                found.append(self._kept.popleft())
        return found

    def give_back(self, taken: Sequence[EndedTask]) -> None:
        """Keep attempts again that were taken and could not be told, as far as there is room."""
        with self._lock:
            room = _MOST - len(self._kept)
            self._kept.extendleft(reversed(taken[-room:] if room else ()))
