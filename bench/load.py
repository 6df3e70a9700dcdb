"""Events in: raw asyncio streams, send times kept by event index."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import orjson

BATCH = 100
_HOST = "127.0.0.1"


class Sent:
    """When each event was sent, and how long it took until all were accepted."""

    def __init__(self, count: int) -> None:
        self.at = [0.0] * count
        self.seconds = 0.0
        self.refused = 0


class Connection:
    """One keep-alive connection to the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(_HOST, self._port)

    async def post(self, body: bytes, path: str = "/e/bench") -> int:
        """Post events, or something else, and return the status."""
        assert self._reader is not None and self._writer is not None
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {_HOST}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lowered = answer.lower()
        at = lowered.find(b"content-length:")
        length = int(lowered[at + 15 : lowered.find(b"\r\n", at)])
        await self._reader.readexactly(length)
        return int(answer.split(b" ", 2)[1])

    def close(self) -> None:
        """Close it."""
        if self._writer is not None:
            self._writer.close()


def _body(function: str, indices: Sequence[int], single: bool, after_seconds: float = 0.0) -> bytes:
    events = [body(function, index) for index in indices]
    if after_seconds:
        due = int((time.time() + after_seconds) * 1000)
        events = [event | {"ts": due} for event in events]
    return orjson.dumps(events[0] if single else events)


def body(function: str, index: int) -> dict[str, Any]:
    """Make one event for a function."""
    return {"name": f"bench/{function}", "data": {"i": index}}


async def _burst(
    port: int, function: str, count: int, connections: int, size: int, after_seconds: float
) -> Sent:
    sent = Sent(count)
    chunks = [range(at, min(at + size, count)) for at in range(0, count, size)]
    bodies = [_body(function, chunk, size == 1, after_seconds) for chunk in chunks]
    left = iter(range(len(chunks)))
    opened = [Connection(port) for _ in range(min(connections, len(chunks)))]
    await asyncio.gather(*(connection.open() for connection in opened))

    async def post_all(connection: Connection) -> None:
        for number in left:
            now = time.time()
            for index in chunks[number]:
                sent.at[index] = now
            if await connection.post(bodies[number]) != 200:
                sent.refused += len(chunks[number])

    began = time.time()
    await asyncio.gather(*(post_all(connection) for connection in opened))
    sent.seconds = time.time() - began
    for connection in opened:
        connection.close()
    return sent


async def _post(
    port: int, path: str, bodies: Sequence[bytes], connections: int, accepted: int
) -> Sent:
    sent = Sent(0)
    opened = [Connection(port) for _ in range(min(connections, len(bodies)))]
    await asyncio.gather(*(connection.open() for connection in opened))
    left = iter(bodies)

    async def post_all(connection: Connection) -> None:
        for body in left:
            if await connection.post(body, path) != accepted:
                sent.refused += 1

    began = time.time()
    await asyncio.gather(*(post_all(connection) for connection in opened))
    sent.seconds = time.time() - began
    for connection in opened:
        connection.close()
    return sent


async def _steady(port: int, function: str, count: int, rate: float) -> Sent:
    sent = Sent(count)
    free: list[Connection] = []
    began = time.time()

    async def post(index: int) -> None:
        sent.at[index] = time.time()
        if free:
            connection = free.pop()
        else:
            connection = Connection(port)
            await connection.open()
        if await connection.post(_body(function, [index], single=True)) != 200:
            sent.refused += 1
        free.append(connection)

    tasks = []
    for index in range(count):
        await asyncio.sleep(max(0.0, began + index / rate - time.time()))
        tasks.append(asyncio.create_task(post(index)))
    await asyncio.gather(*tasks)
    sent.seconds = time.time() - began
    for connection in free:
        connection.close()
    return sent


async def _checkpoints(port: int, contexts: Sequence[Any], count: int, many: int) -> Sent:
    sent = Sent(0)
    opened = [Connection(port) for _ in range(min(many, len(contexts)))]
    await asyncio.gather(*(connection.open() for connection in opened))
    left = iter(contexts)

    async def post_all(connection: Connection) -> None:
        for context in left:
            run_id = context["run_id"]
            given = {key: context[key] for key in ("run_id", "fn_id", "qi_id")}
            for number in range(count):
                op = {"op": "StepRun", "id": f"{number:040x}", "name": "s", "data": {"n": number}}
                body, began = orjson.dumps(given | {"steps": [op]}), time.time()
                if await connection.post(body, f"/v1/checkpoint/{run_id}/async") != 200:
                    sent.refused += 1
                sent.at.append(time.time() - began)

    began = time.time()
    await asyncio.gather(*(post_all(connection) for connection in opened))
    sent.seconds = time.time() - began
    for connection in opened:
        connection.close()
    return sent


def checkpoints(port: int, contexts: Sequence[Any], count: int, *, connections: int) -> Sent:
    """Checkpoint `count` steps of each request, one a call; `at` holds what each call took."""
    return asyncio.run(_checkpoints(port, contexts, count, connections))


def burst(
    port: int,
    function: str,
    count: int,
    connections: int = 4,
    size: int = BATCH,
    after_seconds: float = 0.0,
) -> Sent:
    """Post `count` events as fast as they are accepted, `size` a request, for now or for later."""
    return asyncio.run(_burst(port, function, count, connections, size, after_seconds))


def post(
    port: int, path: str, bodies: Sequence[bytes], connections: int = 4, accepted: int = 200
) -> Sent:
    """Post bodies as fast as they are accepted."""
    return asyncio.run(_post(port, path, bodies, connections, accepted))


def steady(port: int, function: str, count: int, rate: float) -> Sent:
    """Post `count` events at a steady rate, whatever the server does."""
    return asyncio.run(_steady(port, function, count, rate))
