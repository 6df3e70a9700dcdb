"""A broker inside the process: kombu's in-memory transport, whose readers are woken by messages.

kombu's own transport polls once a second. Here a put wakes the reader, so an idle server sleeps
and a busy one never waits.

The embedded server needs this transport, so no setting turns it off. It has a name of its own; what
kombu itself registers stays as it is.

Written against kombu 5.7: all messages come by `_put()` or `_put_fanout()`, and the transport's
`cycle` gives the next one, or raises Empty.
"""

import threading
import time
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, memory

_LONGEST_WAIT = 5.0  # may be long: every put wakes the reader


class Channel(memory.Channel):
    """A channel whose puts wake the readers of the process."""

    arrived = threading.Event()

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        super()._put(queue, message, **kwargs)
        Channel.arrived.set()

    def _put_fanout(
        self, exchange: str, message: Any, routing_key: str | None = None, **kwargs: Any
    ) -> None:
        super()._put_fanout(exchange, message, routing_key, **kwargs)
        Channel.arrived.set()


class Transport(memory.Transport):
    """The transport of `inproc://`."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        """Deliver the next message; raises TimeoutError when none comes in time."""
        cycle: Any = self.cycle
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            Channel.arrived.clear()
            try:
                cycle.get(self._deliver, timeout=timeout)
            except Empty:
                left = _LONGEST_WAIT if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError from None
                Channel.arrived.wait(min(left, _LONGEST_WAIT))
            else:
                return


def register() -> None:
    """Make kombu know `inproc://`."""
    TRANSPORT_ALIASES["inproc"] = "inngest_py.tasks.kombu.inproc:Transport"
