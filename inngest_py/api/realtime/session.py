"""A subscription by WebSocket: its socket, its keep-alive, and what its client asks for."""

import socket
import time
from functools import lru_cache
from wsgiref.types import WSGIEnvironment

import orjson
from websockets.frames import Close, CloseCode, Frame, Opcode

from ... import observe
from ...domain.errors import Invalid
from ...domain.realtime import topics
from ...domain.realtime.messages import Kind, notice
from ...domain.realtime.topics import Topic
from ...domain.values.json_types import JsonObject
from ...engine.runtime.context import Context
from ...storage.db.outages import logged
from ..gateway.websocket import Answered, Arrived, Closed, TooLarge, WebSocket
from .outgoing import Outgoing

PING_SECONDS = 15.0
MOST_FAILURES = 3
MOST_TOPICS = 1000
_MOST_MESSAGE_BYTES = 64 * 1024  # a token, or a list of topics
_LINGER_SECONDS = 2.0
_SLOW = "the messages are not read fast enough"


@lru_cache(maxsize=8)
def _frame(text: str) -> bytes:
    """Make a text frame. All subscribers of a message get the same bytes."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def _close_frame(code: int, reason: str) -> bytes:
    return Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(mask=False)


class Session:
    """One subscriber, from the handshake to its end; `run()` is the greenlet that reads."""

    def __init__(
        self,
        ctx: Context,
        sock: socket.socket,
        environ: WSGIEnvironment,
        secrets: tuple[bytes, ...],
    ) -> None:
        self._ctx, self._secrets = ctx, secrets
        self._out = Outgoing(sock)
        sock.settimeout(PING_SECONDS)
        self._socket = WebSocket(sock, environ, _MOST_MESSAGE_BYTES, self._write)
        self._is_closing = self._is_over = False
        self._unanswered = 0
        self._early: list[str] | None = []  # until the handshake is done

    def run(self, subscribed: tuple[Topic, ...]) -> None:
        """Serve the connection until it is closed."""
        try:
            self._ctx.hub.subscribe(self, subscribed)
            if not self._socket.accept(None):
                return
            self._open()
            ping_at = time.monotonic() + PING_SECONDS
            while not self._is_over:
                self._read(ping_at - time.monotonic())
                if time.monotonic() >= ping_at and not self._is_closing:
                    self._ping()
                    ping_at = time.monotonic() + PING_SECONDS
        except OSError:
            pass  # closed
        except Exception as error:
            observe.event("realtime.failed", level=40, **logged(error))
            self.close(CloseCode.INTERNAL_ERROR, "internal error")
        finally:
            self._ctx.hub.leave(self)

    def _open(self) -> None:
        """Send what came between the subscription and the handshake's end."""
        early, self._early = self._early or (), None
        for payload in early:
            self.deliver(payload)

    def _read(self, seconds: float) -> None:
        for arrived in self._socket.receive(_LINGER_SECONDS if self._is_closing else seconds):
            self._take(arrived)

    def _take(self, arrived: Arrived) -> None:
        if isinstance(arrived, Closed):
            self._is_over = True
        elif isinstance(arrived, Answered):
            self._unanswered = 0
        elif isinstance(arrived, TooLarge):
            self.close(CloseCode.MESSAGE_TOO_BIG, "the message is too large")
        elif isinstance(arrived, str):
            self._heed(arrived)

    def _ping(self) -> None:
        if self._unanswered >= MOST_FAILURES:
            self.close(CloseCode.INTERNAL_ERROR, "no answer to pings")
            return
        self._unanswered += 1
        self._socket.ping()

    def _heed(self, text: str) -> None:
        """Do what the client asks for. Messages of unknown kinds are ignored, as clients do."""
        try:
            asked = orjson.loads(text)
        except orjson.JSONDecodeError:
            return
        kind = asked.get("kind") if isinstance(asked, dict) else None
        if kind == Kind.SUB:
            self._subscribe(asked)
        elif kind == Kind.UNSUB:
            self._unsubscribe(asked)

    def _subscribe(self, asked: JsonObject) -> None:
        token = asked.get("data")
        try:
            if not isinstance(token, str):
                raise Invalid("data must be a token", field="data")
            more = topics.subscribed_to(token, self._secrets, self._ctx.real_now().timestamp())
            hub = self._ctx.hub
            if len({*hub.topics_of(self), *more}) > MOST_TOPICS:
                raise Invalid(f"a connection has {MOST_TOPICS} topics at most: open another")
            hub.subscribe(self, more)
        except Invalid as error:
            self._tell(Kind.SUB, {"error": error.message})
            return
        self._tell(Kind.SUB, self._subscribed())

    def _unsubscribe(self, asked: JsonObject) -> None:
        try:
            self._ctx.hub.unsubscribe(self, topics.parse(asked.get("data"), "data"))
        except Invalid as error:
            self._tell(Kind.UNSUB, {"error": error.message})
            return
        self._tell(Kind.UNSUB, self._subscribed())

    def _subscribed(self) -> JsonObject:
        """Say which topics the connection has now."""
        return {"topics": [topic.to_json() for topic in self._ctx.hub.topics_of(self)]}

    def _tell(self, kind: Kind, data: object) -> None:
        self.deliver(notice(kind, data, self._ctx.now()))

    def deliver(self, payload: str | bytes) -> bool:
        """Send a message; a client that reads too slowly is cut off. Passed-on bytes are not sent:
        only those who follow a run's stream by SSE can make something of them.
        """
        if isinstance(payload, bytes):
            return True
        if self._early is not None:
            self._early.append(payload)
            return True
        try:
            self._write(_frame(payload))
        except OSError:
            return False
        return True

    def _write(self, data: bytes) -> None:
        if not self._out.write(data):
            self._ctx.hub.too_slow += 1
            self.close(CloseCode.TRY_AGAIN_LATER, _SLOW)
            raise ConnectionError(_SLOW)

    def close(self, code: int, reason: str) -> None:
        """Say `closing`, then close."""
        if self._is_closing:
            return
        self._is_closing = True
        level = 10 if code == CloseCode.GOING_AWAY else 30
        observe.event("realtime.closed", level=level, code=int(code), reason=reason)
        last = _frame(notice(Kind.CLOSING, reason, self._ctx.now())) + _close_frame(code, reason)
        self._out.end(last)

    def stop(self) -> None:
        """Close: the process ends, and the client is to connect again."""
        self.close(CloseCode.GOING_AWAY, "closing")
