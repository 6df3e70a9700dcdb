"""Realtime over real sockets: tokens, publishing, subscriptions by WebSocket and by SSE."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import requests
from websockets.sync.client import ClientConnection, connect

from tests.processes import LOOPBACK, Server

CHANNEL = "user:42"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("realtime")
    with Server("dev", "--in-memory", "--no-discovery", log=folder / "server.log") as server:
        yield server.start()


def token(server: Server, *names: str, channel: str = CHANNEL, **query: str) -> str:
    body = [{"channel": channel, "name": name, "kind": "run"} for name in names]
    reply = requests.post(f"{server.url}/v1/realtime/token", json=body, params=query, timeout=10)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["jwt"])


def subscribe(server: Server, *names: str, channel: str = CHANNEL) -> ClientConnection:
    made = token(server, *names, channel=channel)
    url = f"ws://{LOOPBACK}:{server.port}/v1/realtime/connect?token={quote(made)}"
    return connect(url).__enter__()


def publish(server: Server, data: Any, **query: str) -> requests.Response:
    query = {"channel": CHANNEL, "topic": "ai", **query}
    url = f"{server.url}/v1/realtime/publish"
    return requests.post(url, params=query, data=data, timeout=10)


def received(made: ClientConnection) -> Any:
    return orjson.loads(made.recv(10))


def test_a_message_reaches_its_subscribers(server: Server) -> None:
    first, other = subscribe(server, "ai", "status"), subscribe(server, "other")
    assert publish(server, b'{"text":\r\n "hi"}').status_code == 200
    message = received(first)
    assert message.pop("created_at").endswith("Z")
    assert message == {
        "kind": "data",
        "data": {"text": "hi"},
        "channel": CHANNEL,
        "env_id": "00000000-0000-4000-b000-000000000000",
        "topic": "ai",
    }
    assert publish(server, "plain", topic="other").status_code == 200
    assert received(other)["data"] == "plain"  # and not the first message
    first.close()
    other.close()


class Events:
    """A subscription by server-sent events."""

    def __init__(self, server: Server, made: str) -> None:
        self.reply = requests.get(
            f"{server.url}/v1/realtime/sse", params={"token": made}, stream=True, timeout=10
        )
        assert self.reply.status_code == 200, self.reply.text
        self._bytes = self.reply.raw.stream(1, decode_content=True)
        assert self.part() == b":"

    def part(self) -> bytes:
        """Read up to the next blank line."""
        found = b""
        while not found.endswith(b"\n\n"):
            found += next(self._bytes)
        return found[:-2]

    def message(self) -> Any:
        """Read the next message."""
        part = self.part()
        assert part.startswith(b"data: "), part
        return orjson.loads(part.removeprefix(b"data: "))


def test_server_sent_events(server: Server) -> None:
    events = Events(server, token(server, "ai"))
    assert events.reply.headers["content-type"].startswith("text/event-stream")
    assert events.reply.headers["access-control-allow-origin"] == "*"
    assert publish(server, b"[1,\n2]").status_code == 200
    assert events.message()["data"] == [1, 2]
    events.reply.close()


def chunks(*parts: bytes) -> Iterator[bytes]:
    yield from parts


def test_a_stream_comes_in_chunks(server: Server) -> None:
    made = subscribe(server, "ai")
    url = f"{server.url}/v1/realtime/publish"
    reply = requests.post(
        url,
        params={"channel": CHANNEL, "topic": "ai"},
        data=chunks("one é".encode()[:5], "é two".encode()[1:]),
        headers={"Content-Type": "text/stream"},
        timeout=10,
    )
    assert reply.status_code == 200, reply.text
    start, *middle, end = (received(made) for _ in range(4))
    assert (start["kind"], end["kind"]) == ("datastream-start", "datastream-end")
    stream_id = start["data"]
    assert end["data"] == stream_id
    assert "".join(one["data"] for one in middle) == "one é two"
    # TypeScript's SDK drops chunks without channel and topic
    assert {(one["kind"], one["stream_id"], one["channel"], one["topic"]) for one in middle} == {
        ("chunk", stream_id, CHANNEL, "ai")
    }
    made.close()


def test_tee_passes_bytes_on_to_followers_of_the_stream(server: Server) -> None:
    follower = Events(server, token(server, "$stream", channel="run-1"))
    other = subscribe(server, "ai", channel="run-1")
    url = f"{server.url}/v1/realtime/publish/tee"
    reply = requests.post(
        url, params={"channel": "run-1"}, data=chunks(b"event: a\n", b"data: 1\n\n"), timeout=10
    )
    assert (reply.status_code, reply.content) == (200, b"")
    assert follower.part() == b"event: a\ndata: 1"
    assert publish(server, b"1", channel="run-1").status_code == 200
    assert received(other)["data"] == 1
    assert requests.post(url, data=b"x", timeout=10).status_code == 400
    follower.reply.close()
    other.close()
