"""Log callers that are refused for their key, but at most once per minute and kind of key."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .. import observe

_QUIET_SECONDS = 60.0


@dataclass(slots=True)
class Refusals:
    """Logs one line per minute and kind of key, with how many more were refused since the last.

    The number is not exact: two threads may count one refusal too few.
    """

    clock: Callable[[], float] = time.monotonic
    _logged_at: dict[str, float] = field(default_factory=dict)
    _unlogged: dict[str, int] = field(default_factory=dict)

    def note(self, key: str, route: str, address: str) -> None:
        """Log or count a refusal; `route` is the rule, as the path may contain an event key."""
        now = self.clock()
        logged_at = self._logged_at.get(key)
        if logged_at is not None and now - logged_at < _QUIET_SECONDS:
            self._unlogged[key] = self._unlogged.get(key, 0) + 1
            return
        self._logged_at[key] = now
        more = self._unlogged.pop(key, 0)
        observe.event("api.key_refused", level=30, key=key, route=route, address=address, more=more)
