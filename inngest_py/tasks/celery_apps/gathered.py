"""Messages of a consumer of kombu, gathered to be read together."""

from kombu.connection import Connection
from kombu.message import Message

_NEXT_SECONDS = 0.001  # how long to wait for a message after the first


class Gathered:
    """Keeps the messages that a consumer gets over a connection; used by one thread."""

    def __init__(self, connection: Connection, most: int) -> None:
        self._connection, self._most = connection, most
        self._got: list[Message] = []

    def keep(self, message: Message) -> None:
        """Keep a message, as it is, for take()."""
        self._got.append(message)

    def take(self, seconds: float) -> list[Message]:
        """Wait so long for a message; take those that are there, in order, up to the most.

        Raises what the transport raises.
        """
        try:
            while len(self._got) < self._most:
                self._connection.drain_events(timeout=seconds)
                seconds = _NEXT_SECONDS
        except TimeoutError:
            pass
        self._connection.heartbeat_check()
        got, self._got = self._got, []
        return got
