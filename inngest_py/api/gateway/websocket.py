"""A WebSocket over a socket that the HTTP server has handed over; websockets speaks the protocol.

Messages are not compressed: most are small, and the memory of a compressor for each of a thousand
idle connections would be most of what they cost.

Written against websockets 15 to 17: the protocol without I/O closes by itself after bad frames.
"""

import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from wsgiref.types import WSGIEnvironment

from websockets.datastructures import Headers
from websockets.exceptions import PayloadTooBig
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from .resting import Resting

_CHUNK = 64 * 1024
_HEAD_BYTES = 256  # what is told of a message over the limit
_MASK_BYTES = 4
_MOST_HEADER_BYTES = 14
_NO_FRAME = "not a WebSocket's frame"
_log = logging.getLogger("inngest_py.websockets")
_log.setLevel(logging.WARNING)  # it tells of each handshake and of each end


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer has closed: properly with a code, or not (None)."""

    code: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A message is over the limit; only how it begins is kept, and nothing after it is read."""

    head: bytes


class Answered:
    """The peer has answered a ping."""


Arrived = bytes | str | Closed | TooLarge | Answered


class WebSocket:
    """The server's side of one WebSocket.

    `write` sends bytes in place of the socket; it raises OSError if the connection is closed.
    Nothing comes after b"", so the connection may be closed for writing then. While `is_idle`, it
    is `resting` that waits for what comes.
    """

    def __init__(
        self,
        sock: socket.socket,
        environ: WSGIEnvironment,
        most_bytes: int,
        write: Callable[[bytes], object] | None = None,
        resting: Resting | None = None,
    ) -> None:
        self._sock, self._environ, self._resting = sock, environ, resting
        self.is_idle = False
        self._write = write or self._send_all
        self._protocol = Protocol(Side.SERVER, max_size=most_bytes, logger=_log)
        self._parts: list[bytes] = []  # of a message in fragments
        self._is_text = self._is_dropping = False
        self._refused: bytearray | None = None  # of a message over the limit: mask and head

    def accept(self, subprotocol: str | None) -> bool:
        """Answer the handshake; False, after an answer that says why, if it is not acceptable.

        The peer must offer the subprotocol; None speaks none.
        """
        spoken = None if subprotocol is None else [Subprotocol(subprotocol)]
        greeter = ServerProtocol(subprotocols=spoken, logger=_log)
        answer = greeter.accept(_request(self._environ))
        if (
            answer.status_code == HTTPStatus.SWITCHING_PROTOCOLS
            and greeter.subprotocol != subprotocol
        ):
            answer = greeter.reject(HTTPStatus.BAD_REQUEST, f"the subprotocol is {subprotocol}\n")
        self._write(answer.serialize())
        return answer.status_code == HTTPStatus.SWITCHING_PROTOCOLS

    def refuse(self, status: int) -> None:
        """Answer the handshake with an error of HTTP. Raises OSError."""
        self._write(ServerProtocol(logger=_log).reject(HTTPStatus(status), "").serialize())

    def receive(self, seconds: float) -> Iterator[Arrived]:
        """Read what comes within a time; nothing if nothing does. Raises OSError."""
        rests = self._resting if self.is_idle and not self.unread else None
        if rests is not None and not rests.wait(self._sock.fileno(), seconds):
            return
        self._sock.settimeout(max(0.001, seconds))
        try:
            data = self._sock.recv(_CHUNK)
        except TimeoutError:
            return
        if not data:
            yield Closed(None)
            return
        if self._is_dropping:
            return
        if self._refused is not None:
            self._refused += data
            yield from self._refuse()
            return
        protocol = self._protocol
        begun = bytes(protocol.reader.buffer) if self.unread < _MOST_HEADER_BYTES else b""
        protocol.receive_data(data)
        frames, failure = protocol.events_received(), protocol.parser_exc
        if protocol.writes and not isinstance(failure, PayloadTooBig):
            self._flush()
        for frame in frames:
            if isinstance(frame, Frame):
                yield from self._arrived(frame)
        if isinstance(failure, PayloadTooBig):
            self._refused = self._beginning(begun + data, failure.size or 0)
            yield from self._refuse()
        elif failure is not None:
            yield Closed(None, _NO_FRAME)

    def _beginning(self, data: bytes, size: int) -> bytearray:
        """Find the mask and the head of a message over the limit in what came last.

        The library keeps nothing of it.
        """
        if self._parts:
            return bytearray(bytes(_MASK_BYTES) + self._parts[0])
        header = bytes([127 + 128]) + size.to_bytes(8, "big")
        return bytearray(data.partition(header)[2])

    def _refuse(self) -> Iterator[Arrived]:
        """Tell of a message over the limit as soon as its head is there."""
        if self._refused is None or len(self._refused) < _MASK_BYTES + _HEAD_BYTES:
            return
        mask, head = self._refused[:_MASK_BYTES], self._refused[_MASK_BYTES:][:_HEAD_BYTES]
        self._refused, self._is_dropping = None, True
        self._parts.clear()
        yield TooLarge(bytes(byte ^ mask[at % _MASK_BYTES] for at, byte in enumerate(head)))

    def wake(self) -> bool:
        """Have what came, and what comes next, read at once; say whether it was not before."""
        return self._resting is not None and self._resting.wake(self._sock.fileno())

    @property
    def unread(self) -> int:
        """How many bytes of an unfinished message are kept."""
        return len(self._protocol.reader.buffer) + sum(map(len, self._parts))

    def drop(self) -> None:
        """Keep nothing of an unfinished message; from now on only the end of the socket is seen."""
        self._is_dropping = True
        self._protocol.reader.buffer.clear()
        self._parts.clear()

    def _arrived(self, frame: Frame) -> Iterator[Arrived]:
        opcode = frame.opcode
        if opcode is Opcode.BINARY and frame.fin:
            yield bytes(frame.data)
        elif opcode is Opcode.PONG:
            yield Answered()
        elif opcode is Opcode.CLOSE:
            closed = self._protocol.close_rcvd or Close(CloseCode.NO_STATUS_RCVD, "")
            yield Closed(int(closed.code), closed.reason)
        elif opcode is not Opcode.PING:
            yield from self._fragment(frame)

    def _fragment(self, frame: Frame) -> Iterator[Arrived]:
        """Take a part of a message, or a whole text."""
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return
        data, self._parts = b"".join(self._parts), []
        if not self._is_text:
            yield data
            return
        try:
            yield data.decode()
        except UnicodeDecodeError:
            self.close(CloseCode.INVALID_DATA, "")
            yield Closed(None, _NO_FRAME)

    def send(self, data: bytes) -> None:
        """Send a binary message. Raises OSError, also if the WebSocket is closed."""
        protocol = self._protocol
        if protocol.state is not State.OPEN:
            raise ConnectionError("the WebSocket is closed")
        protocol.send_binary(data)
        self._flush()

    def ping(self) -> None:
        """Send a ping; the answer comes as Answered. Raises OSError."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            self._flush()

    def close(self, code: int, reason: str) -> None:
        """Begin to close; the peer's answer comes as Closed."""
        protocol = self._protocol
        if protocol.state is State.OPEN:
            protocol.send_close(code, reason)
            self._flush()
        elif isinstance(protocol.parser_exc, PayloadTooBig) and protocol.data_to_send():
            # in place of what the library would say of a message over the limit
            self._write(Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(mask=False))
            self._write(b"")

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            self._write(data)

    def _send_all(self, data: bytes) -> None:
        self._sock.settimeout(None)  # the listener's TCP_USER_TIMEOUT bounds it
        self._sock.sendall(data)


def _request(environ: WSGIEnvironment) -> Request:
    headers = Headers(
        (name[5:].replace("_", "-"), str(value))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    )
    return Request(environ.get("PATH_INFO", "/"), headers)
