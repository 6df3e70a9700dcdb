"""An SDK app as cheap as it can be: hand-written HTTP on asyncio, answers made beforehand.

It notes when each run was first called and when it was answered with its result.
"""

import argparse
import asyncio
import hashlib
import time
from typing import Any, ClassVar

import orjson

FUNCTIONS = (
    *("noop", "seq5", "par10", "sleep", "held", "wait", "debounce", "batch"),
    *("limited", "fair"),
)
CONNECTED = ("noop", "seq5", "par10")  # functions that connected workers have, too
RULES: dict[str, Any] = {
    "debounce": {"debounce": {"period": "2s"}},
    "batch": {"batchEvents": {"maxSize": 100, "timeout": "10s"}},
    "limited": {"concurrency": [{"limit": 10, "key": "int(event.data.i) % 100"}]},
    # the events of one tenant have indices from 0, those of others negative ones
    "fair": {"concurrency": [{"limit": 10, "key": "event.data.i < 0 ? event.data.i : 0"}]},
}
_SDK = "x-inngest-sdk: bench:v0.1.0\r\nx-inngest-req-version: 2\r\nx-inngest-no-retry: false\r\n"


def step_hash(name: str) -> str:
    """Hash a step id as SDKs do."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


def _answer(status: int, body: Any, sdk: str = _SDK) -> bytes:
    text = orjson.dumps(body)
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{sdk}"
    return f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text


def _op(op: str, step: str, name: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "id": step, "name": name, "displayName": name, **more}


_DONE = _answer(200, {"done": True})
_SEQ = [
    _answer(206, [_op("StepRun", step_hash(f"s{n}"), f"s{n}", data={"n": n})]) for n in range(5)
]
_PAR = {step_hash(f"p{n}"): f"p{n}" for n in range(10)}
_PLAN = _answer(206, [_op("StepPlanned", step, name) for step, name in _PAR.items()])
_TARGETED = {
    step: _answer(206, [_op("StepRun", step, name, data={"name": name})])
    for step, name in _PAR.items()
}
_COMPLETE = _answer(206, [_op("RunComplete", step_hash("complete"), "", data=1)])
_SLEEP = _answer(206, [_op("Sleep", step_hash("nap"), "1s")])
_WAITS = {"timeout": "1h", "if": "async.data.i == event.data.i"}
_WAIT = _answer(206, [_op("WaitForEvent", step_hash("go"), "bench/go", opts=_WAITS)])


def reply(function: str, step: str, memo: dict[str, Any]) -> bytes:
    """Answer one call; `_DONE` is the only answer that ends a run."""
    if function in ("seq5", "limited"):
        return _SEQ[len(memo)] if len(memo) < len(_SEQ) else _DONE
    if function == "par10":
        if step != "step":
            return _TARGETED[step]
        return _DONE if len(memo) == len(_PAR) else _PLAN
    if function == "sleep":
        return _DONE if memo else _SLEEP
    if function == "wait":
        return _DONE if memo else _WAIT
    return _DONE


class Record:
    """What was seen since the last reset."""

    def __init__(self) -> None:
        self.calls = 0
        self.finished = 0
        self.repeated = 0
        self.runs: dict[str, list[Any]] = {}
        # calls of `held`, which are answered when they are released
        self.held: list[tuple[asyncio.Transport, Any]] = []

    def note(self, run_id: str, index: int, now: float, done: bool) -> None:
        """Note a call of a run."""
        self.calls += 1
        entry = self.runs.get(run_id)
        if entry is None:
            entry = self.runs[run_id] = [index, now, None]
        if not done:
            return
        if entry[2] is None:
            entry[2] = now
            self.finished += 1
        else:
            self.repeated += 1

    def stats(self) -> bytes:
        """Write everything out: runs are [event index, first call, finished]."""
        return _answer(200, self.counts() | {"runs": list(self.runs.values())}, "")

    def release(self) -> bytes:
        """Answer every held call."""
        for transport, _ in self.held:
            transport.write(_COMPLETE)
        self.finished += len(self.held)
        self.held = []
        return _answer(200, {})

    def counts(self) -> dict[str, Any]:
        """Count calls and runs."""
        return {"calls": self.calls, "finished": self.finished, "repeated": self.repeated}


class Endpoint(asyncio.Protocol):
    """One keep-alive connection."""

    record = Record()
    workers: ClassVar[list[tuple[Any, asyncio.Future[None]]]] = []

    def __init__(self) -> None:
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete request that is here."""
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end]
            total = end + 4 + _length(head)
            if len(self._data) < total:
                return
            body, self._data = self._data[end + 4 : total], self._data[total:]
            assert self._transport is not None
            self._transport.write(self._handle(head, body))

    def _handle(self, head: bytes, body: bytes) -> bytes:
        method, target, _ = head[: head.find(b"\r\n")].split(b" ", 2)
        if method == b"POST" and body:
            return self._call(target.decode(), body)
        if target == b"/stats":
            return self.record.stats()
        if target == b"/count":
            return _answer(200, self.record.counts(), "")
        if target.startswith(b"/connect?"):
            return self._connect(target.decode().partition("?")[2])
        if target == b"/connected":
            ready = sum(worker.is_ready.is_set() for worker, _ in self.workers)
            return _answer(200, {"ready": ready}, "")
        if target == b"/held":
            return _answer(200, [context for _, context in self.record.held])
        if target == b"/release":
            return self.record.release()
        if target == b"/reset":
            Endpoint.record = Record()
            return _answer(200, {}, "")
        return _answer(200, {})

    def _call(self, target: str, body: bytes) -> bytes:
        now = time.time()
        query = dict(part.split("=", 1) for part in target.partition("?")[2].split("&"))
        sent = orjson.loads(body)
        function = query["fnId"].rpartition("-")[2]
        if function == "held":
            assert self._transport is not None
            self.record.held.append((self._transport, sent["ctx"]))
            return b""
        return self._answer(function, query["stepId"], sent, now)

    @classmethod
    def _answer(
        cls, function: str, step: str, sent: dict[str, Any], now: float | None = None
    ) -> bytes:
        at = time.time() if now is None else now
        found = reply(function, step, sent["steps"])
        index = sent["event"]["data"].get("i", -1)
        cls.record.note(sent["ctx"]["run_id"], index, at, found is _DONE)
        return found

    def _connect(self, query: str) -> bytes:
        """Connect so many workers to a server."""
        from .connected import PREFIX, Worker

        given = dict(part.split("=", 1) for part in query.split("&"))
        names = [f"{PREFIX}{name}" for name in CONNECTED]
        for _ in range(int(given["count"])):
            worker = Worker(given["server"], names, self._answer, len(self.workers))
            self.workers.append((worker, asyncio.ensure_future(worker.run())))
        return _answer(200, {}, "")


def _length(head: bytes) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    end = head.find(b"\r\n", at + 2)
    return int(head[at + 17 : end if end > 0 else None])


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Endpoint, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
