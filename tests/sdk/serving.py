"""Functions of the Python SDK served inside the test's process, by each framework."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import inngest
import requests
from werkzeug.serving import make_server

from tests.processes import LOOPBACK, free_port, wait_until

Functions = list[inngest.Function[Any]]
django_urls: list[Any] = []  # of the one app that is served


@contextlib.contextmanager
def flask(client: inngest.Inngest, functions: Functions) -> Iterator[str]:
    """Serve with Flask; yields the URL of the app."""
    import flask as package
    import inngest.flask

    app = package.Flask(__name__)
    inngest.flask.serve(app, client, functions)
    with _wsgi(app) as url:
        yield url


@contextlib.contextmanager
def fastapi(client: inngest.Inngest, functions: Functions) -> Iterator[str]:
    """Serve with FastAPI; blocking functions run in the SDK's threads."""
    import fastapi as package
    import inngest.fast_api

    app = package.FastAPI()
    inngest.fast_api.serve(app, client, functions)
    with _asgi(app) as url:
        yield url


@contextlib.contextmanager
def django(client: inngest.Inngest, functions: Functions) -> Iterator[str]:
    """Serve with Django: asyncio functions by ASGI, others by WSGI."""
    app = django_app(client, functions)
    asynchronous = any(one.is_handler_async for one in functions)
    with _asgi(app) if asynchronous else _wsgi(app) as url:
        yield url


def django_app(client: inngest.Inngest, functions: Functions) -> Any:
    """Make the process's one app of Django: of ASGI for asyncio functions, else of WSGI."""
    import django as package
    from django.conf import settings
    from django.urls import clear_url_caches

    if not settings.configured:
        settings.configure(
            ROOT_URLCONF="tests.sdk.serving_django", ALLOWED_HOSTS=["*"], SECRET_KEY="secret"
        )
        package.setup()
    import inngest.django
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler

    django_urls[:] = [inngest.django.serve(client, functions)]
    clear_url_caches()
    asynchronous = any(one.is_handler_async for one in functions)
    return ASGIHandler() if asynchronous else WSGIHandler()


@contextlib.contextmanager
def tornado(client: inngest.Inngest, functions: Functions) -> Iterator[str]:
    """Serve with Tornado, for which the SDK runs blocking functions alone."""
    import inngest.tornado
    import tornado.web

    port, started = free_port(), threading.Event()

    async def serve(ended: asyncio.Event) -> None:
        app = tornado.web.Application()
        inngest.tornado.serve(app, client, functions)
        listening = app.listen(port, LOOPBACK)
        started.set()
        await ended.wait()
        listening.stop()
        await listening.close_all_connections()

    with _loop(serve):
        assert started.wait(20)
        yield f"http://{LOOPBACK}:{port}"


@contextlib.contextmanager
def connected(client: inngest.Inngest, functions: Functions) -> Iterator[str]:
    """Connect a worker; yields when it is ready for calls."""
    from inngest.connect import ConnectionState, connect

    worker = connect([(client, functions)], instance_id=client.app_id)

    async def serve(ended: asyncio.Event) -> None:
        await worker.start()
        await ended.wait()  # the loop has to run until close() has ended, too

    async def close() -> None:
        await worker.close(wait=True)

    with _loop(serve, close):
        wait_until(lambda: worker.get_state() is ConnectionState.ACTIVE, 30, "the worker connected")
        yield ""


@contextlib.contextmanager
def _wsgi(app: Any) -> Iterator[str]:
    served = make_server(LOOPBACK, 0, app, threaded=True)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield f"http://{LOOPBACK}:{served.port}"
    served.shutdown()
    thread.join()
    served.server_close()


@contextlib.contextmanager
def _asgi(app: Any) -> Iterator[str]:
    import uvicorn

    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host=LOOPBACK, port=port, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, 20, "uvicorn started")
    yield f"http://{LOOPBACK}:{port}"
    server.should_exit = True
    thread.join(20)


@contextlib.contextmanager
def _loop(
    serve: Callable[[asyncio.Event], Any], close: Callable[[], Any] | None = None
) -> Iterator[None]:
    """Run in an event loop of a thread until the end of the block."""
    loop, ended = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(ended)), daemon=True)
    thread.start()
    try:
        yield
    finally:
        if close is not None:
            asyncio.run_coroutine_threadsafe(close(), loop).result(20)
        loop.call_soon_threadsafe(ended.set)
        thread.join(20)
        loop.close()


@contextlib.contextmanager
def registered(
    framework: Callable[[inngest.Inngest, Functions], Any],
    client: inngest.Inngest,
    functions: Functions,
) -> Iterator[None]:
    """Serve and register the functions."""
    with framework(client, functions) as url:
        if url:
            reply = requests.put(f"{url}/api/inngest", timeout=20)
            assert reply.ok, reply.text
        yield
    client._http_client._http_client_sync.close()
