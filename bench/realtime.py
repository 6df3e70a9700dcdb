"""How soon does a published message reach a thousand subscribers of its topic?

    python -m bench.realtime [--mode embedded] [--subscribers 1000] [--messages 200] [--rate 10]

First messages are published at `rate` a second, each by a request of its own; a message's time
runs from the start of its request until the last subscriber has read it. Then, to see how much goes
through, messages are published as fast as they are taken. Subscribers read bytes and look for the
message's number: a WebSocket library in Python could not read so fast. `cpu_ms_a_message` is the
server's alone. Times mean something on an idle machine only.
"""

import argparse
import asyncio
import json
import os
import re
import select
import socket
import threading
import time
from base64 import b64encode
from statistics import quantiles

from .endpoint import FUNCTIONS
from .load import Connection
from .scenarios import Figures, Incomplete
from .server import MODES, Subject, fetch

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 60.0
_NUMBER = re.compile(rb'"data":\{"n":(\d+),')
_TEXT = "x" * 100


class _Message:
    """What is known of a message: when its publisher began, and who has read it."""

    def __init__(self, readers: int) -> None:
        self.left = readers
        self.sent_at = self.read_at = 0.0


class _Readers:
    """All subscribers: a thread reads their sockets, since asyncio would take twice as long."""

    def __init__(self, messages: list[_Message]) -> None:
        self._messages = messages
        self._epoll = select.epoll()
        self._rests: dict[int, bytes] = {}
        self._is_over = False
        self._sockets: list[socket.socket] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def open(self, port: int, head: bytes) -> None:
        """Subscribe once more."""
        made = socket.create_connection((_HOST, port), timeout=_PATIENCE_SECONDS)
        made.sendall(head)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            if not (byte := made.recv(1)):
                raise Incomplete("the server closed a subscription")
            answer += byte
        if not answer.startswith(b"HTTP/1.1 101"):
            raise Incomplete(answer.decode())
        self._sockets.append(made)
        self._rests[made.fileno()] = b""
        self._epoll.register(made.fileno(), select.EPOLLIN)

    def start(self) -> None:
        """Read from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading, and close all."""
        self._is_over = True
        self._thread.join()
        for one in self._sockets:
            one.close()

    def _read(self) -> None:
        messages, rests = self._messages, self._rests
        while not self._is_over:
            for descriptor, _ in self._epoll.poll(0.1):
                data = rests[descriptor] + os.read(descriptor, 65536)
                end, now = 0, time.perf_counter()
                for found in _NUMBER.finditer(data):
                    message, end = messages[int(found[1])], found.end()
                    message.left -= 1
                    message.read_at = now
                rests[descriptor] = data[max(end, len(data) - 100) :]


def main() -> None:
    """Measure what the arguments say; print JSON."""
    parser = argparse.ArgumentParser(prog="bench.realtime", description=__doc__)
    parser.add_argument("--mode", choices=[*MODES, "both"], default="both")
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--rate", type=float, default=10.0)
    given = parser.parse_args()
    modes = MODES if given.mode == "both" else (given.mode,)
    found = {mode: measure(mode, given.subscribers, given.messages, given.rate) for mode in modes}
    shown = {"results": found, "cores": os.cpu_count(), "load_average": os.getloadavg()[0]}
    print(json.dumps(shown, indent=1))


def measure(mode: str, subscribers: int, count: int, rate: float) -> Figures:
    """Publish so many messages to so many subscribers, twice."""
    with Subject(mode) as subject:
        subject.start(FUNCTIONS)
        empty = sum(subject.memory_mb())
        return asyncio.run(_measure(subject, subscribers, count, rate)) | {
            "kb_a_subscriber": (sum(subject.memory_mb()) - empty) * 1000 / subscribers
        }


async def _measure(subject: Subject, subscribers: int, count: int, rate: float) -> Figures:
    messages = [_Message(subscribers) for _ in range(2 * count)]
    began = time.perf_counter()
    readers = _subscribe(subject, subscribers, messages)
    opened = time.perf_counter() - began
    publisher = Connection(subject.server.port)
    await publisher.open()
    cpu = subject.cpu_seconds()
    for number in range(count):
        await _publish(publisher, number, messages)
        await asyncio.sleep(max(0.0, messages[number].sent_at + 1 / rate - time.perf_counter()))
    await _all_read(messages[:count])
    paced_cpu = subject.cpu_seconds() - cpu
    for number in range(count, 2 * count):
        await _publish(publisher, number, messages)
    await _all_read(messages[count:])
    publisher.close()
    readers.close()
    return _figures(messages[:count], messages[count:], subscribers, paced_cpu, opened)


def _figures(
    paced: list[_Message], fast: list[_Message], subscribers: int, cpu: float, opened: float
) -> Figures:
    times = [1000 * (one.read_at - one.sent_at) for one in paced]
    cuts = quantiles(times, n=100)
    seconds = max(one.read_at for one in fast) - fast[0].sent_at
    return {
        "subscribers": float(subscribers),
        "opened_a_second": subscribers / opened,
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "max_ms": max(times),
        "cpu_ms_a_message": 1000 * cpu / len(paced),
        "messages_a_second": len(fast) / seconds,
        "deliveries_a_second": len(fast) * subscribers / seconds,
    }


def _subscribe(subject: Subject, subscribers: int, messages: list[_Message]) -> _Readers:
    """Open all subscriptions, one after the other."""
    url = f"{subject.server.url}/v1/realtime/token"
    token = fetch(url, [{"channel": "bench", "name": "news", "kind": "run"}])["jwt"]
    head = (
        f"GET /v1/realtime/connect?token={token} HTTP/1.1\r\nHost: {_HOST}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {b64encode(os.urandom(16)).decode()}\r\n\r\n"
    ).encode()
    readers = _Readers(messages)
    for _ in range(subscribers):
        readers.open(subject.server.port, head)
    readers.start()
    return readers


async def _publish(publisher: Connection, number: int, messages: list[_Message]) -> None:
    body = json.dumps({"n": number, "text": _TEXT}, separators=(",", ":")).encode()
    messages[number].sent_at = time.perf_counter()
    status = await publisher.post(body, "/v1/realtime/publish?channel=bench&topic=news")
    if status != 200:
        raise Incomplete(f"publish: HTTP {status}")


async def _all_read(messages: list[_Message]) -> None:
    deadline = time.perf_counter() + _PATIENCE_SECONDS
    while left := sum(one.left for one in messages):
        if time.perf_counter() > deadline:
            raise Incomplete(f"{left} messages have not been read")
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    main()
