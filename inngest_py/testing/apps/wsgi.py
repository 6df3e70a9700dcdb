"""Call a WSGI app in this process."""

import asyncio
import contextvars
import threading
import traceback
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit
from wsgiref.types import WSGIApplication

from werkzeug.test import EnvironBuilder, run_wsgi_app

from ...domain.reply.read import Reply
from .calls import Request

T = TypeVar("T")


def call(app: WSGIApplication, request: Request) -> Reply:
    """Send a request and read the whole answer; an exception of the app is a 500."""
    return outside_of_loops(lambda: _call(app, request))


def _call(app: WSGIApplication, request: Request) -> Reply:
    parts = urlsplit(request.url)
    builder = EnvironBuilder(
        method=request.method,
        path=parts.path,
        base_url=f"{parts.scheme}://{parts.netloc}/",
        query_string=parts.query,
        headers=list(request.headers.items()),
        data=request.body,
    )
    try:
        chunks, status, headers = run_wsgi_app(app, builder.get_environ(), buffered=True)
        body = b"".join(chunks)
    except Exception:
        return Reply(500, {}, traceback.format_exc().encode())
    found = {name.lower(): value for name, value in headers}
    return Reply(int(status.split()[0]), found, body)


def outside_of_loops(work: Callable[[], T]) -> T:
    """Do work in a thread of its own if this one runs an event loop, which the work may need."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    here = contextvars.copy_context()
    thread = threading.Thread(target=here.run, args=(run,), name="inngest-test-app", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]
