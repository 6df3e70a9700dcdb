"""What the SDK of the app sends to the server is answered in this process, whatever its address.

While a test runs, requests of httpx that come from an SDK do not leave the process: also those of a
client in production mode, so that no test sends events to anybody. Other requests are let through.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import urlsplit
from weakref import WeakSet

import httpx
import inngest
import orjson

from ...domain.reply.read import Reply
from ..errors import InngestTestError
from .calls import Call, Request, Seen

# the SDK marks all that it sends; inngest_py.sdk is known by the server that it asks
_MARK = "x-inngest-sdk"
_KNOWN = frozenset({"inn.gs", "api.inngest.com", "127.0.0.1:8288", "localhost:8288"})
# The server of a test takes apps of both modes. Ids of events that it makes itself sort by receipt.
_LEFT_OUT = ("x-inngest-expected-server-kind", "x-inngest-event-id-seed", "content-length")
_SETTINGS = (
    "INNGEST_DEV",
    "INNGEST_BASE_URL",
    "INNGEST_API_BASE_URL",
    "INNGEST_EVENT_API_BASE_URL",
)

_open: list["SdkRequests"] = []  # of all servers of this process that have not been stopped
# whose app is being called here
_calling: ContextVar["SdkRequests | None"] = ContextVar("inngest_test_calling", default=None)
# for which client of the SDK something is being sent here
_sending: ContextVar[inngest.Inngest | None] = ContextVar("inngest_test_sending", default=None)


class SdkRequests:
    """Answers requests of SDKs by `answer`, and notes how the clients of apps were made."""

    def __init__(self, answer: Call) -> None:
        self._answer = answer
        self._servers = set(_KNOWN)
        self._servers |= {urlsplit(os.environ.get(name, "")).netloc for name in _SETTINGS}
        self._servers.discard("")
        self.seen: Seen | None = None  # what is noted of the app that is being called
        # of the apps that are served: what sends for them
        self._senders: WeakSet[object] = WeakSet()

    @property
    def is_calling(self) -> bool:
        """Whether this is code of an app that this server calls."""
        return _calling.get() is self

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Mark this block as the call of an app."""
        token = _calling.set(self)
        try:
            yield
        finally:
            _calling.reset(token)

    def watch(self, call: Callable[[], Reply]) -> tuple[Reply, Seen]:
        """Call an app, whose SDK does not ask for a signature; return what is seen of it."""
        seen = self.seen = Seen()
        try:
            with self.calling():
                return call(), seen
        finally:
            self.seen = None

    @contextmanager
    def answered(self) -> Iterator[None]:
        """Answer requests of SDKs in this block, which is inside of sdk_patches.in_place().

        Blocks of several servers may overlap.
        """
        _open.append(self)
        try:
            yield
        finally:
            _open.remove(self)

    def knows(self, client: inngest.Inngest) -> None:
        """Note that this server serves an app of the client."""
        http = client._http_client
        self._senders |= {client, http._http_client, http._http_client_sync}

    def is_of_sdk(self, request: httpx.Request) -> bool:
        """Say whether an SDK has made a request; its server is known from then on."""
        if _MARK in request.headers:
            self._servers.add(_server(request))
            return True
        return _server(request) in self._servers

    def answered_here(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, whose body has been read. Raises httpx.ConnectError as a test wants."""
        left_out = _LEFT_OUT if _MARK in request.headers else ()
        headers = {name: value for name, value in request.headers.items() if name not in left_out}
        body = request.content
        reply = self._answer(Request(request.method, str(request.url), headers, body))
        if self.seen is not None and request.url.path == "/fn/register":
            _note_registration(self.seen, body, reply)
        if reply.unreachable is not None:
            raise httpx.ConnectError(reply.unreachable, request=request)
        given = {
            name: value
            for name, value in (reply.headers or {}).items()
            if name not in ("content-encoding", "content-length", "transfer-encoding")
        }
        return httpx.Response(reply.status, headers=given, content=reply.body, request=request)


def of_request(sender: object, request: httpx.Request) -> SdkRequests | None:
    """Find the server that answers a request of httpx; None if no SDK has made it.

    `sender` is the client of httpx. Raises InngestTestError if several servers are open, and
    nothing says which of them is meant.
    """
    is_of_sdk = [one.is_of_sdk(request) for one in _open]  # each learns the address
    if not any(is_of_sdk):
        return None
    sender = _sending.get() or sender
    serving = [one for one in _open if sender in one._senders]
    found = serving or _open
    if len(found) == 1:
        return found[0]
    calling = _calling.get()
    if calling in found:
        return calling
    why = "all of them serve" if serving else "none of them serves"
    raise InngestTestError(
        f"{request.method} {request.url.copy_with(query=None)}: {len(found)} servers of tests are"
        f" open, and {why} an app of the client that sends this: stop the others first, or give"
        " each an app with a client of its own"
    )


def calling_here() -> SdkRequests | None:
    """Return the server whose app is being called here; None outside of such a call."""
    return _calling.get()


@contextmanager
def sending(client: inngest.Inngest) -> Iterator[None]:
    """Mark this block as sending for a client of the SDK, by whatever client of httpx."""
    token = _sending.set(client)
    try:
        yield
    finally:
        _sending.reset(token)


def _note_registration(seen: Seen, body: bytes, reply: Reply) -> None:
    seen.registered = orjson.loads(body).get("url")
    if reply.status >= 400:
        said = orjson.loads(reply.body)
        seen.refusal = str(said.get("error") or said)


def _server(request: httpx.Request) -> str:
    return request.url.netloc.decode()
