"""Kept connections: how long one may lie idle, and which hosts get none kept.

Servers close idle connections, Node and uvicorn after five seconds. A request that is sent in
that very moment is lost, and with it an attempt; a busy app closes late, so looking at the socket
first does not help (seen with Node under load).
"""

import time
from typing import Any
from weakref import WeakKeyDictionary

KEPT_SECONDS = 1.0
# How long a host that sent what nobody asked for gets a new connection for each call. Its next
# stray answer may come while a request is on its way, and is that request's for all HTTP can tell.
DISTRUST_SECONDS = 60.0


class Kept:
    """What is known of the idle connections to one host."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._distrusted_until = seconds, 0.0
        self._since: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def begin(self, connection: Any) -> None:
        """Note that a connection lies idle from now on."""
        self._since[connection] = time.monotonic()

    def is_over(self, connection: Any) -> bool:
        """Say whether an idle connection must not be used any more; a new one may."""
        since, now = self._since.pop(connection, None), time.monotonic()
        return since is not None and (now - since >= self._seconds or now < self._distrusted_until)

    def distrust(self) -> None:
        """Use no idle connection to the host for a while."""
        self._distrusted_until = time.monotonic() + DISTRUST_SECONDS
