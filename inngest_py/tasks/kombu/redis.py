"""kombu's transport for Redis, with one client per channel instead of one per message.

A client only wraps the channel's pool of connections, but making one fills a table of 170 entries:
a fifth of the CPU of a hint.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis


class Channel(redis.Channel):
    """A channel that keeps its client for everything except waiting for messages."""

    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()
        return self._kept


class Transport(redis.Transport):
    """The transport of `redis://` and `rediss://`."""

    Channel = Channel


def register() -> None:
    """Make kombu use this transport."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = "inngest_py.tasks.kombu.redis:Transport"
