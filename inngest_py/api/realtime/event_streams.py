"""A subscription by server-sent events: what waits for it, within a bound."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache

from ... import observe
from ...domain.realtime.messages import Kind, notice
from ...domain.realtime.topics import Topic
from ...engine.runtime.context import Context
from .outgoing import MOST_WAITING

KEEP_ALIVE_SECONDS = 15.0
LONGEST_SECONDS = 15 * 60.0
KEEP_ALIVE = b":\n\n"
_SLOW = "the messages are not read fast enough"


class EventStream:
    """One subscriber; `stream()` is what it is sent."""

    def __init__(self, ctx: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._ctx, self._clock = ctx, clock
        self._lock = threading.Lock()
        # a condition, which gevent does not replace, costs a wake-up of a subscriber 10 µs more
        self._news = threading.Event()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._last: bytes | None = None
        self._is_whole = False
        self._is_between = True  # not in the middle of an event that is passed on

    def stream(self, topics: tuple[Topic, ...]) -> Iterator[bytes]:
        """Write messages as they come, and comments while none come."""
        hub = self._ctx.hub
        hub.subscribe(self, topics)
        try:
            yield KEEP_ALIVE
            end = self._clock() + LONGEST_SECONDS
            while (left := end - self._clock()) > 0 and self._last is None:
                yield self._next(min(left, KEEP_ALIVE_SECONDS))
                if self._is_whole and not self._waiting:
                    return
            yield self._last or b""
        finally:
            hub.leave(self)

    def _next(self, seconds: float) -> bytes:
        woken = self._news.wait(seconds)
        with self._lock:
            self._news.clear()
            if self._last is not None or (self._is_whole and not self._waiting):
                return b""
            if not self._waiting:
                return KEEP_ALIVE if self._is_between and not woken else b""
            found = b"".join(self._waiting)
            self._waiting.clear()
            self._size = 0
            self._is_between = found.endswith(b"\n\n")
            return found

    def deliver(self, payload: str | bytes) -> bool:
        """Keep a message, or passed-on bytes, until the client reads; cut off one too slow."""
        data = payload if isinstance(payload, bytes) else _event(payload)
        with self._lock:
            if self._last is not None:
                return False
            if self._waiting and self._size + len(data) > MOST_WAITING:
                self._ctx.hub.too_slow += 1
                self._close(_SLOW)
                observe.event("realtime.closed", level=30, code=0, reason=_SLOW)
                return False
            self._waiting.append(data)
            self._size += len(data)
            self._news.set()
        return True

    def finish(self) -> None:
        """End the stream when what waits is written."""
        with self._lock:
            self._is_whole = True
            self._news.set()

    def stop(self) -> None:
        """End the stream: the process ends."""
        with self._lock:
            self._close("closing")

    def _close(self, reason: str) -> None:
        self._waiting.clear()
        self._last = _event(notice(Kind.CLOSING, reason, self._ctx.now()))
        self._news.set()


@lru_cache(maxsize=8)
def _event(text: str) -> bytes:
    """Frame a message. All subscribers get the same bytes."""
    return b"data: " + text.encode() + b"\n\n"
