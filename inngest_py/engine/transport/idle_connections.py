"""Kept connections: how long one may be idle, and for which hosts none is used again.

Servers close idle connections, Node and uvicorn after five seconds. A request that is sent at that
moment is lost, and with it an attempt. A busy app closes late, so it does not help to look at the
socket first (seen with Node under load).
"""

import time
from weakref import WeakKeyDictionary

KEPT_SECONDS = 1.0
# How long a host that sent an unasked answer gets a new connection for each call. Its next stray
# answer may come while a request is on its way, and HTTP could not tell it from that one's answer.
DISTRUST_SECONDS = 60.0


class Kept:
    """What is known about the idle connections to one host."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._distrusted_until = seconds, 0.0
        self._since: WeakKeyDictionary[object, float] = WeakKeyDictionary()

    def begin(self, connection: object) -> None:
        """Note that a connection is idle from now on."""
        self._since[connection] = time.monotonic()

    def is_over(self, connection: object) -> bool:
        """Say whether an idle connection must be closed; one that was never idle is good."""
        since, now = self._since.pop(connection, None), time.monotonic()
        return since is not None and (now - since >= self._seconds or now < self._distrusted_until)

    def distrust(self) -> None:
        """Use no idle connection to the host for a while."""
        self._distrusted_until = time.monotonic() + DISTRUST_SECONDS
