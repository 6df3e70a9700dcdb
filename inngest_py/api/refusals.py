"""Callers that are refused for their key: told to the log, and not so often that they fill it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .. import observe

_QUIET_SECONDS = 60.0


@dataclass(slots=True)
class Refusals:
    """One line a minute for each kind of key, with how many were refused since the line before.

    Threads may count one too few among them: it is no figure to build on.
    """

    clock: Callable[[], float] = time.monotonic
    _told_at: dict[str, float] = field(default_factory=dict)
    _untold: dict[str, int] = field(default_factory=dict)

    def note(self, key: str, route: str, address: str) -> None:
        """Note a refusal. The route is the rule, not the path, in which an event key may stand."""
        now = self.clock()
        told_at = self._told_at.get(key)
        if told_at is not None and now - told_at < _QUIET_SECONDS:
            self._untold[key] = self._untold.get(key, 0) + 1
            return
        self._told_at[key] = now
        more = self._untold.pop(key, 0)
        observe.event("api.key_refused", level=30, key=key, route=route, address=address, more=more)
