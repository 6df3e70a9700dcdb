"""What is replaced in httpx and in the SDK while servers of tests are open: once for the process.

Which server is meant is found at each request, so that servers may be stopped in any order.

Written against inngest 0.5: all that it sends has its mark and goes by httpx, and it reads its key
where it checks a signature.
"""

import contextvars
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import cast
from unittest.mock import patch

import httpx
import inngest
from inngest._internal import net
from inngest._internal.comm_lib import CommHandler
from inngest._internal.server_lib import ServerKind

from ...sdk import server_api
from ...sdk.checkpoints import direct
from . import sdk_requests


class _Replaced:
    """Counts the blocks that need what is replaced; the last one puts it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._replaced = ExitStack()

    def begin(self) -> None:
        with self._lock:
            if self._blocks == 0:
                with ExitStack() as stack:
                    for holder, name, made in _made():
                        stack.enter_context(patch.object(holder, name, made))
                    self._replaced = stack.pop_all()
            self._blocks += 1

    def end(self) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks == 0:
                self._replaced.close()


_replaced = _Replaced()


@contextmanager
def in_place() -> Iterator[None]:
    """Replace it in this block, and in all that overlap with it."""
    _replaced.begin()
    try:
        yield
    finally:
        _replaced.end()


def _made() -> list[tuple[object, str, object]]:
    return [
        (httpx.Client, "send", _send()),
        (httpx.AsyncClient, "send", _send_async()),
        (net, "validate_request_sig", _validate()),
        (CommHandler, "get_sync", _introduce()),
        (server_api, "_request", _request()),
        (direct, "connections", lambda url, timeout: None),  # inngest_py.sdk sends by httpx alone
        (inngest.Step, "sleep", _sleep),
        (inngest.StepSync, "sleep", _sleep),
        (ThreadPoolExecutor, "submit", _submit()),
    ]


def _send() -> Callable[..., httpx.Response]:
    original = cast(Callable[..., httpx.Response], httpx.Client.send)

    def send(client: httpx.Client, request: httpx.Request, **options: object) -> httpx.Response:
        server = sdk_requests.of_request(client, request)
        if server is None:
            return original(client, request, **options)
        request.read()
        return server.answered_here(request)

    return send


def _send_async() -> Callable[..., Awaitable[httpx.Response]]:
    original = cast(Callable[..., Awaitable[httpx.Response]], httpx.AsyncClient.send)

    async def send(
        client: httpx.AsyncClient, request: httpx.Request, **options: object
    ) -> httpx.Response:
        server = sdk_requests.of_request(client, request)
        if server is None:
            return await original(client, request, **options)
        await request.aread()
        return server.answered_here(request)

    return send


def _validate() -> Callable[..., object]:
    """Note how clients were made."""
    original = cast(Callable[..., object], net.validate_request_sig)

    def validate(*, mode: ServerKind, signing_key: str | None, **given: object) -> object:
        server = sdk_requests.calling_here()
        if server is not None and server.seen is not None:
            server.seen.production = mode is ServerKind.CLOUD
            server.seen.signing_key = signing_key
            if "x-inngest-signature" not in cast(Mapping[str, str], given["headers"]):
                return None
        return original(mode=mode, signing_key=signing_key, **given)

    return validate


def _introduce() -> Callable[..., object]:
    """Note whose client an app has, at the request that each app gets first."""
    original = cast(Callable[..., object], CommHandler.get_sync)

    def get_sync(handler: CommHandler, *given: object, **named: object) -> object:
        server = sdk_requests.calling_here()
        if server is not None:
            server.knows(handler._client)
        return original(handler, *given, **named)

    return get_sync


def _request() -> Callable[..., httpx.Response]:
    """Tell for which client inngest_py.sdk sends: all share one of httpx."""
    original = cast(Callable[..., httpx.Response], server_api._request)

    def request(client: inngest.Inngest, *given: object, **named: object) -> httpx.Response:
        with sdk_requests.sending(client):
            return original(client, *given, **named)

    return request


def _submit() -> Callable[..., Future[object]]:
    """Let the SDK's threads for blocking functions know which server has called the app."""
    original = cast(Callable[..., Future[object]], ThreadPoolExecutor.submit)

    def submit(
        pool: ThreadPoolExecutor, work: Callable[..., object], /, *given: object, **named: object
    ) -> Future[object]:
        if sdk_requests.calling_here() is None:
            return original(pool, work, *given, **named)
        return original(pool, contextvars.copy_context().run, work, *given, **named)

    return submit


def _sleep(
    step: inngest.Step | inngest.StepSync, step_id: str, duration: int | timedelta
) -> object:
    """Sleep as the SDK does, but never until a whole second: that would count as a date."""
    length = timedelta(milliseconds=duration) if isinstance(duration, int) else duration
    until = datetime.now() + length  # noqa: DTZ005 - as the SDK does
    if until.microsecond < 1000:
        until += timedelta(milliseconds=1)
    return step.sleep_until(step_id, until)
