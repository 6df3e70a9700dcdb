"""An SDK app without an SDK, in a process of its own: `python -m tests.raw_sdk --port P …`.

It decides from the request alone what comes next, and notes every step body that it runs in a
file, so that a test can tell how often each ran whatever happened to the server.

What an event's data may ask for: `takes` (seconds a step's body lasts), `seconds` (of the
sleeper's sleep), `stuck`, which asks for its first step again and again, and `mood`, which spoils
the first attempt of every request.
"""

import argparse
import asyncio
import json
import random
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.factories import op, step

APP = "raw"
FUNCTIONS = ("seq5", "sleeper", "par3", "stoppable", "waiter", "invoker")
MOODS = ("slow", "garbage", "babble", "cut", "huge", "500")
STEPS = 5
STOP = {"event": f"{APP}/stop", "if": "event.data.key == async.data.key"}
BRANCHES = 3
_SDK = {"x-inngest-sdk": "raw:v1", "x-inngest-req-version": "2"}
_HUGE = 10 * 1024 * 1024
_SLOW_SECONDS = 0.3


@dataclass(frozen=True)
class Answer:
    """A response; with `whole` off, the connection is closed half-way through the body."""

    status: int
    body: bytes
    sdk: bool = True
    whole: bool = True


class App:
    """The functions, and the log of what their steps did."""

    def __init__(self, port: int, effects: Path, server: str | None) -> None:
        self._url = f"http://127.0.0.1:{port}/api/inngest"
        self._server = server
        self._effects = effects.open("a")
        self._noise = random.Random(port)

    async def answer(self, method: str, target: str, body: bytes) -> Answer:
        """Answer a request of the server."""
        if method == "PUT":
            return await asyncio.to_thread(self._register)
        if method != "POST":
            return Answer(200, b"{}")
        asked = parse_qs(urlsplit(target).query)
        request = json.loads(body)
        if request["event"]["data"].get("stuck") and request["steps"]:
            return _ops(op("StepPlanned", "s0"))
        call = getattr(self, asked["fnId"][0].removeprefix(f"{APP}-"))
        good: Answer = await call(request, asked["stepId"][0])
        first = request["ctx"]["attempt"] == 0
        return await self._spoilt(good, request["event"]["data"].get("mood")) if first else good

    async def seq5(self, request: dict[str, Any], _target: str) -> Answer:
        """Run five steps, one after another."""
        for number in range(STEPS):
            if step(f"s{number}") not in request["steps"]:
                return await self._run(request, f"s{number}", number)
        return Answer(200, b'{"done":5}')

    async def par3(self, request: dict[str, Any], target: str) -> Answer:
        """Plan three steps and run each when it is asked for by its id."""
        names = [f"p{number}" for number in range(BRANCHES)]
        for number, name in enumerate(names):
            if step(name) == target:
                return await self._run(request, name, number)
        missing = [name for name in names if step(name) not in request["steps"]]
        if missing:
            return _ops(*(op("StepPlanned", name, name=name) for name in missing))
        return Answer(200, b'{"done":3}')

    async def sleeper(self, request: dict[str, Any], _target: str) -> Answer:
        """Sleep once."""
        if step("nap") in request["steps"]:
            return Answer(200, b'{"slept":true}')
        return _ops(op("Sleep", "nap", name=f"{request['event']['data']['seconds']}s"))

    async def stoppable(self, request: dict[str, Any], target: str) -> Answer:
        """Run five steps and rest, unless told not to, until cancelled by `raw/stop`."""
        if request["event"]["data"]["rests"] and len(request["steps"]) == STEPS:
            return _ops(op("Sleep", "rest", name="1h"))
        return await self.seq5(request, target)

    async def waiter(self, request: dict[str, Any], _target: str) -> Answer:
        """Wait for the `go` event of its own number."""
        if step("go") in request["steps"]:
            return Answer(200, json.dumps(request["steps"][step("go")]).encode())
        opts = {"timeout": "1h", "if": "async.data.n == event.data.n"}
        return _ops(op("WaitForEvent", "go", name=f"{APP}/go", opts=opts))

    async def invoker(self, request: dict[str, Any], _target: str) -> Answer:
        """Invoke `seq5` and return its answer."""
        if step("call") in request["steps"]:
            return Answer(200, json.dumps(request["steps"][step("call")]).encode())
        payload = {"data": {"takes": request["event"]["data"].get("takes", 0)}}
        opts = {"function_id": f"{APP}-seq5", "payload": payload, "timeout": "1h"}
        return _ops(op("InvokeFunction", "call", opts=opts))

    async def _run(self, request: dict[str, Any], name: str, data: int) -> Answer:
        """Run a step's body: note it, and let it last as long as the event says."""
        noted = {"run": request["ctx"]["run_id"], "step": name, "at": time.time()}
        self._effects.write(json.dumps(noted) + "\n")
        self._effects.flush()
        await asyncio.sleep(request["event"]["data"].get("takes", 0))
        return _ops(op("StepRun", name, data=data))

    async def _spoilt(self, good: Answer, mood: str | None) -> Answer:
        if mood == "slow":
            await asyncio.sleep(_SLOW_SECONDS)
        elif mood == "garbage":  # as from a broken proxy
            return Answer(200, self._noise.randbytes(512), sdk=False)
        elif mood == "babble":  # as from a broken SDK
            return Answer(206, self._noise.randbytes(512))
        elif mood == "cut":
            return Answer(good.status, good.body, whole=False)
        elif mood == "huge":
            return Answer(206, b"x" * _HUGE)
        elif mood == "500":
            return Answer(500, b'{"name":"Error","message":"not yet"}')
        return good

    def _register(self) -> Answer:
        if self._server is None:
            return Answer(500, b'{"message":"started without --server"}')
        functions = [_function(name, self._url) for name in FUNCTIONS]
        payload = {"appName": APP, "url": self._url, "sdk": "raw:v1", "functions": functions}
        sync = urllib.request.Request(
            f"{self._server}/fn/register",
            json.dumps(payload).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(sync, timeout=10) as reply:
            return Answer(200, reply.read())


def _ops(*ops: dict[str, Any]) -> Answer:
    return Answer(206, json.dumps(ops).encode())


def _function(name: str, url: str) -> dict[str, Any]:
    runtime = {"type": "http", "url": f"{url}?fnId={APP}-{name}&stepId=step"}
    # the default of three lasts two seconds in some tests: on a loaded machine an app starts longer
    retries = {"attempts": 6}
    return {
        "id": f"{APP}-{name}",
        "name": name,
        "triggers": [{"event": f"{APP}/{name}"}],
        "steps": {"step": {"id": "step", "name": "step", "runtime": runtime, "retries": retries}},
        "cancel": [STOP] if name == "stoppable" else [],
    }


async def _read(reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
    """Read one request; None when the client has gone."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    method, target, _ = lines[0].split(" ", 2)
    return method, target, body


async def _serve(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection until either side ends it."""
    try:
        while (request := await _read(reader)) is not None:
            answer = await app.answer(*request)
            headers = _SDK if answer.sdk else {}
            lines = [f"HTTP/1.1 {answer.status} OK", f"content-length: {len(answer.body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            sent = answer.body if answer.whole else answer.body[: len(answer.body) // 2]
            writer.write("\r\n".join([*lines, "", ""]).encode() + sent)
            await writer.drain()
            if not answer.whole:
                return
    except ConnectionError:
        pass  # a server that is killed cuts its connections
    finally:
        writer.close()


async def _main(port: int, effects: Path, server: str | None) -> None:
    app = App(port, effects, server)
    listening = await asyncio.start_server(
        lambda reader, writer: _serve(app, reader, writer), "127.0.0.1", port, backlog=1024
    )
    async with listening:
        await listening.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--effects", type=Path, required=True)
    parser.add_argument("--server", help="where a PUT makes it register")
    given = parser.parse_args()
    asyncio.run(_main(given.port, given.effects, given.server))
