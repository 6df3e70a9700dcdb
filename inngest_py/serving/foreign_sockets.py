"""The socket of a request in another HTTP server, for WebSockets, which we speak ourselves.

gunicorn's workers of class `gevent` and `gevent_pywsgi` give it in the environ, and serve each
connection by a greenlet, which may keep it. Those of other classes would keep a thread, or all.

Written against gunicorn 27.0: an app that has used the socket itself returns ALREADY_HANDLED.
"""

import socket
import ssl
import sys
from collections.abc import Iterable
from contextlib import suppress
from wsgiref.types import WSGIEnvironment

from ..tasks.runtime import under_gevent

_GUNICORN, _PYWSGI = "gunicorn.socket", "gunicorn.sock"
_ASYNC = "gunicorn.workers.base_async"
_UNREAD_MS = 60_000  # as for our own server's connections


class ForeignSocket:
    """The socket of one request; `marker` is the module of what its server takes for an answer."""

    def __init__(self, sock: socket.socket, marker: str | None) -> None:
        self._sock, self._marker, self._is_taken = sock, marker, False

    def take(self) -> socket.socket:
        """Take it, for another protocol."""
        self._is_taken = True
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
        return self._sock

    def after(self, answer: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the app returns to the server: no answer, if the socket was taken."""
        if not self._is_taken:
            return answer
        with suppress(OSError):  # the server looks for a next request
            self._sock.shutdown(socket.SHUT_RDWR)
        if self._marker is None:
            return answer
        handled: Iterable[bytes] = getattr(sys.modules[self._marker], "ALREADY_HANDLED", answer)
        return handled


def socket_of(environ: WSGIEnvironment) -> ForeignSocket | None:
    """Find the socket of a request; None if the server has none for us, or one with TLS."""
    given = environ.get(_GUNICORN) or environ.get(_PYWSGI)
    if given is None or isinstance(given, ssl.SSLSocket) or not under_gevent():
        return None
    return ForeignSocket(given, _ASYNC if _GUNICORN in environ else None)
