"""A raw HTTP server that misbehaves on request, in every way the wire allows.

A request says in `X-Kind` how it wants to be answered and in `X-Question` what it asks; a good
answer repeats the question. After an answer the server goes on with the same connection, where
the kind does not close it, as if nothing had happened: whoever reuses the connection wrongly is
given somebody else's answer.
"""

import gzip
import socket
import socketserver
import struct
import threading
import time
import zlib
from collections.abc import Callable

from tests.processes import LOOPBACK

STRAY = b"this is nobody's answer"


class Closed(Exception):
    """The kind ends the connection."""


class Talk:
    """One request and the means to answer it."""

    def __init__(self, sock: socket.socket, question: bytes) -> None:
        self._sock, self.question = sock, question

    def say(self, *parts: bytes, pause: float = 0.0) -> None:
        """Send the parts, each in a segment of its own."""
        for part in parts:
            self._sock.sendall(part)
            if pause:
                time.sleep(pause)

    def end(self, *, reset: bool = False) -> None:
        """Close the connection after this, or reset it."""
        if reset:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Closed


def head(status: int, *lines: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"HTTP/{version} {status} X", *lines, "", ""]).encode()


def whole(body: bytes, *lines: str, status: int = 200) -> bytes:
    return head(status, f"Content-Length: {len(body)}", *lines) + body


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def _interim(*statuses: int) -> Callable[[Talk], None]:
    def answer(talk: Talk) -> None:
        for status in statuses:
            talk.say(head(status, "Link: </a.css>"), pause=0.002)
        talk.say(whole(talk.question))

    return answer


def _interim_at_once(talk: Talk) -> None:
    talk.say(head(103) + head(100) + whole(talk.question))


def _two_answers(talk: Talk) -> None:
    talk.say(whole(talk.question) + whole(STRAY))


def _half_an_answer_more(talk: Talk) -> None:
    more = whole(STRAY)
    talk.say(whole(talk.question) + more[:9], more[9:], pause=0.01)


def _bytes_after_chunks(talk: Talk) -> None:
    talk.say(head(200, "Transfer-Encoding: chunked") + chunks(talk.question) + b"more")


def _length_and_chunks(talk: Talk) -> None:
    both = ("Content-Length: 3", "Transfer-Encoding: chunked")
    talk.say(head(200, *both) + chunks(talk.question))


def _no_content_with_one(talk: Talk) -> None:
    talk.say(head(204, f"Content-Length: {len(STRAY)}"), STRAY, pause=0.005)


def _no_content_with_chunks(talk: Talk) -> None:
    talk.say(head(304, "Transfer-Encoding: chunked"), chunks(STRAY), pause=0.005)


def _drip(talk: Talk) -> None:
    for byte in whole(talk.question):
        talk.say(bytes([byte]))


def _old(talk: Talk) -> None:
    talk.say(head(200, "Transfer-Encoding: chunked", version="1.0") + talk.question)
    talk.end()


def _old_and_kept(talk: Talk) -> None:
    size = f"Content-Length: {len(talk.question)}"
    talk.say(head(200, size, "Connection: keep-alive", version="1.0") + talk.question)


def _until_close(talk: Talk) -> None:
    talk.say(head(200), talk.question)
    talk.end()


def _line_feeds(talk: Talk) -> None:
    talk.say(b"HTTP/1.1 200 X\nContent-Length: %d\n\n%b" % (len(talk.question), talk.question))


def _encoded(name: str, encode: Callable[[bytes], bytes]) -> Callable[[Talk], None]:
    line = f"Content-Encoding: {name}"
    return lambda talk: talk.say(whole(encode(talk.question), line))


def _members(body: bytes) -> bytes:
    return gzip.compress(body[:4]) + gzip.compress(body[4:]) + b"\0" * 7


def _raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def _wrong_checksum(body: bytes) -> bytes:
    packed = bytearray(gzip.compress(body))
    packed[-8] ^= 0xFF
    return bytes(packed)


def _broken_member(body: bytes) -> bytes:
    return gzip.compress(body) + b"and no gzip after it"


def _closing(*parts: bytes, reset: bool = False) -> Callable[[Talk], None]:
    def answer(talk: Talk) -> None:
        talk.say(*parts)
        talk.end(reset=reset)

    return answer


def _going_on(*parts: bytes) -> Callable[[Talk], None]:
    return lambda talk: talk.say(*parts)


def _late(talk: Talk) -> None:
    time.sleep(0.6)  # the caller is gone by now
    talk.say(whole(talk.question))


_CHUNKED = "Transfer-Encoding: chunked"
# answers that are the question
OWN: dict[str, Callable[[Talk], None]] = {
    "plain": lambda talk: talk.say(whole(talk.question)),
    "chunked": lambda talk: talk.say(
        head(200, _CHUNKED) + chunks(talk.question[:2], talk.question[2:])
    ),
    "early hints": _interim(103),
    "processing": _interim(102, 102, 103),
    "unasked continue": _interim(100),
    "interim at once": _interim_at_once,
    "two answers": _two_answers,
    "half an answer more": _half_an_answer_more,
    "bytes after the answer": lambda talk: talk.say(whole(talk.question) + b"\r\n\r\nmore"),
    "bytes after chunks": _bytes_after_chunks,
    "drip": _drip,
    "old": _old,
    "old and kept": _old_and_kept,
    "until close": _until_close,
    "gzip": _encoded("gzip", gzip.compress),
    "gzip of two members": _encoded("GZIP", _members),
    "x-gzip": _encoded("x-gzip", gzip.compress),
    "deflate": _encoded("deflate", zlib.compress),
    "gzip twice": _encoded("gzip, gzip", lambda body: gzip.compress(gzip.compress(body))),
    "identity": _encoded("identity", bytes),
    "said to close": lambda talk: talk.say(whole(talk.question, "Connection: close")),
}
# answers that are the question, or fail: by a strict parser, or by a time-out that is not exact
EITHER: dict[str, Callable[[Talk], None]] = {
    "length and chunks": _length_and_chunks,
    "line feeds": _line_feeds,
    "a late answer": _late,
}
# answers that have no body, and more on the wire
EMPTY: dict[str, Callable[[Talk], None]] = {
    "204 with a body": _no_content_with_one,
    "204 with a body at once": _going_on(head(204) + STRAY),
    "304 with chunks": _no_content_with_chunks,
}
# no answer at all
BROKEN: dict[str, Callable[[Talk], None]] = {
    "nothing": _closing(),
    "a reset": _closing(reset=True),
    "an interim answer only": _closing(head(103)),
    "endless interim answers": _closing(head(103) * 5000 + whole(STRAY)),
    "long interim answers": _closing(head(103, *["X: " + "y" * 900] * 20) * 20 + whole(STRAY)),
    "half a head": _closing(b"HTTP/1.1 200 OK\r\nContent-"),
    "half a body": _closing(head(200, "Content-Length: 90") + STRAY),
    "a reset in the body": _closing(head(200, "Content-Length: 90") + STRAY, reset=True),
    "half a chunk": _closing(head(200, _CHUNKED) + b"1f\r\nabc"),
    "no last chunk": _closing(head(200, _CHUNKED) + b"3\r\nabc\r\n"),
    "no chunk's size": _going_on(head(200, _CHUNKED) + b"size\r\n" + whole(STRAY)),
    "a chunk over its size": _going_on(head(200, _CHUNKED) + b"1\r\nabc\r\n0\r\n\r\n"),
    "two lengths": _going_on(head(200, "Content-Length: 3", "Content-Length: 5") + STRAY),
    "no number of a length": _going_on(head(200, "Content-Length: +3") + STRAY),
    "another coding": _going_on(head(200, "Transfer-Encoding: gzip, chunked") + chunks(STRAY)),
    "another protocol": _going_on(head(101, "Upgrade: x") + whole(STRAY)),
    "not http": _going_on(b"SSH-2.0-OpenSSH\r\n"),
    "a space before the colon": _going_on(head(200, "Content-Length : 3") + b"abc"),
    "endless headers": _closing(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000),
    "not gzip": _encoded("gzip", bytes),
    "a wrong checksum": _encoded("gzip", _wrong_checksum),
    "raw deflate": _encoded("deflate", _raw_deflate),
    "raw deflate as gzip": _encoded("gzip", _raw_deflate),
    "gzip cut off": _encoded("gzip", lambda body: gzip.compress(body * 99)[:-9]),
    "half of two members": _encoded("gzip", lambda body: _members(body)[:-20]),
    "a second member that is none": _encoded("gzip", _broken_member),
    "br": _encoded("br", bytes),
    "zstd": _encoded("zstd", bytes),
}
KINDS = OWN | EITHER | EMPTY | BROKEN


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while line := self.rfile.readline():
            assert line.startswith(b"POST ")
            found = {}
            while header := self.rfile.readline().strip():
                name, _, value = header.decode().partition(": ")
                found[name.lower()] = value
            self.rfile.read(int(found["content-length"]))
            try:
                KINDS[found["x-kind"]](Talk(self.connection, found["x-question"].encode()))
            except (Closed, ConnectionError):
                return


class Misbehaving(socketserver.ThreadingTCPServer):
    """The server; use it as a context."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: callers go away."""

    def __exit__(self, *about: object) -> None:
        self.shutdown()
        super().__exit__(*about)
