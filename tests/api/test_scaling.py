"""`GET /v1/scaling`: the workers that a backlog needs."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from inngest_py.storage.operations import workers
from tests.api.conftest import Service
from tests.factories import reply


def _alive(service: Service, *slots: int) -> None:
    now = service.engine.now
    with service.engine.ctx.db.transaction() as tx:
        for number, each in enumerate(slots):
            values = {"id": f"w{number}", "name": f"w{number}", "host": "h", "pid": number}
            values |= {"pool": "gevent", "concurrency": each, "started_at": now}
            workers.put(tx, values | {"heartbeat_at": now, "faults": None, "version": "1"})


def _takes(service: Service, seconds: float) -> None:
    """Have each call of the function take so long."""

    def script(request: object, target: object) -> object:
        service.engine.now += timedelta(seconds=seconds)
        return reply(200, 1)

    service.engine.sdk.script = script


def test_nothing_was_measured(service: Service) -> None:
    for path in ("/v1/scaling", "/api/v1/scaling"):
        shown = service.client.get(path).json["data"]
        assert (shown["workers"], shown["due"], shown["seconds_per_item"]) == (1, 0, None)
        assert (shown["workers_alive"], shown["queues"]) == (0, [])
        assert shown["slots_per_worker"] == 100  # the setting's, without a worker


def test_a_backlog(service: Service) -> None:
    service.engine.ctx.worker_name = "w0"
    _takes(service, 2)
    for _ in range(3):
        service.engine.start()
    service.engine.drain()
    _alive(service, 10, 20)
    for _ in range(12):
        service.engine.start()
    service.engine.now += timedelta(seconds=20)
    _alive(service, 10, 20)
    shown = service.client.get("/v1/scaling?slots=1&within=24").json["data"]
    assert (shown["due"], shown["oldest_seconds"], shown["seconds_per_item"]) == (12, 20, 2)
    assert (shown["workers_alive"], shown["slots_alive"]) == (2, 30)
    assert shown["slots_busy"] == 0.02  # three times two seconds of five minutes
    # a quarter of the time is left at least: 12 * 2 s in 6 s are 4 slots, with a fifth to spare
    assert (shown["slots_needed"], shown["workers"]) == (6, 6)
    assert shown["queues"] == [
        {"queue": "start", "due": 12, "oldest_seconds": 20, "in_flight": 0},
    ]
    assert shown["reason"].startswith("0.0 slots are busy; 12 due items wait")
    shown = service.client.get("/v1/scaling").json["data"]
    assert (shown["workers"], shown["slots_per_worker"]) == (1, 15)


def test_calls_that_have_not_ended_keep_their_slots(service: Service) -> None:
    """Nothing was measured of them yet."""
    _alive(service, 4)
    for _ in range(6):
        service.engine.start()
    now = service.engine.now
    with service.engine.ctx.db.transaction() as tx:
        tx.execute(
            text(
                "UPDATE queue_items SET state = 'leased', worker = 'w0', lease_id = id,"
                " lease_until = due_at WHERE id IN (SELECT id FROM queue_items ORDER BY id LIMIT 4)"
            )
        )
    service.engine.now = now + timedelta(seconds=1)
    shown = service.client.get("/v1/scaling").json["data"]
    assert (shown["in_flight"], shown["slots_busy"], shown["due"]) == (4, 4, 2)
    assert (shown["slots_needed"], shown["workers"]) == (6, 2)


@pytest.mark.parametrize("query", ["within=0", "within=soon", "slots=0", "slots=-1"])
def test_bad_queries_name_the_field(service: Service, query: str) -> None:
    refused = service.client.get(f"/v1/scaling?{query}")
    assert refused.status_code == 400
    assert query.partition("=")[0] in refused.json["error"]
