"""What the SDK of the app sends to the server is answered in this process, whatever its address.

While a test runs, requests of httpx that come from an SDK do not leave the process: also those of a
client in production mode, so that no test sends events to anybody. Other requests are let through.

Written against inngest 0.5: all that it sends has its mark and goes by httpx, and it reads its key
where it checks a signature.
"""

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import cast
from unittest.mock import patch
from urllib.parse import urlsplit

import httpx
import inngest
import orjson
from inngest._internal import net
from inngest._internal.server_lib import ServerKind

from ..domain.reply.read import Reply
from ..sdk.checkpoints import direct
from .apps.calls import Call, Request, Seen

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


class SdkRequests:
    """Answers requests of SDKs by `answer`, and notes how the clients of apps were made."""

    def __init__(self, answer: Call) -> None:
        self._answer = answer
        self._servers = set(_KNOWN)
        self._servers |= {urlsplit(os.environ.get(name, "")).netloc for name in _SETTINGS}
        self._servers.discard("")
        self._seen: Seen | None = None

    def watch(self, call: Callable[[], Reply]) -> tuple[Reply, Seen]:
        """Call an app, whose SDK does not ask for a signature; return what is seen of it."""
        seen = self._seen = Seen()
        try:
            return call(), seen
        finally:
            self._seen = None

    @contextmanager
    def answered(self) -> Iterator[None]:
        """Answer requests of SDKs in this block."""
        with ExitStack() as stack:
            for holder, name, made in (
                (httpx.Client, "send", self._send()),
                (httpx.AsyncClient, "send", self._send_async()),
            ):
                stack.enter_context(patch.object(holder, name, made))
            self._watch_sdk(stack)
            yield

    def _send(self) -> Callable[..., httpx.Response]:
        original = cast(Callable[..., httpx.Response], httpx.Client.send)

        def send(client: httpx.Client, request: httpx.Request, **options: object) -> httpx.Response:
            if not self._is_of_sdk(request):
                return original(client, request, **options)
            request.read()
            return self._answered(request)

        return send

    def _send_async(self) -> Callable[..., Awaitable[httpx.Response]]:
        original = cast(Callable[..., Awaitable[httpx.Response]], httpx.AsyncClient.send)

        async def send(
            client: httpx.AsyncClient, request: httpx.Request, **options: object
        ) -> httpx.Response:
            if not self._is_of_sdk(request):
                return await original(client, request, **options)
            await request.aread()
            return self._answered(request)

        return send

    def _is_of_sdk(self, request: httpx.Request) -> bool:
        if _MARK in request.headers:
            self._servers.add(_server(request))
            return True
        return _server(request) in self._servers

    def _answered(self, request: httpx.Request) -> httpx.Response:
        left_out = _LEFT_OUT if _MARK in request.headers else ()
        headers = {name: value for name, value in request.headers.items() if name not in left_out}
        body = request.content
        reply = self._answer(Request(request.method, str(request.url), headers, body))
        if self._seen is not None and request.url.path == "/fn/register":
            _note_registration(self._seen, body, reply)
        if reply.unreachable is not None:
            raise httpx.ConnectError(reply.unreachable, request=request)
        given = {
            name: value
            for name, value in (reply.headers or {}).items()
            if name not in ("content-encoding", "content-length", "transfer-encoding")
        }
        return httpx.Response(reply.status, headers=given, content=reply.body, request=request)

    def _watch_sdk(self, stack: ExitStack) -> None:
        """Note how clients were made, and let `inngest_py.sdk` send by httpx alone."""
        original = cast(Callable[..., object], net.validate_request_sig)

        def validate(*, mode: ServerKind, signing_key: str | None, **given: object) -> object:
            if self._seen is not None:
                self._seen.production = mode is ServerKind.CLOUD
                self._seen.signing_key = signing_key
                if "x-inngest-signature" not in cast(Mapping[str, str], given["headers"]):
                    return None
            return original(mode=mode, signing_key=signing_key, **given)

        stack.enter_context(patch.object(net, "validate_request_sig", validate))
        stack.enter_context(patch.object(direct, "connections", lambda url, timeout: None))
        stack.enter_context(patch.object(inngest.Step, "sleep", _sleep))
        stack.enter_context(patch.object(inngest.StepSync, "sleep", _sleep))


def _sleep(
    step: inngest.Step | inngest.StepSync, step_id: str, duration: int | timedelta
) -> object:
    """Sleep as the SDK does, but never until a whole second: that would count as a date."""
    length = timedelta(milliseconds=duration) if isinstance(duration, int) else duration
    until = datetime.now() + length  # noqa: DTZ005 - as the SDK does
    if until.microsecond < 1000:
        until += timedelta(milliseconds=1)
    return step.sleep_until(step_id, until)


def _note_registration(seen: Seen, body: bytes, reply: Reply) -> None:
    seen.registered = orjson.loads(body).get("url")
    if reply.status >= 400:
        said = orjson.loads(reply.body)
        seen.refusal = str(said.get("error") or said)


def _server(request: httpx.Request) -> str:
    return request.url.netloc.decode()
