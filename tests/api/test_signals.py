"""`POST /v1/signals` (protocol: waits.md §5)."""

from typing import Any

import pytest

from tests.api.conftest import Service
from tests.api.test_register import is_public
from tests.engine.waiting import for_event, for_signal, waits


def waiting(service: Service, *ops: Any) -> str:
    service.engine.sdk.script = waits(*ops)
    run_id = service.engine.start()
    service.engine.drain()
    return run_id


def test_signal_ends_its_wait_once(service: Service) -> None:
    run_id = waiting(service, for_signal())
    sent = service.client.post("/v1/signals", json={"signal": "sig", "data": {"n": 1}})
    assert sent.status_code == 200
    assert sent.json["data"] == {"run_id": run_id}
    assert "fetched_at" in sent.json["metadata"]
    again = service.client.post("/v1/signals", json={"signal": "sig", "data": 2})
    assert is_public(again, 404)
    assert again.json["error"] == "No signal found"
    service.engine.drain()
    shown = service.client.get(f"/v1/runs/{run_id}").json["data"]
    assert shown["output"] == [{"data": {"signal": "sig", "data": {"n": 1}}}]


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"signal":1}', b'{"signal":""}'])
def test_bad_signals_are_refused(service: Service, body: bytes) -> None:
    assert is_public(service.client.post("/v1/signals", data=body), 400)


def test_a_wait_shows_among_the_jobs_and_in_the_run(service: Service) -> None:
    run_id = waiting(service, for_event())
    (job,) = service.client.get(f"/v1/runs/{run_id}/jobs").json["data"]
    assert (job["kind"], job["at"]) == ("pause", "2026-01-02T04:04:05Z")
    shown = service.client.get(f"/api/v1/runs/{run_id}").json["data"]
    (tried,) = shown["attempts"]
    assert (tried["status"], tried["info"]["eventName"]) == ("waiting", "x/y")
    assert shown["queued"][0]["kind"] == "pause"
