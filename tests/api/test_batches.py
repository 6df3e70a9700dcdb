"""The API shows runs of event batches."""

import json

import pytest

from .conftest import Service
from .gql import ask


@pytest.fixture
def batched(service: Service) -> Service:
    """A service whose function takes two events per run."""
    service.engine.register(batchEvents={"maxSize": 2, "timeout": "1m"})
    return service


def test_run_of_a_batch_shows_all_its_events(batched: Service) -> None:
    sent = [{"name": "a/b", "data": {"n": n}} for n in range(2)]
    first, second = batched.send(sent).json["ids"]
    (run,) = batched.client.get(f"/v1/events/{second}/runs").json["data"]
    assert [run] == batched.client.get(f"/v1/events/{first}/runs").json["data"]
    assert run["event_id"] == first
    assert run["batch_id"]
    events = batched.client.get(f"/v0/runs/{run['run_id']}/batch").json
    assert [event["id"] for event in events] == [first, second]
    batched.engine.drain()
    assert batched.client.get(f"/v0/runs/{run['run_id']}/batch").status_code == 410


def test_all_events_of_a_batch_are_its_triggers(batched: Service) -> None:
    sent = batched.send([{"name": "a/b", "data": {"n": n}} for n in range(3)]).json["ids"]
    (run,) = batched.client.get(f"/v2/events/{sent[1]}/runs").json["data"]
    assert run["trigger"]["eventIds"] == sent[:2]
    assert batched.client.get(f"/v2/runs/{run['id']}").json["data"] == run
    assert batched.client.get("/v2/runs").json["data"] == [run]
    trigger = ask(batched, "runTrigger", id=run["id"])
    assert (trigger["IDs"], trigger["isBatch"]) == (sent[:2], True)
    assert [json.loads(text)["data"]["n"] for text in trigger["payloads"]] == [0, 1]
    assert ask(batched, "run", id=run["id"])["triggerIDs"] == sent[:2]
    for event_id, total in zip(sent, (1, 1, 0), strict=True):
        event = ask(batched, "event", id=event_id)
        assert event["totalRuns"] == total
        assert [found["id"] for found in event["functionRuns"]] == [run["id"]] * total


def test_an_event_that_waits_has_no_run(batched: Service) -> None:
    (event_id,) = batched.send({"name": "a/b"}).json["ids"]
    assert batched.client.get(f"/v1/events/{event_id}/runs").json["data"] == []
