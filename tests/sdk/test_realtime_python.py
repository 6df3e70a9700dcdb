"""`inngest_py.sdk.realtime` with the Python SDK: publish in runs and outside, follow, tokens."""

import asyncio
import json
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import inngest
import pytest
from inngest.experimental import realtime as sdk_realtime
from websockets.sync.client import connect

from inngest_py.sdk import realtime
from tests.processes import LOOPBACK, Server, free_port, wait_until

from .app_process import SdkApp
from .client import Api

KEY, OLD_KEY, OTHER_KEY = "signkey-prod-12345678", "signkey-prod-00aa11bb", "signkey-prod-ffff0000"


def client_of(server: Server, **options: Any) -> inngest.Inngest:
    return inngest.Inngest(app_id="tests", is_production=False, api_base_url=server.url, **options)


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[inngest.Inngest]:
    made = client_of(server)
    yield made
    made._http_client._http_client_sync.close()  # the SDK leaves its connections open


@pytest.fixture(scope="module")
def app(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SdkApp]:
    folder = tmp_path_factory.mktemp("realtime")
    with SdkApp("python-realtime", server.url, folder).start() as app:
        assert app.register().status_code == 200, app.log_tail()
        yield app


@pytest.mark.parametrize("style", ["blocking", "async"])
def test_run_publishes_each_message_once(
    server: Server, app: SdkApp, client: inngest.Inngest, style: str
) -> None:
    api, channel = Api(server.url), f"user:{style}"
    with realtime.subscribe(client, channel, ["status"]) as messages:
        event = api.send(f"{app.kind}/told-{style}", {"channel": channel})
        run = api.run(event)
        assert (run["status"], run["output"]) == ("Completed", "told"), app.log_tail()
        realtime.publish(client, channel, "status", "the end")
        found = list(iter(lambda: next(messages).data, "the end"))
    assert len(app.effects(run["run_id"])) > 5, "the function's body ran once for each step"
    assert found[:2] == [{"n": 1}, "in a step"]
    assert (sorted(found[2:4]), found[4:]) == (["by side", "side"], [None])


def test_message_says_where_it_comes_from(
    server: Server, app: SdkApp, client: inngest.Inngest
) -> None:
    api = Api(server.url)
    with realtime.subscribe(client, "user:1", ["status"]) as messages:
        event = api.send(f"{app.kind}/told-blocking", {"channel": "user:1"})
        in_run = next(messages)
        run = api.run(event)
    assert (in_run.kind, in_run.channel, in_run.topic) == ("data", "user:1", "status")
    assert in_run.run_id == run["run_id"]
    assert in_run.created_at is not None
    assert in_run.created_at.tzinfo is not None


@pytest.mark.parametrize("style", ["blocking", "async"])
def test_refused_message_fails_the_run_at_once(server: Server, app: SdkApp, style: str) -> None:
    api = Api(server.url)
    run = api.run(api.send(f"{app.kind}/refused-{style}", {"channel": "user:2"}))
    assert run["status"] == "Failed"
    assert run["output"]["name"] == "RealtimeRefused", run
    assert "HTTP 413" in run["output"]["message"]
    assert len(app.effects(run["run_id"])) == 1


def test_async_code(client: inngest.Inngest) -> None:
    async def follow() -> list[Any]:
        found = []
        async with realtime.subscribe(client, "user:3", ["a", "b"]) as messages:
            for topic in ("a", "unknown", "b"):
                await realtime.publish_async(client, "user:3", topic, {"of": topic})
            async for message in messages:
                found.append((message.topic, message.data))
                if message.topic == "b":
                    await messages.aclose()
        return found

    assert asyncio.run(follow()) == [("a", {"of": "a"}), ("b", {"of": "b"})]


def test_close_ends_a_thread_that_waits(client: inngest.Inngest) -> None:
    found: list[realtime.Message] = []
    with realtime.subscribe(client, "user:4", ["status"]) as messages:
        reader = threading.Thread(target=lambda: found.extend(messages))
        reader.start()
        realtime.publish(client, "user:4", "status", 1)
        wait_until(lambda: found, 10, "the message")
    reader.join(10)
    assert not reader.is_alive()
    assert [message.data for message in found] == [1]


def test_token_is_for_browsers(server: Server, client: inngest.Inngest) -> None:
    token = realtime.token(client, "user:5", ["status"])
    assert asyncio.run(realtime.token_async(client, "user:5", ["status"]))
    url = f"ws://{LOOPBACK}:{server.port}/v1/realtime/connect?token={token}"
    with connect(url, compression=None) as socket:
        realtime.publish(client, "user:5", "status", "héllo")
        assert json.loads(socket.recv(10))["data"] == "héllo"


def test_what_the_sdk_has_of_it(client: inngest.Inngest) -> None:
    """Its experimental module publishes and makes tokens."""
    with realtime.subscribe(client, "user:6", ["status"]) as messages:
        sdk_realtime.publish_sync(client, "user:6", "status", {"n": 1})
        assert next(messages).data == {"n": 1}
    assert sdk_realtime.get_subscription_token_sync(client, "user:6", ["status"])["key"]


def test_first_connection_must_succeed() -> None:
    nobody = inngest.Inngest(
        app_id="tests", is_production=False, api_base_url=f"http://{LOOPBACK}:{free_port()}"
    )
    with pytest.raises(realtime.RealtimeError, match="ConnectError"):
        next(realtime.subscribe(nobody, "user:7", ["status"]))
    with pytest.raises(realtime.RealtimeError, match="did not publish"):
        realtime.publish(nobody, "user:7", "status", 1)


def test_subscription_outlives_the_server(tmp_path: Path) -> None:
    """After a restart with a new key, it goes on with a new token, by the fallback key."""

    def start(key: str) -> Server:
        env = {"INNGEST_DEV": None, "INNGEST_EVENT_KEY": "x", "INNGEST_SIGNING_KEY": key}
        url = f"sqlite:///{tmp_path / 'server.db'}"
        return Server(
            *("start", "--database-url", url), log=tmp_path / "server.log", env=env, port=port
        ).start()

    port = free_port()
    found: list[Any] = []
    with start(KEY) as server:
        client, other = client_of(server, signing_key=KEY), client_of(server, signing_key=OTHER_KEY)
        client._signing_key_fallback = OLD_KEY
        with pytest.raises(realtime.RealtimeRefused, match=r"HTTP 401.*INNGEST_SIGNING_KEY"):
            realtime.publish(other, "user:8", "status", 1)
        with pytest.raises(realtime.RealtimeRefused, match="INNGEST_SIGNING_KEY"):
            next(realtime.subscribe(other, "user:8", ["status"]))
        subscription = realtime.subscribe(client, "user:8", ["status"])
        with subscription as messages:
            reader = threading.Thread(target=lambda: found.extend(messages))
            reader.start()
            realtime.publish(client, "user:8", "status", "before")
            wait_until(lambda: found, 10, "the first message")
            server.kill9()
            with start(OLD_KEY):

                def published() -> bool:
                    realtime.publish(client, "user:8", "status", "after")
                    return len(found) > 1

                wait_until(published, 30, "a message after the restart")
    reader.join(10)
    assert [message.data for message in islice(found, 2)] == ["before", "after"]
