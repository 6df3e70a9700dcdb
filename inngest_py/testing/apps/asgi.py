"""Call an ASGI app in this process, in an event loop of its own."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import wait
from typing import TypeVar

import httpx

from ...domain.reply.read import Reply
from ..errors import AppError
from .calls import AsgiCallable, Message, Receive, Request, Send

T = TypeVar("T")
_LIFESPAN_SECONDS = 30.0
_LOOK_SECONDS = 0.5  # whether the app has left


class LoopThread:
    """A thread that runs an event loop: tests may run one themselves."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._left: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.name = "inngest-test-app"
        self._thread.start()

    def _serve(self) -> None:
        try:
            self._loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:  # these leave a task, and end its loop
            self._left = error

    def run(self, work: Coroutine[None, None, T]) -> T:
        """Do work in the loop, and wait for it. Raises SystemExit if the app has raised it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while not future.done():
            wait([future], _LOOK_SECONDS)
            if self._left is not None and not future.done():
                raise self._left
        return future.result()

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class AsgiApp:
    """An ASGI app that has been started as a web server starts it, with its lifespan.

    Its own tasks go on between requests, in a loop of its own.
    """

    def __init__(self, app: AsgiCallable) -> None:
        """Start the app. Raises AppError if it does not start."""
        self._app = app
        self._lifespan = _Lifespan(app)
        self._transport = httpx.ASGITransport(self._with_state, raise_app_exceptions=False)
        self._loop = LoopThread()
        try:
            self._loop.run(self._lifespan.start())
        except BaseException:
            self._loop.close()
            raise

    async def _with_state(self, scope: Message, receive: Receive, send: Send) -> None:
        await self._app({**scope, "state": dict(self._lifespan.state)}, receive, send)

    def call(self, request: Request) -> Reply:
        """Send a request and read the whole answer; an exception of the app is a 500."""
        return self._loop.run(self._call(request))

    async def _call(self, request: Request) -> Reply:
        asked = httpx.Request(
            request.method, request.url, headers=dict(request.headers), content=request.body
        )
        answer = await self._transport.handle_async_request(asked)
        return Reply(answer.status_code, dict(answer.headers), await answer.aread())

    def close(self) -> None:
        """Stop the app, as a web server does at its end."""
        try:
            self._loop.run(self._lifespan.stop())
        finally:
            self._loop.close()


class _Lifespan:
    """The lifespan protocol of ASGI; an app that does not know it is not told."""

    def __init__(self, app: AsgiCallable) -> None:
        self._app = app
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, object] = {}  # what the app keeps for its requests
        self._to_app: asyncio.Queue[Message]
        self._from_app: asyncio.Queue[Message]

    async def start(self) -> None:
        self._to_app, self._from_app = asyncio.Queue(), asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._serve())
        said = await self._ask("startup")
        if said["type"] == "lifespan.startup.failed":
            raise AppError(
                f"the app under test did not start: {said.get('message') or 'no reason'}"
            )

    async def stop(self) -> None:
        if self._task is None or self._task.done():
            return
        said = await self._ask("shutdown")
        if said["type"] == "lifespan.shutdown.failed":
            raise AppError(f"the app under test did not stop: {said.get('message') or 'no reason'}")

    async def _serve(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._to_app.get, self._from_app.put)
        except Exception as error:
            # what an app that has no lifespan does, too: then there is nothing to wait for
            await self._from_app.put({"type": "lifespan.none", "message": str(error)})
        else:
            await self._from_app.put({"type": "lifespan.none"})

    async def _ask(self, what: str) -> Message:
        await self._to_app.put({"type": f"lifespan.{what}"})
        try:
            return await asyncio.wait_for(self._from_app.get(), _LIFESPAN_SECONDS)
        except TimeoutError:
            took = f"its lifespan took more than {_LIFESPAN_SECONDS:.0f} s for its {what}"
            raise AppError(f"the app under test hangs: {took}") from None
