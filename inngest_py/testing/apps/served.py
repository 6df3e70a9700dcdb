"""An app under test that is served in this process, and registered with the test's server."""

import asyncio
import inspect
import time
import traceback
from collections.abc import Callable
from concurrent import futures
from typing import cast
from urllib.parse import urlsplit
from wsgiref.types import WSGIApplication

import orjson

from ...domain.access import signatures
from ...domain.reply.read import Reply
from ..errors import AppError
from . import wsgi
from .asgi import AsgiApp, LoopThread
from .calls import AsgiCallable, Call, Request, Watch

_SIGNATURE = "X-Inngest-Signature"
_FIRST_PORT = 8000  # nobody listens there: it tells several apps apart
_MOST_CHARS = 2000
_CANCELLED = "asyncio.CancelledError was raised in the app, whose call has ended without an answer"
HELP = (
    "return a WSGI or ASGI app (of Flask, FastAPI, Django, ...), or a pair (client, functions) of"
    " the Inngest SDK"
)


class Served:
    """One app; `url` is where it thinks that it is, `registered` where it says that it is."""

    def __init__(self, app: object, path: str, number: int) -> None:
        """Start the app if it is one of ASGI. Raises AppError for what is no app."""
        if not isinstance(path, str) or not path.startswith("/"):
            raise AppError(f"path must begin with '/', as in '/api/inngest': {path!r}")
        self.url = f"http://localhost:{_FIRST_PORT + number}{path}"
        self.registered = self.url
        self.signing_key: str | None = None
        self._started: AsgiApp | LoopThread | None = None
        self._call: Call = self._caller(app)

    def _caller(self, app: object) -> Call:
        if isinstance(app, tuple) and len(app) == 2:
            return self._of_pair(*app)
        if not callable(app):
            raise AppError(f"this is no app: {app!r}; {HELP}")
        if not _is_asgi(app):
            found = cast(WSGIApplication, app)
            return lambda request: wsgi.call(found, request)
        started = self._started = AsgiApp(cast(AsgiCallable, app))
        return started.call

    def _of_pair(self, client: object, functions: object) -> Call:
        from .client_app import ClientApp

        made = ClientApp(client, functions)
        if not made.is_async:
            return lambda request: wsgi.outside_of_loops(lambda: made.call(request))
        loop = self._started = LoopThread()
        return lambda request: loop.run(made.answer(request))

    def send(self, method: str, query: str, headers: dict[str, str], body: bytes) -> Reply:
        """Send a request, signed with the app's own key, by the real time."""
        if self.signing_key is not None:
            signature = signatures.sign(self.signing_key, body, int(time.time()))
            headers = {**headers, _SIGNATURE: signature}
        asked = Request(method, f"{self.url}?{query}" if query else self.url, headers, body)
        try:
            return self._call(asked)
        except (
            asyncio.CancelledError,
            futures.CancelledError,
        ):  # frameworks let it pass
            return Reply(500, {}, f"{_CANCELLED}\n{traceback.format_exc()}".encode())

    def serves(self, url: str) -> bool:
        """Say whether a URL is of this app."""
        mine, other = urlsplit(self.registered), urlsplit(url)
        return (mine.netloc, mine.path) == (other.netloc, other.path)

    def introduce(self, watch: Watch) -> bool:
        """Learn the app's key; say whether it is in production mode. Raises AppError."""
        found, seen = watch(lambda: self.send("GET", "", {}, b""))
        if "x-inngest-sdk" not in (found.headers or {}):
            raise AppError(self._no_sdk(found))
        self.signing_key = seen.signing_key if seen.production else None
        return seen.production

    def register(self, watch: Watch) -> None:
        """Let the app register itself. Raises AppError, which says what is wrong."""
        kind = "cloud" if self.introduce(watch) else "dev"
        body = orjson.dumps({"url": self.url})
        headers = {"Content-Type": "application/json", "X-Inngest-Server-Kind": kind}
        reply, seen = watch(lambda: self.send("PUT", "", headers, body))
        # the SDK answers 200 also if the server refuses the functions
        refusal = seen.refusal or (None if reply.status == 200 else _message(reply))
        if refusal is not None:
            raise AppError(f"the app under test could not register: {refusal}")
        self.registered = seen.registered or self.url

    def _no_sdk(self, reply: Reply) -> str:
        path = urlsplit(self.url).path
        if reply.status == 404:
            return (
                f"the app under test has nothing at {path}: serve its functions there, or name the"
                ' path, as in inngest.serve(app, path="/api/inngest")'
            )
        return f"the app under test has no functions of Inngest at {path}: {_message(reply)}"

    def close(self) -> None:
        """Stop the app if it is one of ASGI."""
        if self._started is not None:
            self._started.close()


def _is_asgi(app: Callable[..., object]) -> bool:
    called = app if inspect.isroutine(app) or inspect.isclass(app) else type(app).__call__
    if inspect.iscoroutinefunction(called):
        return True
    try:
        taken = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return False
    return sum(one.default is one.empty and one.kind is not one.VAR_KEYWORD for one in taken) == 3


def _message(reply: Reply) -> str:
    try:
        said = orjson.loads(reply.body)
    except ValueError:
        said = reply.body.decode(errors="replace").strip()[-_MOST_CHARS:]
    if isinstance(said, dict):
        said = said.get("message") or said.get("error") or said
    return f"HTTP {reply.status}: {said}"
