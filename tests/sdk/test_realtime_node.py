"""The TypeScript SDKs' realtime: publish by step, client and middleware, and subscribe."""

from collections.abc import Iterator
from typing import Any

import inngest
import pytest

from inngest_py.sdk import realtime
from tests.processes import Server, wait_until

from .app_process import SdkApp
from .client import Api


@pytest.fixture(scope="module", params=["ts-v4-realtime", "ts-v3-realtime"])
def app(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SdkApp]:
    """An app that is subscribed to two channels, each by another kind of token."""
    kind: str = request.param
    with SdkApp(kind, server.url, tmp_path_factory.mktemp(kind)).start() as app:
        assert app.register().status_code == 200, app.log_tail()
        yield app


def messages(app: SdkApp, channel: str) -> list[dict[str, Any]]:
    lines = [line for line in app.effects() if line["step"] == "message"]
    return [line for line in lines if line["channel"] == channel]


@pytest.mark.parametrize("channel", ["room", "lobby"])
def test_messages_of_a_run(server: Server, app: SdkApp, channel: str) -> None:
    api, channel = Api(server.url), f"{channel}:{app.kind}"
    run = api.run(api.send(f"{app.kind}/told", {"channel": channel}))
    assert run["status"] == "Completed", app.log_tail()

    def last() -> bool:
        return any(line["data"] == [3] for line in messages(app, channel))

    wait_until(last, 10, f"the last message\n{app.log_tail()}")
    got = messages(app, channel)
    by_middleware = ["by the middleware"] if app.kind.startswith("ts-v3") else []
    said = [line["data"] for line in got if line["topic"] == "status"]
    assert said == [{"n": 1}, "in a step", *by_middleware, [3]]
    assert {line["run_id"] for line in got} == {run["run_id"]}
    bodies = [line for line in app.effects(run["run_id"]) if line["step"] == "body"]
    assert len(bodies) > 1, "the function's body ran again, and published nothing again"


def test_refused_message_fails_the_step(server: Server, app: SdkApp) -> None:
    if app.kind.startswith("ts-v3"):
        pytest.skip("version 3 does not look at the answer")
    api = Api(server.url)
    event = api.send(f"{app.kind}/refused", {"channel": "room"})

    def error() -> Any:
        [run] = api.runs(event)
        return "Failed to publish" in app.log_tail(10**6) and run["status"] == "Running"

    wait_until(error, 20, "the step failed, and will be tried again")


def test_messages_between_languages(server: Server, app: SdkApp) -> None:
    client = inngest.Inngest(app_id="tests", is_production=False, api_base_url=server.url)
    room = f"room:{app.kind}"
    realtime.publish(client, room, "status", {"from": "Python", "text": "é\n"})

    def got() -> bool:
        said = [line["data"] for line in messages(app, room)]
        return {"from": "Python", "text": "é\n"} in said

    wait_until(got, 10, "Python's message")


def test_stream_is_followed_as_it_comes(server: Server, app: SdkApp) -> None:
    """From Python: the TypeScript SDKs' own subscribe() throws at the start of a stream."""
    client = inngest.Inngest(app_id="tests", is_production=False, api_base_url=server.url)
    with realtime.subscribe(client, "hall", ["text"]) as hall:
        Api(server.url).send(f"{app.kind}/told", {"channel": "hall"})
        stream = [next(hall) for _ in range(5)]
    kinds = [message.kind for message in stream]
    assert kinds == ["datastream-start", "chunk", "chunk", "chunk", "datastream-end"]
    assert len({message.stream_id for message in stream}) == 1
    assert "".join(message.data for message in stream[1:4]) == "once upon a time"
