"""Realtime over real sockets: tokens, publishing, subscriptions by WebSocket and by SSE."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from inngest_py.domain.access import tokens
from tests.endpoint import Endpoint, send
from tests.processes import LOOPBACK, Server, wait_until

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
    return connect(url_of(server, made), max_size=None).__enter__()


def metrics(server: Server) -> str:
    return requests.get(f"{server.url}/metrics", timeout=10).text


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
        self._parts, self._read = self.reply.raw.stream(1024 * 1024), b""
        assert self.part() == b":"

    def part(self) -> bytes:
        """Read up to the next blank line."""
        while b"\n\n" not in self._read:
            self._read += next(self._parts)
        found, _, self._read = self._read.partition(b"\n\n")
        return found

    def message(self) -> Any:
        """Read the next message."""
        part = self.part()
        assert part.startswith(b"data: "), part
        return orjson.loads(part.removeprefix(b"data: "))


def test_server_sent_events(server: Server) -> None:
    events = Events(server, token(server, "ai"))
    assert events.reply.headers["content-type"].startswith("text/event-stream")
    assert events.reply.headers["access-control-allow-origin"] == "*"
    assert events.reply.headers["x-accel-buffering"] == "no"
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


def url_of(server: Server, made: str) -> str:
    return f"ws://{LOOPBACK}:{server.port}/v1/realtime/connect?token={quote(made)}"


def ask(made: ClientConnection, kind: str, data: object) -> Any:
    made.send(orjson.dumps({"kind": kind, "data": data}).decode())
    reply = received(made)
    assert reply["kind"] == kind
    return reply["data"]


def test_topics_are_added_and_removed(server: Server) -> None:
    made = subscribe(server, "ai")
    made.send("garbage")
    made.send(b"\x00\xff")
    made.send('{"kind":"dance"}')
    ai, more = ({"channel": CHANNEL, "name": name, "kind": "run"} for name in ("ai", "more"))
    assert ask(made, "sub", token(server, "more")) == {"topics": [ai, more]}
    assert ask(made, "unsub", [ai]) == {"topics": [more]}
    assert ask(made, "sub", "forged") == {"error": "the token is not valid"}
    assert "must be a token" in ask(made, "sub", None)["error"]
    assert "[0].name" in ask(made, "unsub", [{"channel": CHANNEL}])["error"]
    publish(server, b"1")
    publish(server, b"2", topic="more")
    assert received(made)["data"] == 2
    made.close()


def test_a_client_that_sends_too_much_is_closed(server: Server) -> None:
    made = subscribe(server, "ai")
    made.send("x" * 70_000)
    assert received(made)["kind"] == "closing"
    with pytest.raises(ConnectionClosed) as found:
        made.recv(5)
    assert found.value.rcvd is not None
    assert found.value.rcvd.code == 1009


NOT_AUTHENTICATED = {"error": "Not authenticated", "data": None, "status": 401}


@pytest.mark.parametrize("bad", ["", "garbage", "é", "x" * 5000, "expired", "connect"])
def test_bad_tokens_are_refused(server: Server, bad: str) -> None:
    now = int(time.time())
    secret = tokens.secrets(())[0]
    made = {
        "expired": lambda: tokens.realtime([], secret, now - 61, publish=False),
        "connect": lambda: tokens.connect_session("x", secret, now),
    }.get(bad, lambda: bad)()
    with pytest.raises(InvalidStatus) as found:
        connect(url_of(server, made))
    assert found.value.response.status_code == 401
    assert orjson.loads(found.value.response.body) == NOT_AUTHENTICATED
    for path in ("sse", "connect"):
        url = f"{server.url}/v1/realtime/{path}"
        reply = requests.get(url, params={"token": made}, timeout=10)
        assert (reply.status_code, reply.json()) == (401, NOT_AUTHENTICATED)
        assert reply.headers["access-control-allow-origin"] == "*"


def test_what_is_no_websocket_is_told_so(server: Server) -> None:
    headers = {"Authorization": f"Bearer {token(server, 'ai')}"}
    url = f"{server.url}/v1/realtime/connect"
    assert requests.get(url, headers=headers, timeout=10).status_code == 426
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert requests.get(url, headers=headers | upgrade, timeout=10).status_code in (400, 426)
    asked = {"Access-Control-Request-Headers": "authorization", "Origin": "https://a.example"}
    reply = requests.options(f"{server.url}/v1/realtime/sse", headers=asked, timeout=10)
    assert reply.status_code == 204
    assert reply.headers["access-control-allow-headers"] == "authorization"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "JSON"),
        (b"{}", "must be an array"),
        (b"[]", "at least one topic"),
        (b"[1]", "[0] must be an object"),
        (b'[{"channel":"c","name":""}]', "[0].name"),
        (b'[{"channel":"c","name":"n","kind":"odd"}]', "[0].kind"),
        (orjson.dumps([{"channel": "c" * 500, "name": "n"}] * 50), "too many topics"),
    ],
)
def test_bad_topics_are_explained(server: Server, body: bytes, said: str) -> None:
    reply = requests.post(f"{server.url}/v1/realtime/token", data=body, timeout=10)
    assert reply.status_code == 400
    assert said in reply.json()["error"]


def test_bad_publishing_is_explained(server: Server) -> None:
    for query, said in (
        ({"channel": ""}, "channel is missing"),
        ({"topic": ""}, "topic is missing"),
        ({"metadata": "{"}, "metadata must be JSON"),
        ({"run_id": "x"}, "is not a run id"),
    ):
        reply = publish(server, b"1", **query)
        assert reply.status_code == 400
        assert said in reply.text
        assert reply.headers["content-type"].startswith("text/plain")


def test_bodies_are_bounded_by_what_was_read(server: Server) -> None:
    made = subscribe(server, "ai")
    most = 512 * 1024
    assert publish(server, b"x" * (most + 1)).status_code == 413
    assert publish(server, chunks(b"x" * most, b"y")).status_code == 413
    assert publish(server, b"x" * most).status_code == 200
    assert received(made)["data"] == "x" * most
    url = f"{server.url}/v1/realtime/publish"
    query = {"channel": CHANNEL, "topic": "ai"}
    headers = {"Content-Type": "text/stream"}
    many_words, too_much = [b"z"] * 1001, [b"z" * 1024 * 1000, b"!"]
    for pieces, status in ((many_words, 200), (too_much, 413)):
        body = chunks(*pieces)
        reply = requests.post(url, params=query, data=body, headers=headers, timeout=20)
        assert (reply.status_code, "1024000 bytes" in reply.text) == (status, status == 413)
        assert received(made)["kind"] == "datastream-start"
        text = ""
        while (message := received(made))["kind"] == "chunk":
            text += message["data"]
        assert message["kind"] == "datastream-end"
        assert len(text) == min(1024 * 1000, len(b"".join(pieces)))
    made.close()


def test_a_token_may_publish_if_it_says_so(server: Server) -> None:
    made = subscribe(server, "ai")
    url = f"{server.url}/v1/realtime/publish"

    def status(bearer: str, topic: str) -> int:
        query, headers = {"channel": CHANNEL, "topic": topic}, {"Authorization": f"Bearer {bearer}"}
        return requests.post(url, b"1", params=query, headers=headers, timeout=10).status_code

    assert status(token(server, "ai"), "ai") == 401  # it is for subscribing
    some, every = token(server, "ai", publish="true"), token(server, publish="true")
    assert [status(some, "ai"), status(some, "other"), status(every, "other")] == [200, 401, 200]
    refused = requests.post(url, b"1", params={"token": "forged"}, timeout=10)
    assert (refused.status_code, refused.json()) == (401, NOT_AUTHENTICATED)
    assert received(made)["data"] == 1
    made.close()


def test_a_slow_reader_is_cut_off_and_others_are_not(server: Server) -> None:
    """Nobody waits for it: a message that it would not read costs a publisher nothing."""
    slow = connect(url_of(server, token(server, "big")), max_size=None, max_queue=1).__enter__()
    events = Events(server, token(server, "big"))
    quick = subscribe(server, "big", "ai")
    size, seen = 400 * 1024, 0
    deadline = time.monotonic() + 60
    while "inngest_realtime_slow_readers_total 2.0" not in metrics(server):
        assert time.monotonic() < deadline
        assert publish(server, b"x" * size, topic="big").elapsed.total_seconds() < 5
        seen += 1
        assert len(received(quick)["data"]) == size
    with pytest.raises(ConnectionClosed) as found:
        while True:
            last = received(slow)
    assert last["kind"] == "closing"
    assert found.value.rcvd is not None
    assert (found.value.rcvd.code, found.value.rcvd.reason) == (1013, last["data"])
    kinds = []
    with suppress(StopIteration):
        while True:
            kinds.append(events.message()["kind"])
    assert (kinds[0], kinds[-1]) == ("data", "closing")
    assert len(kinds) < seen
    quick.close()


def test_a_run_is_followed(server: Server) -> None:
    with Endpoint() as endpoint:
        endpoint.register(server.url)
        endpoint.hold = 4
        send(server.url)
        wait_until(lambda: len(endpoint.calls) == 5, 20, "the run has four steps")
        run_id = endpoint.calls[0][0]
        made = subscribe(server, "$run", "$step", channel=run_id)
        endpoint.go.set()
        step, run = received(made), received(made)
        assert (step["kind"], step["topic"], step["fn_slug"]) == ("step", "s4", "raw-five")
        assert run["data"] == {"status": "completed", "result": {"ok": True}}
        made.close()


def test_a_frame_that_is_none(server: Server) -> None:
    other = subscribe(server, "ai")
    with socket.create_connection((LOOPBACK, server.port), timeout=5) as raw:
        path = f"/v1/realtime/connect?token={token(server, 'ai')}"
        head = (
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        raw.sendall(head.encode())
        assert b"101" in raw.recv(4096)
        raw.sendall(b"\xff" * 64)
        while raw.recv(4096):
            pass
    assert publish(server, b"1").status_code == 200
    assert received(other)["data"] == 1
    other.close()
