"""Which apps are down, as the calls of this process tell.

A call only notes a change, in memory; upkeep writes it (upkeep/apps_down.py) and reads what other
processes have written. So the state is a second old, and a call costs no statement.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ...domain.reply.read import Reply, down_cause


@dataclass(frozen=True, slots=True)
class Change:
    """What the last call of an app has told: why it is down, None if it is back; `at` is when."""

    app_id: str
    at: datetime
    cause: str | None


class AppsDown:
    """The apps that are down, with the cause, and the changes that nobody has written yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._down: dict[str, str] = {}
        self._changes: dict[str, Change] = {}
        self._answered: dict[str, datetime] = {}

    def note(self, app_id: str, reply: Reply, now: datetime) -> None:
        """Note what a call of an app has told, if that is news."""
        cause = down_cause(reply)
        if cause is None:
            if not reply.status:
                return
            self._answered[app_id] = now
            if not self._down:
                return
        with self._lock:
            if self._down.get(app_id) == cause:
                return
            self._changes[app_id] = Change(app_id, now, cause)
            self._set(app_id, cause)

    def _set(self, app_id: str, cause: str | None) -> None:
        if cause is None:
            self._down.pop(app_id, None)
        else:
            self._down[app_id] = cause

    @property
    def has_called(self) -> bool:
        """Whether this process has called an app. Before that the tables may not be there yet."""
        return bool(self._answered or self._down)

    def take(self) -> list[Change]:
        """Take the changes, to write them."""
        if not self._changes:
            return []
        with self._lock:
            taken, self._changes = list(self._changes.values()), {}
        return taken

    def give_back(self, changes: Iterable[Change]) -> None:
        """Keep changes that could not be written, unless there are newer ones."""
        with self._lock:
            for change in changes:
                self._changes.setdefault(change.app_id, change)

    def know(self, stored: Mapping[str, tuple[datetime, str]]) -> None:
        """Replace what this process knows by what is stored: since when an app is down, and why.

        What this process has seen since then counts, and an answer that it got is a change.
        """
        with self._lock:
            self._down = {app_id: cause for app_id, (_, cause) in stored.items()}
            for app_id, (since, _) in stored.items():
                answered = self._answered.get(app_id, since)
                if answered > since:
                    self._changes.setdefault(app_id, Change(app_id, answered, None))
            for change in self._changes.values():
                self._set(change.app_id, change.cause)
