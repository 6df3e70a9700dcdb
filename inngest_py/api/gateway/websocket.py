"""A WebSocket over a socket that the HTTP server has handed over; wsproto speaks the protocol.

Messages are not compressed: most are small, and the memory of a compressor for each of a thousand
idle connections would be most of what they cost.
"""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from wsgiref.types import WSGIEnvironment

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer has closed: properly with a code, or not (None)."""

    code: int | None
    reason: str = ""


class TooLarge:
    """A message is over the limit; nothing of it is kept."""


class Answered:
    """The peer has answered a ping."""


Arrived = bytes | str | Closed | TooLarge | Answered


class WebSocket:
    """The server's side of one WebSocket.

    `write` sends bytes in place of the socket; it raises OSError if the connection is closed.
    """

    def __init__(
        self,
        sock: socket.socket,
        environ: WSGIEnvironment,
        most_bytes: int,
        write: Callable[[bytes], object] | None = None,
    ) -> None:
        self._sock, self._most = sock, most_bytes
        self._write = write or self._send_all
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._environ = environ
        self._parts: list[bytes | str] = []
        self._size = 0
        self._is_open = False

    def accept(self, subprotocol: str | None) -> bool:
        """Answer the handshake; False, after an answer that says why, if it is not acceptable.

        The peer must offer the subprotocol; None speaks none.
        """
        environ = self._environ
        try:
            target = environ.get("PATH_INFO", "/")
            self._protocol.initiate_upgrade_connection(_headers(environ), target)
            asked = next((e for e in self._protocol.events() if isinstance(e, Request)), None)
        except RemoteProtocolError as error:
            hint = error.event_hint
            self._reject(hint if isinstance(hint, RejectConnection) else RejectConnection())
            return False
        if asked is None or subprotocol not in (None, *asked.subprotocols):
            self._reject(RejectConnection(status_code=400))
            return False
        self._send(AcceptConnection(subprotocol=subprotocol))
        self._is_open = True
        return True

    def receive(self, seconds: float) -> Iterator[Arrived]:
        """Read what comes within a time; nothing if nothing does. Raises OSError.

        Messages are parsed one by one as they are asked for.
        """
        self._sock.settimeout(max(0.001, seconds))
        try:
            data = self._sock.recv(_CHUNK)
        except TimeoutError:
            return
        if not data:
            yield Closed(None)
            return
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                yield from self._arrived(event)
        except RemoteProtocolError as error:
            if error.event_hint is not None:
                self._send(error.event_hint)
            yield Closed(None, "not a WebSocket's frame")

    @property
    def unread(self) -> int:
        """How many bytes of an unfinished message are kept."""
        return self._size

    def _arrived(self, event: Event) -> Iterator[Arrived]:
        if isinstance(event, BytesMessage | TextMessage):
            yield from self._message(event)
        elif isinstance(event, Ping):
            self._send(event.response())
        elif isinstance(event, Pong):
            yield Answered()
        elif isinstance(event, CloseConnection):
            if self._is_open:
                self._send(event.response())
            self._is_open = False
            yield Closed(event.code, event.reason or "")

    def _message(self, event: BytesMessage | TextMessage) -> Iterator[Arrived]:
        data = bytes(event.data) if isinstance(event, BytesMessage) else event.data
        self._size += len(data)
        if self._size > self._most:
            self._parts.clear()
            yield TooLarge()
            return
        self._parts.append(data)
        if event.message_finished:
            parts, self._parts, self._size = self._parts, [], 0
            yield parts[0] if len(parts) == 1 else _joined(parts)

    def send(self, data: bytes) -> None:
        """Send a binary message. Raises OSError, also if the WebSocket is closed."""
        self._send(BytesMessage(data=data))

    def ping(self) -> None:
        """Send a ping; the answer comes as Answered. Raises OSError."""
        self._send(Ping())

    def close(self, code: int, reason: str) -> None:
        """Begin to close; the peer's answer comes as Closed."""
        if self._is_open:
            self._is_open = False
            self._send(CloseConnection(code=code, reason=reason))

    def refuse(self, status: int) -> None:
        """Answer the handshake with an error of HTTP. Raises OSError."""
        self._protocol.initiate_upgrade_connection(_headers(self._environ), "/")
        for _ in self._protocol.events():
            pass
        self._reject(RejectConnection(status_code=status))

    def _reject(self, how: RejectConnection) -> None:
        self._send(how)

    def _send(self, event: Event) -> None:
        try:
            data = self._protocol.send(event)
        except LocalProtocolError as error:
            raise ConnectionError("the WebSocket is closed") from error
        self._write(data)

    def _send_all(self, data: bytes) -> None:
        self._sock.settimeout(None)  # the listener's TCP_USER_TIMEOUT bounds it
        self._sock.sendall(data)


def _joined(parts: list[bytes | str]) -> bytes | str:
    if isinstance(parts[0], str):
        return "".join(part for part in parts if isinstance(part, str))
    return b"".join(part for part in parts if isinstance(part, bytes))


def _headers(environ: WSGIEnvironment) -> list[tuple[bytes, bytes]]:
    return [
        (name[5:].replace("_", "-").encode("latin-1"), str(value).encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
