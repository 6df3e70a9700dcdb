"""The gateway of one process: it accepts WebSockets, and drains them when the process stops."""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from ...domain.access import tokens
from ...domain.connect.gateway_connection import MOST_MESSAGE_BYTES
from ...engine.runtime.context import Context
from ...hosting import NO_WEB_SOCKETS
from .corked import Corked
from .load import Load
from .resting import Resting
from .session import Session
from .websocket import WebSocket

PATH = "/v0/connect"
SUBPROTOCOL = "v0.connect.inngest.com"
# how a server that can hand over a connection's socket says so: a function in a request's environ
TAKE_SOCKET = "inngest_py.take_socket"
_LOOK_SECONDS = 0.05
# what workers get to answer before they are asked to go; two seconds later the sockets close
_ANSWER_SECONDS = 3.0
# for the last frames of a connection
_WRITE_SECONDS = 2.0


class Gateway:
    """The connections of this process, `most` at once.

    As a WSGI app it serves the WebSocket alone.
    """

    def __init__(self, ctx: Context, most: int) -> None:
        self._ctx, self._most, self._load = ctx, most, Load()
        self._resting = Resting()
        self._secrets = tokens.secrets(ctx.tuning.signing_keys)
        self._lock = threading.Lock()
        self._sessions: set[Session] = set()
        ctx.fairness.capacity = ctx.connections.capacity
        ctx.connections.opened = ctx.fairness.look_again
        ctx.connections.is_full = self._is_full

    def before(self, app: WSGIApplication) -> WSGIApplication:
        """Make an app that serves the WebSocket, too."""

        def both(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if environ.get("PATH_INFO") == PATH and "HTTP_UPGRADE" in environ:
                return self(environ, start_response)
            return app(environ, start_response)

        return both

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a WebSocket until it ends."""
        take: Callable[[], socket.socket] | None = environ.get(TAKE_SOCKET)
        if environ.get("PATH_INFO") != PATH or "HTTP_UPGRADE" not in environ or take is None:
            if (why := environ.get(NO_WEB_SOCKETS)) is not None:
                start_response("501 Not Implemented", [("Content-Type", "text/plain")])
                return [f"{why}\n".encode()]
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"this port serves the WebSocket of connected workers at /v0/connect\n"]
        corked = Corked(sock := take())
        try:
            self._greet(WebSocket(sock, environ, MOST_MESSAGE_BYTES, corked.write, self._resting))
        finally:
            corked.wait(_WRITE_SECONDS)
        return []

    def _greet(self, worker: WebSocket) -> None:
        if self._is_full():
            worker.refuse(429)
        elif worker.accept(SUBPROTOCOL):
            session = Session(self._ctx, worker, self._secrets, self._load)
            if self._ctx.connections.is_draining:
                session.stop()  # by its reason, SDKs try again soon
            self._serve(session)

    def _is_full(self) -> bool:
        return len(self._sessions) >= self._most

    def _serve(self, session: Session) -> None:
        with self._lock:
            self._sessions.add(session)
            self._resting.connections = len(self._sessions)
        try:
            session.run()
        finally:
            with self._lock:
                self._sessions.discard(session)
                self._resting.connections = len(self._sessions)

    def sessions(self) -> list[Session]:
        """List the open connections."""
        with self._lock:
            return list(self._sessions)

    def drain(self) -> None:
        """Ask all workers to go to another gateway, and take no more of them."""
        self._ctx.connections.is_draining = True
        for session in self.sessions():
            session.drain()
        later = threading.Timer(_ANSWER_SECONDS, self._leave)
        later.daemon = True
        later.start()

    def _leave(self) -> None:
        for session in self.sessions():
            session.leave()

    def stop(self, seconds: float) -> None:
        """Close all connections, within a time."""
        self._ctx.connections.is_draining = True
        self._ctx.connections.closed.set()
        deadline = time.monotonic() + seconds
        for session in self.sessions():
            session.stop()
        while self._sessions and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
