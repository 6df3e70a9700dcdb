"""What the HTTP clients do with sockets: of threads or greenlets, with TLS or without."""

import select
import ssl
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from ... import observe
from ...storage.db.outages import logged

# one result of `getaddrinfo`
Info = TypeVar("Info", bound=tuple[object, object, object, object, tuple[object, ...]])
Refusal = Callable[[str, str], str | None]
_STALL_SECONDS = 1.0


class Socket(Protocol):
    """A socket of the standard library, with TLS or without, or of gevent."""

    def fileno(self) -> int:
        """Give the file descriptor."""

    def gettimeout(self) -> float | None:
        """Give the time-out in seconds."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Set the time-out in seconds."""

    def recv(self, most: int, /) -> bytes:
        """Receive bytes."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Send bytes; return how many were sent."""


class Refused(Exception):
    """The host's addresses are out of reach; the message says why."""


def unforeseen(error: Exception) -> str:
    """Describe an error without words of our own: by the system's, or by name and a log line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    observe.event("call.failed", level=40, **logged(error))
    return type(error).__name__


def allow_all(host: str, address: str) -> str | None:
    """Allow every address."""
    return None


def within_reach(infos: list[Info], host: str, refusal: Refusal) -> list[Info]:
    """Return the results of `getaddrinfo` that may be called. Raises Refused if none may."""
    allowed, reason = [], None
    for info in infos:
        said = refusal(host, str(info[4][0]))
        reason = reason or said
        if said is None:
            allowed.append(info)
    if not allowed and reason is not None:
        raise Refused(reason)
    return allowed


def read_unasked(sock: Socket) -> bytes | None:
    """Read a byte that came without a request; b"" at the connection's end, None if none came.

    With TLS a socket may be readable without data for us, such as with a session's ticket. The
    socket's time-out is 0 afterwards.
    """
    try:
        if sock.gettimeout() != 0.0:
            sock.settimeout(0.0)
        return sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return None
    except OSError:
        return b""


def send(sock: Socket, data: bytes) -> None:
    """Send all of the data; wait for each piece up to the socket's own time-out.

    Raises BrokenPipeError if the other side stops reading and has sent something: it may have
    answered already without reading the rest.
    """
    left = memoryview(data)[sock.send(data) :]  # nearly always all of it
    if left:
        timeout = sock.gettimeout()
        assert timeout is not None, "every call has a time-out"
        sock.settimeout(min(timeout, _STALL_SECONDS))
        _send_on(sock, left, timeout)
        sock.settimeout(timeout)


def _send_on(sock: Socket, left: memoryview, timeout: float) -> None:
    over = time.monotonic() + timeout
    while left:
        try:
            left = left[sock.send(left) :]
            over = time.monotonic() + timeout
        except TimeoutError:
            if _is_readable(sock):
                raise BrokenPipeError from None
            if time.monotonic() >= over:
                raise


def _is_readable(sock: Socket) -> bool:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
