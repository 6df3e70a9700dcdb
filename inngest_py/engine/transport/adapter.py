"""urllib3's pools, for requests' adapter, with checks of whether a connection may be used again.

Written against urllib3 2.8, requests 2.34 and `http.client` of Python 3.11 to 3.13. urllib3 makes
its pools by `pool_classes_by_scheme`, its connections by a pool's `_new_conn()`, and hands them out
and back by `_get_conn()` and `_put_conn()`. `http.client` reads the status line in
`_read_status()`, and calls `_close_conn()` at the answer's end.
"""

import io
import socket
import time
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HeaderParsingError, NameResolutionError, NewConnectionError
from urllib3.util.response import assert_header_parsing

from . import reuse
from .idle_connections import Kept
from .sockets import Refusal, allow_all, read_unasked, send, within_reach

_SWITCHING = 101


class _Bounded(io.RawIOBase):
    """The bytes of an answer, up to a deadline; a time-out alone would only bound each wait."""

    def __init__(self, sock: Any, raw: io.RawIOBase) -> None:
        self._sock, self._raw = sock, raw
        self._deadline = time.monotonic() + sock.gettimeout()
        self._at_once = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not self._at_once:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def wait_no_more(self) -> None:
        """From now on, give only bytes that have come already."""
        self._at_once = True
        self._sock.settimeout(0.0)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(HTTPResponse):
    """A final answer: it skips interim ones, and checks what follows its end."""

    fields: dict[str, str]
    more = b""
    was_read = False
    _method: str  # set by http.client

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._bytes = _Bounded(sock, self.fp.detach())
        self.fp = io.BufferedReader(self._bytes)

    def _read_status(self) -> tuple[str, int, str]:
        left = reuse.MOST_HEAD_BYTES
        for _ in range(reuse.MOST_INTERIM_ANSWERS):
            found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            if found[1] >= 200:
                return found
            if found[1] == _SWITCHING:
                raise HTTPException("a protocol that was not asked for")
            left -= self._pass_head(left)
        raise HTTPException("too many interim answers")

    def _pass_head(self, most: int) -> int:
        size = 0
        while (line := self.fp.readline(most + 1)) not in (b"\r\n", b"\n", b""):
            size += len(line)
            if size > most:
                raise HTTPException("interim answers are too long")
        return size

    def begin(self, **options: Any) -> None:
        """Read the head. Raises HTTPException if it does not say where the body ends."""
        super().begin(**options)
        if self.headers.defects:
            _check(self.headers)
        self.fields = reuse.joined(self.headers.items())
        if (fault := reuse.fault(self.fields)) is not None:
            raise HTTPException(fault)
        if self.status in reuse.NO_BODY:
            del self.headers["transfer-encoding"]  # urllib3 would wait for chunks
            self.chunked = False
        elif reuse.is_plain(self.version == 10, self.fields):
            del self.headers["transfer-encoding"], self.headers["content-length"]
            self.chunked, self.length, self.will_close = False, None, True

    def _close_conn(self) -> None:
        """Look at bytes after the answer's end, before this answer's buffer is lost."""
        if not self.will_close:
            try:
                self._bytes.wait_no_more()
                self.more = self.fp.peek(1)
            except OSError:  # TLS has nothing yet, or an error that the next use will find
                pass
        super()._close_conn()  # type: ignore[misc]
        self.was_read = True


def _check(headers: HTTPMessage) -> None:
    try:
        assert_header_parsing(headers)
    except HeaderParsingError as error:
        raise HTTPException("a malformed header") from error


class _Checked(HTTPConnection):
    """What both classes of connections share: addresses, sending, and the answer's end.

    Methods without a docstring override those of urllib3 and of http.client.
    """

    refusal: Refusal = staticmethod(allow_all)
    stray = False
    _answer: _Answer | None = None
    _sent = False
    _parts: list[bytes]

    def _new_conn(self) -> socket.socket:
        """Connect to the first address in reach that answers, without another look-up."""
        name, failed = self._dns_host, None
        try:
            infos = socket.getaddrinfo(name, self.port, 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from error
        for info in within_reach(infos, self.host, self.refusal):
            self._dns_host = str(info[4][0])
            try:
                made: socket.socket = super()._new_conn()
                return made
            except (OSError, urllib3.exceptions.HTTPError) as error:
                failed = failed or error
            finally:
                self._dns_host = name
        raise failed or NewConnectionError(self, "no address")

    def connect(self) -> None:
        super().connect()
        if read_unasked(self.sock):
            self.close()
            raise HTTPException("an answer before the request")
        self.sock.settimeout(self.timeout)

    def response_class(self, *args: Any, **options: Any) -> _Answer:  # type: ignore[override]
        """Make an answer; http.client calls this."""
        self._answer = _Answer(*args, **options)
        return self._answer

    def request(self, *args: Any, **options: Any) -> None:
        self._sent, self._answer, self._parts = False, None, []
        super().request(*args, **options)
        if self.sock is None:
            self.connect()
        send(self.sock, b"".join(self._parts))
        self._sent, self._parts = True, []

    def send(self, data: bytes) -> None:  # type: ignore[override]
        """Collect a part of the request, to send all in one piece; http.client calls this."""
        self._parts.append(data)

    @property
    def fields(self) -> dict[str, str]:
        """The headers of the last answer, by lower-case name."""
        return {} if self._answer is None else self._answer.fields

    @property
    def is_connected(self) -> bool:
        """Say whether an idle connection is open and quiet; urllib3 asks before each use."""
        found = b"" if self.sock is None else read_unasked(self.sock)
        self.stray = self.stray or bool(found)
        return found is None

    def close_if_done(self) -> None:
        """Close the connection, unless another request may follow."""
        answer = self._answer
        self.stray = self.stray or (answer is not None and bool(answer.more))
        if self.sock is not None and (answer is None or not self._may_follow(answer)):
            self.close()

    def _may_follow(self, answer: _Answer) -> bool:
        return answer.was_read and reuse.may_follow(
            answer._method,
            answer.status,
            answer.fields,
            old=answer.version == 10,
            sent=self._sent,
            more=bool(answer.more),
        )


class _Tls(_Checked, HTTPSConnection):
    pass


def pool_classes(seconds: float, refusal: Refusal) -> dict[str, Any]:
    """Make the classes of urllib3's pools, by scheme.

    Connections that were idle for so many seconds are replaced; `refusal` says why an address must
    not be called.
    """

    class Keeping:
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._kept = Kept(seconds)

        def _new_conn(self) -> Any:
            made = super()._new_conn()  # type: ignore[misc]
            made.refusal = refusal
            return made

        def _put_conn(self, conn: Any) -> None:
            if conn is not None:
                conn.close_if_done()
                self._note(conn)
                self._kept.begin(conn)
            super()._put_conn(conn)  # type: ignore[misc]

        def _get_conn(self, timeout: float | None = None) -> Any:
            conn = super()._get_conn(timeout)  # type: ignore[misc]
            self._note(conn)
            if self._kept.is_over(conn):
                conn.close()  # the request opens it again
            return conn

        def _note(self, conn: Any) -> None:
            if conn.stray:
                conn.stray = False
                self._kept.distrust()

    plain = type("Pool", (Keeping, urllib3.HTTPConnectionPool), {"ConnectionCls": _Checked})
    tls = type("TlsPool", (Keeping, urllib3.HTTPSConnectionPool), {"ConnectionCls": _Tls})
    return {"http": plain, "https": tls}
