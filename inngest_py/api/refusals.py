"""Log callers that are refused for their key, but at most once per minute and kind of key."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import current_app, request

from .. import observe, proxies
from .deps import deps

_QUIET_SECONDS = 60.0
EXTENSION = "inngest_py.refusals"


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


def note_refusal(key: str) -> None:
    """Log that a key was refused; `key` is its kind."""
    rule = request.url_rule.rule if request.url_rule is not None else ""
    refusals: Refusals = current_app.extensions.setdefault(EXTENSION, Refusals())
    refusals.note(key, rule, proxies.client_address(deps().settings, request))
