"""The server's API, which SDKs call: the real one, made at its first use."""

import re
import threading
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

import orjson
from flask import Flask

from ..api.app import create_app
from ..api.deps import Deps
from ..config import Settings
from ..domain.reply.read import Reply
from ..domain.values.json_types import JsonObject
from ..engine.runtime.context import Context
from ..engine.runtime.probe import Probe
from .apps import wsgi
from .apps.calls import Request
from .faults import AFTER_COMMIT, Faults

# a dev server takes every key
_SETTINGS = Settings(dev=True, database_url="sqlite://", ui=False)
_CHECKPOINT = re.compile("/v1/checkpoint/[^/]+/async")
# what an SDK that checkpoints hears from a server that has died: it then answers its steps
_DEAD = Reply(400, {"content-type": "application/json"}, b'{"error": "the server has died"}')
_lock = threading.Lock()
_idle: list[Flask] = []  # to make one takes a tenth of a second


class Api:
    """The API of one test. `context` returns the context that it works with."""

    def __init__(self, context: Callable[[], Context], faults: Faults) -> None:
        self._context, self._faults = context, faults
        self._app: Flask | None = None

    @property
    def app(self) -> Flask:
        """The Flask app, with the context as it is now."""
        ctx = self._context()
        if self._app is None:
            with _lock:
                self._app = _idle.pop() if _idle else None
            self._app = self._app or create_app(_SETTINGS, ctx)
        self._app.extensions["inngest_py"] = Deps(_SETTINGS, ctx, Probe(ctx))
        return self._app

    def call(self, request: Request) -> Reply:
        """Answer a request of an SDK, unless the test lets the server die at it."""
        if _CHECKPOINT.fullmatch(urlsplit(request.url).path):
            return self._checkpoint(request)
        return wsgi.call(self.app.wsgi_app, request)

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request that came to a port."""
        return self.app.wsgi_app(environ, start_response)

    def _checkpoint(self, request: Request) -> Reply:
        """Store steps that an SDK reports while its call goes on; the server may die at one."""
        body: JsonObject = orjson.loads(request.body)
        function = self._context().catalog.by_id.get(str(body.get("fn_id")))
        steps = body.get("steps")
        if function is None or not isinstance(steps, list):
            return wsgi.call(self.app.wsgi_app, request)
        if self._faults.is_dead:
            return _DEAD
        crash = self._faults.at_checkpoint(function.slug, steps)
        if crash is not None and crash.when != AFTER_COMMIT:
            return _DEAD
        return wsgi.call(self.app.wsgi_app, request)

    def close(self) -> None:
        """Let other tests use the Flask app."""
        if self._app is not None:
            with _lock:
                _idle.append(self._app)
            self._app = None
