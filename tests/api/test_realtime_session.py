"""A subscriber that goes silent, streams that end, and who may publish: in this process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest

from inngest_py.api.realtime import event_streams, session
from inngest_py.api.realtime.event_streams import EventStream
from inngest_py.api.realtime.session import Session
from inngest_py.domain.access import tokens
from inngest_py.domain.realtime.messages import Delivery
from inngest_py.domain.realtime.topics import STREAM, Topic
from inngest_py.engine.runtime.context import Context
from tests.api.conftest import Service
from tests.processes import LOOPBACK, wait_until

KEY = "signkey-test-00112233"
TOPIC = Topic("c", "t")


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection by TCP: the client's end, and the server's."""
    with (
        socket.create_server((LOOPBACK, 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        server, _ = listening.accept()
        with server:
            client.settimeout(10)
            yield client, server


def served(ctx: Context, server: socket.socket) -> threading.Thread:
    environ = {
        "PATH_INFO": "/v1/realtime/connect",
        "HTTP_HOST": "x",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
    }
    made = Session(ctx, server, environ, tokens.secrets(()))
    thread = threading.Thread(target=made.run, args=((TOPIC,),))
    thread.start()
    return thread


def read_until(client: socket.socket, end: bytes) -> bytes:
    found = b""
    while not found.endswith(end):
        more = client.recv(4096)
        assert more, found
        found += more
    return found


def test_a_client_that_answers_no_ping_is_closed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PING_SECONDS", 0.05)
    hub = service.engine.ctx.hub
    with pair() as (client, server):
        thread = served(service.engine.ctx, server)
        read_until(client, b"\r\n\r\n" + b"\x89\x00" * 2)
        client.sendall(b"\x8a\x80\0\0\0\0")  # one answer, and no more
        found = read_until(client, b"no answer to pings")
        # a ping may have left before the answer came
        assert found.count(b"\x89\x00") in (3, 4)
        assert b'"kind":"closing"' in found
        assert (1011).to_bytes(2, "big") + b"no answer to pings" in found
        assert hub.subscribers == 1
        client.close()
        thread.join(10)
    assert hub.subscribers == 0


def test_messages_wait_for_the_end_of_the_handshake(service: Service) -> None:
    ctx = service.engine.ctx
    with pair() as (client, server):
        thread = served(ctx, server)
        wait_until(lambda: ctx.hub.subscribers == 1)
        ctx.hub.publish(Delivery((TOPIC,), '"first"'))
        found = read_until(client, b'"first"')
        assert found.startswith(b"HTTP/1.1 101")
        client.close()
        thread.join(10)


def test_a_stream_of_events_stays_alive_and_ends(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "KEEP_ALIVE_SECONDS", 0.01)
    ctx, now = service.engine.ctx, [0.0]
    topics = (TOPIC, Topic("c", STREAM))
    stream = EventStream(ctx, lambda: now[0]).stream(topics)
    assert [next(stream), next(stream)] == [b":\n\n"] * 2
    ctx.hub.publish(Delivery((topics[1],), b"event: half"))
    assert next(stream) == b"event: half"
    assert next(stream) == b""  # a comment would end the event
    ctx.hub.publish(Delivery((topics[1],), b" done\n\n"))
    ctx.hub.publish(Delivery((TOPIC,), "1"))
    assert next(stream) == b" done\n\ndata: 1\n\n"
    assert next(stream) == b":\n\n"
    now[0] = 15 * 60.0
    assert list(stream) == [b""]
    assert ctx.hub.subscribers == 0


def test_a_server_that_stops_says_closing(service: Service) -> None:
    hub = service.engine.ctx.hub
    stream = EventStream(service.engine.ctx).stream((TOPIC,))
    with pair() as (client, server):
        thread = served(service.engine.ctx, server)
        read_until(client, b"\r\n\r\n")
        assert next(stream) == b":\n\n"
        stopping = threading.Thread(target=hub.close, args=(10,))
        stopping.start()
        found = read_until(client, (1001).to_bytes(2, "big") + b"closing")
        assert b'"kind":"closing"' in found
        assert b'"kind":"closing"' in b"".join(stream)
        client.close()
        for one in (thread, stopping):
            one.join(10)
            assert not one.is_alive()


def test_publishing_needs_the_key_or_a_token(service: Service) -> None:
    client = service.with_settings(dev=False, signing_key=KEY, event_keys=("k",))
    key = {"Authorization": f"Bearer {KEY}"}
    topics = [{"channel": "c", "name": "t"}]
    hub = service.engine.ctx.hub
    assert client.post("/v1/realtime/token", json=topics).status_code == 401
    url = "/v1/realtime/publish?channel=c&topic=t"
    for refused in ({}, {"Authorization": "Bearer other"}):
        for path in (url, "/v1/realtime/publish/tee?channel=c"):
            reply = client.post(path, data=b"1", headers=refused)
            assert (reply.status_code, reply.json["error"]) == (401, "Not authenticated")
    assert hub.published == 0
    made = client.post("/v1/realtime/token?publish=1", json=topics, headers=key)
    assert made.status_code == 201
    assert client.post(url, data=b"1", headers=key).status_code == 200
    given = made.json["jwt"]
    assert client.post(f"{url}&token={given}", data=b"1").status_code == 200
    assert hub.published == 2
    seen = client.get(f"/v1/realtime/sse?token={given}")
    assert seen.status_code == 401  # it is for publishing


def test_a_published_message_has_its_run_and_metadata(service: Service) -> None:
    stream = EventStream(service.engine.ctx).stream((TOPIC,))
    next(stream)
    run_id = "01J00000000000000000000000"
    query = {"channel": "c", "topic": "t", "run_id": run_id, "metadata": '{"a":\n1}'}
    for body in (b"\xff", b"{", b"9007199254740993"):
        assert (
            service.client.post("/v1/realtime/publish", query_string=query, data=body).status_code
            == 200
        )
    first, *others = [
        orjson.loads(part.removeprefix(b"data: ")) for part in next(stream).split(b"\n\n")[:-1]
    ]
    assert (first["data"], first["run_id"], first["metadata"]) == ("\ufffd", run_id, {"a": 1})
    assert [one["data"] for one in others] == ["{", 9007199254740993]
    stream.close()
