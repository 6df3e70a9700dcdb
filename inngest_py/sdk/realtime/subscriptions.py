"""Follow topics over a WebSocket, in blocking and in async code."""

import asyncio
import contextlib
import itertools
import random
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self
from urllib.parse import urljoin

import inngest
import websockets.asyncio.client
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from . import errors, messages, tokens
from .messages import Message

_PATH = "/v1/realtime/connect"
_FIRST_DELAY, _LONGEST_DELAY = 0.25, 5.0  # seconds; as the TypeScript SDK's hook has them
# a published body has 512 KB at most; as JSON in a message it can be several times as long
_MOST_BYTES = 8 * 2**20


def subscribe(client: inngest.Inngest, channel: str, topics: Sequence[str]) -> "Subscription":
    """Follow topics of a channel: `for` and `with`, or `async for` and `async with`, give messages.

    The server is connected when the block is entered, else at the first message that is asked for.
    Messages of an earlier time, and of a time without a connection, are lost. Raises ValueError for
    names that cannot be.
    """
    return Subscription(client, channel, topics)


class _Target(NamedTuple):
    url: str
    headers: dict[str, str]


class Subscription:
    """Messages of topics, for one reader, until it is closed.

    The first connection must succeed: otherwise RealtimeError is raised. A connection that is lost
    later is made again, with a new token, until the server refuses that: then RealtimeRefused is
    raised. The waits between tries grow to 5 s.
    """

    def __init__(self, client: inngest.Inngest, channel: str, topics: Sequence[str]) -> None:
        """Connect to nothing yet. Raises ValueError."""
        self._client, self._channel = client, channel
        self._topics = tokens.check_topics(channel, topics)
        self._blocking: websockets.sync.client.ClientConnection | None = None
        self._async: websockets.asyncio.client.ClientConnection | None = None
        self._was_open = False
        self._closed, self._aclosed = threading.Event(), asyncio.Event()
        self._delays = _delays()

    # --- blocking

    def __enter__(self) -> Self:
        """Connect: what is published from now on is not missed. Raises RealtimeError."""
        self._blocking = self._connect()
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End the subscription; a thread that waits for a message stops waiting."""
        self._closed.set()
        if self._blocking is not None:
            self._blocking.close()

    def __iter__(self) -> Self:
        """Iterate over messages."""
        return self

    def __next__(self) -> Message:
        """Wait for the next message."""
        while not self._closed.is_set():
            if self._blocking is None:
                self._blocking = self._connect_again() if self._was_open else self._connect()
                continue
            try:
                found = messages.read(self._blocking.recv())
            except ConnectionClosed as error:
                self._note_loss(error)
                self._blocking = None
                continue
            if found is not None:
                self._delays = _delays()
                return found
        raise StopIteration

    def _connect(self) -> websockets.sync.client.ClientConnection:
        target = self._target(tokens.token(self._client, self._channel, self._topics))
        try:
            # some versions connect here, others on entering; leaving does no more than close()
            socket = websockets.sync.client.connect(
                target.url,
                additional_headers=target.headers,
                compression=None,
                max_size=_MOST_BYTES,
            ).__enter__()
        except (OSError, WebSocketException) as error:
            raise _not_open(error) from error
        self._was_open = True
        if self._closed.is_set():  # meanwhile, by another thread
            socket.close()
        return socket

    def _connect_again(self) -> websockets.sync.client.ClientConnection | None:
        """Connect after a wait; None if that failed and may be tried again."""
        if self._closed.wait(next(self._delays)):
            return None
        try:
            return self._connect()
        except errors.RealtimeError as error:
            self._judge(error)
            return None

    # --- async

    async def __aenter__(self) -> Self:
        """Connect: what is published from now on is not missed. Raises RealtimeError."""
        self._async = await self._connect_async()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close it."""
        await self.aclose()

    async def aclose(self) -> None:
        """End the subscription; a task that waits for a message stops waiting."""
        self._aclosed.set()
        if self._async is not None:
            await self._async.close()

    def __aiter__(self) -> Self:
        """Iterate over messages."""
        return self

    async def __anext__(self) -> Message:
        """Wait for the next message."""
        while not self._aclosed.is_set():
            if self._async is None:
                again = self._connect_again_async if self._was_open else self._connect_async
                self._async = await again()
                continue
            try:
                found = messages.read(await self._async.recv())
            except ConnectionClosed as error:
                self._note_loss(error)
                self._async = None
                continue
            if found is not None:
                self._delays = _delays()
                return found
        raise StopAsyncIteration

    async def _connect_async(self) -> websockets.asyncio.client.ClientConnection:
        target = self._target(await tokens.token_async(self._client, self._channel, self._topics))
        try:
            socket = await websockets.asyncio.client.connect(
                target.url,
                additional_headers=target.headers,
                compression=None,
                max_size=_MOST_BYTES,
            )
        except (OSError, WebSocketException) as error:
            raise _not_open(error) from error
        self._was_open = True
        if self._aclosed.is_set():  # meanwhile, by another task
            await socket.close()
        return socket

    async def _connect_again_async(self) -> websockets.asyncio.client.ClientConnection | None:
        """Connect after a wait; None if that failed and may be tried again."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._aclosed.wait(), next(self._delays))
            return None
        try:
            return await self._connect_async()
        except errors.RealtimeError as error:
            self._judge(error)
            return None

    # --- both

    def _target(self, token: str) -> _Target:
        url = urljoin(self._client.api_origin, _PATH).replace("http", "ws", 1)
        return _Target(url, {"Authorization": f"Bearer {token}"})

    def _note_loss(self, error: ConnectionClosed) -> None:
        if not self._closed.is_set() and not self._aclosed.is_set():
            text = f"realtime: the connection was lost ({error}); trying again"
            self._client.logger.warning(text)

    def _judge(self, error: errors.RealtimeError) -> None:
        if isinstance(error, errors.RealtimeRefused):
            raise error
        self._client.logger.warning(f"realtime: not connected, trying again: {error}")


def _delays() -> Iterator[float]:
    """Give the seconds before each try: none, then twice as many each time, less a random part."""
    yield 0.0
    for number in itertools.count():
        longest = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(number, 10))
        yield longest * random.uniform(0.5, 1.0)


def _not_open(error: OSError | WebSocketException) -> errors.RealtimeError:
    if isinstance(error, InvalidStatus):
        answer = error.response
        return errors.of_answer("open the subscription", answer.status_code, _text(answer.body))
    return errors.RealtimeError(f"the subscription was not opened: {type(error).__name__}: {error}")


def _text(body: bytes | bytearray | None) -> str:
    return bytes(body or b"").decode(errors="replace")
