"""How large the body of a request may be: the bytes that are read count, not the announced length.

The limit of a route is MOST unless LIMITS has another. So every new route has a limit.

Written against Werkzeug 3.1: whatever reads a body reads the request's `stream`.
"""

from collections.abc import Callable
from functools import cached_property
from typing import IO, cast

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestTimeout
from werkzeug.wsgi import get_input_stream

from ..domain.errors import TooLarge
from ..domain.limits import MAX_EVENT_BYTES, MAX_RESPONSE_BYTES

_MIB = 1024 * 1024
MOST = 16 * _MIB
_EVENTS = 64 * _MIB
_EVENT = MAX_EVENT_BYTES + _MIB  # one event; if it is a little too large, the error has its size
_FORM = 64 * 1024
LIMITS = {
    "/e/<path:key>": _EVENTS,
    "/api/v1/events": _EVENTS,
    "/invoke/<path:slug>": _EVENT,
    "/v2/events": _EVENT,
    "/api/v2/events": _EVENT,
    "/v2/apps/<app_id>/functions/<function_id>/invoke": _EVENT,
    "/api/v2/apps/<app_id>/functions/<function_id>/invoke": _EVENT,
    "/v0/gql": 4 * _MIB,
    # the same steps could be in one answer
    "/v1/checkpoint": MAX_RESPONSE_BYTES,
    "/v1/http/runs": MAX_RESPONSE_BYTES,
    "/v1/checkpoint/<run_id>/async": MAX_RESPONSE_BYTES,
    "/v1/http/runs/<run_id>/async": MAX_RESPONSE_BYTES,
    "/v1/checkpoint/<run_id>/steps": MAX_RESPONSE_BYTES,
    "/v1/http/runs/<run_id>/steps": MAX_RESPONSE_BYTES,
    "/v0/connect/start": 64 * 1024,
    "/v1/realtime/token": 256 * 1024,
    # a stream; of a single message, half as much is taken
    "/v1/realtime/publish": _MIB,
    "/v1/realtime/publish/tee": _MIB,
    "/v0/connect/flush": MAX_RESPONSE_BYTES + _MIB,
    # telemetry (api.md §3)
    "/v1/traces/userland": 8 * _MIB,
    "/dev/traces": 8 * _MIB,
    "/dev/logs": 8 * _MIB,
    "/dev/metrics": 8 * _MIB,
    "/v0/telemetry": 8 * _MIB,
    # sent without a key
    "/login": _FORM,
}
_CHUNK = 64 * 1024


class BoundedRequest(Request):
    """A request whose body raises TooLarge if more of it is read than its route accepts."""

    @cached_property
    def stream(self) -> IO[bytes]:
        """The body. Raises TooLarge at once if its announced length is over the limit."""
        most = LIMITS.get(self.url_rule.rule, MOST) if self.url_rule is not None else MOST
        if (self.content_length or 0) > most:
            raise _too_large(most)
        return cast(IO[bytes], _Body(get_input_stream(self.environ), most))

    def read_some(self, size: int) -> bytes:
        """Read what has come of the body, so much at most; waits only if nothing has."""
        return cast(_Body, self.stream).read1(size)


class _Body:
    """A stream that can be read up to a limit."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream = stream
        self._most = self._left = most

    def read(self, size: int | None = -1) -> bytes:
        """Read so much, or all.

        Raises TooLarge, ClientDisconnected where the sender left, and RequestTimeout where it is
        too slow.
        """
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        return self._counted(self._stream.read, size)

    def read1(self, size: int) -> bytes:
        """Read what has come, so much at most; raises as read() does."""
        return self._counted(getattr(self._stream, "read1", self._stream.read), size)

    def _counted(self, read: Callable[[int], bytes], size: int) -> bytes:
        try:
            found = read(size)
        except TimeoutError:
            raise RequestTimeout("the body did not come in time: send it without pauses") from None
        except OSError:
            raise ClientDisconnected from None
        self._left -= len(found)
        if self._left < 0:
            raise _too_large(self._most)
        return found


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"the body is over {most} bytes: send less in one request")
