"""`/metrics` over both databases: counters, figures of the database, and who may read them."""

import platform
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from inngest_py import observe
from inngest_py.api.app import create_app
from inngest_py.domain.connect.actions import Status
from inngest_py.domain.reports.error_groups import ErrorState
from inngest_py.domain.values import ids
from inngest_py.engine.runtime.app_fairness import Fairness
from inngest_py.engine.upkeep import lease_keeping
from inngest_py.engine.upkeep.errors import grouping
from inngest_py.engine.work import claims, run_item
from inngest_py.metrics.counters import Counters
from inngest_py.metrics.figures import KEEP
from inngest_py.metrics.labels import OTHER, FunctionLabels
from inngest_py.storage.catalog import apps_down, connections
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import app_list
from inngest_py.version import __version__
from tests.api.conftest import Service
from tests.factories import reply
from tests.metrics import Labels, samples, total, value

FN = "app-fn"


class Measured(Service):
    """A server that counts."""

    def __init__(self, db: Database, **settings: Any) -> None:
        super().__init__(db, **settings)
        self.counters = Counters(self.engine.ctx.catalog.slug_of)
        self.counters.connect()
        app = create_app(self.settings, self.engine.ctx, self.counters)
        self.client = app.test_client()

    def page(self) -> str:
        """Read the page, a few seconds after the last time."""
        self.engine.now += KEEP
        answered = self.client.get("/metrics")
        assert answered.status_code == 200
        return answered.text

    def value(self, name: str, **labels: str) -> float | None:
        return value(self.page(), name, **labels)

    def run(self, count: int = 1) -> None:
        self.send([{"name": "a/b", "data": {"n": n}} for n in range(count)])
        self.engine.drain()


@pytest.fixture
def measured(db: Database) -> Iterator[Measured]:
    made = Measured(db)
    yield made
    made.counters.disconnect()


def test_requests_are_counted_by_route_and_answer(measured: Measured) -> None:
    measured.send({"name": "a/b"})
    measured.send([])
    measured.client.get("/api/v1/runs/x")
    measured.client.get("/nothing")
    measured.client.open("/e/key", method="BREW")
    count, route = "inngest_http_requests_total", "/e/<path:key>"
    page = measured.page()
    assert value(page, count, method="POST", route=route, answer="2xx") == 2
    found = value(page, count, method="GET", route="/api/v1/runs/<run_id>", answer="4xx")
    assert found == 1
    assert value(page, count, method="GET", route="other", answer="4xx") == 1
    assert value(page, count, method="other", route="other", answer="4xx") == 1
    assert value(page, "inngest_http_request_seconds_count", method="POST", route=route) == 2


def test_process_and_build_are_shown(measured: Measured) -> None:
    page = measured.page()
    shown = value(page, "inngest_build_info", version=__version__, python=platform.python_version())
    assert shown == 1
    assert (value(page, "process_resident_memory_bytes") or 0) > 1_000_000


@pytest.mark.parametrize("up", [True, False])
def test_the_broker_is_asked(measured: Measured, up: bool) -> None:
    measured.engine.ctx.hints.reachable = lambda: up  # type: ignore[method-assign]
    assert measured.value("inngest_broker_up") == up


def test_a_run_is_counted_from_its_event_to_its_end(measured: Measured) -> None:
    measured.send([{"name": "a/b"}, {"name": "nobody/listens"}])
    page = measured.page()
    assert value(page, "inngest_events_accepted_total") == 2
    assert value(page, "inngest_runs", status="queued") == 1
    assert value(page, "inngest_queue_due", kind="start") == 1
    assert value(page, "inngest_queue_oldest_seconds", kind="start") == KEEP.total_seconds()
    measured.engine.drain()
    page = measured.page()
    for name, labels, expected in (
        ("runs_queued_total", {}, 1),
        ("runs_started_total", {}, 1),
        ("runs_finished_total", {"status": "completed"}, 1),
        ("steps_finished_total", {"outcome": "completed"}, 2),
        ("calls_total", {"to": "app", "answer": "2xx"}, 3),
        ("call_seconds_count", {"to": "app"}, 3),
    ):
        assert value(page, f"inngest_{name}", function=FN, **labels) == expected, name
    assert value(page, "inngest_runs", status="queued") == 0
    assert total(page, "inngest_queue_due") == 0


def test_failures_are_counted_by_attempt_and_by_run(measured: Measured) -> None:
    measured.engine.sdk.script = lambda *_: reply(500, {"message": "no"})
    measured.run()
    for _ in range(2):
        measured.engine.advance(minutes=1)
    page = measured.page()
    assert value(page, "inngest_attempts_failed_total", function=FN) == 2
    assert value(page, "inngest_runs_finished_total", function=FN, status="failed") == 1
    assert value(page, "inngest_calls_total", function=FN, to="app", answer="5xx") == 3
    assert [value(page, "inngest_errors", state=state) for state in ErrorState] == [0, 0, 0]
    grouping.group(measured.engine.ctx)
    page = measured.page()
    assert [value(page, "inngest_errors", state=state) for state in ErrorState] == [1, 0, 0]


def test_apps_that_are_down_are_counted(measured: Measured) -> None:
    assert measured.value("inngest_apps_down") == 0
    with measured.engine.ctx.db.transaction() as tx:
        [app] = app_list.every(tx)
        assert apps_down.mark(tx, app["id"], measured.engine.now, "refused")
    assert measured.value("inngest_apps_down") == 1


@pytest.mark.parametrize(
    ("config", "limit", "reached", "in_line"),
    [
        ({"rateLimit": {"limit": 1, "period": "1h"}}, "rate_limit", 2, None),
        ({"throttle": {"limit": 1, "period": "1h"}}, "throttle", 2, 2),
        ({"concurrency": [{"limit": 1}]}, "concurrency", 2, 2),
    ],
)
def test_limits_and_their_waiting_lines_are_counted(
    measured: Measured, config: dict[str, Any], limit: str, reached: int, in_line: int | None
) -> None:
    measured.engine.register(**config)
    measured.send([{"name": "a/b"} for _ in range(3)])
    hints = measured.engine.hinted.hints
    claims.claim(measured.engine.ctx, [item_id for _, item_id in hints])
    assert measured.value("inngest_limits_reached_total", function=FN, limit=limit) == reached
    assert measured.value("inngest_queue_waiting", limit=limit) == in_line


def test_jobs_that_wait_for_their_apps_share_are_counted(measured: Measured) -> None:
    ctx = measured.engine.ctx
    ctx.fairness = Fairness(4)
    ctx.fairness.set_hosts(["localhost:1", "other:1"])
    measured.send([{"name": "a/b"} for _ in range(8)])
    jobs = claims.claim(ctx, [item_id for _, item_id in measured.engine.hinted.hints])
    assert 0 < len(jobs) < 8
    assert measured.value("inngest_queue_waiting", limit="app") == 8 - len(jobs)


def test_lapsed_and_lost_leases_are_counted(measured: Measured) -> None:
    engine = measured.engine
    measured.send({"name": "a/b"})
    (hint,) = engine.hinted.hints
    (job,) = claims.claim(engine.ctx, [hint[1]])
    assert measured.value("inngest_queue_in_flight", kind="start") == 1
    engine.now += timedelta(minutes=2)
    lease_keeping.free_lapsed(engine.ctx, engine.now)
    claims.claim(engine.ctx, [hint[1]])
    run_item.run_job(engine.ctx, job)
    page = measured.page()
    assert value(page, "inngest_leases_lapsed_total") == 1
    assert value(page, "inngest_leases_lost_total") == 1


def test_the_database_is_read_at_most_once_in_a_few_seconds(measured: Measured) -> None:
    def queued() -> float | None:
        return value(measured.client.get("/metrics").text, "inngest_runs", status="queued")

    assert queued() == 0
    measured.send({"name": "a/b"})
    assert queued() == 0
    measured.engine.now += KEEP
    assert queued() == 1


def test_without_the_database_the_counters_are_still_shown(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured.run()
    with measured.engine.ctx.db.transaction() as tx:
        tx.exec_driver_sql("ALTER TABLE queue_items RENAME TO gone")
    page = measured.page()
    assert value(page, "inngest_database_up") == 0
    assert value(page, "inngest_runs", status="queued") is None
    assert value(page, "inngest_events_accepted_total") == 1


def test_v1_shows_the_same_page(measured: Measured) -> None:
    measured.run()
    page = measured.page()
    again = measured.client.get("/v1/prom/dev")
    assert again.mimetype == "text/plain"
    assert _lasting(again.text) == _lasting(page)


def _lasting(page: str) -> set[tuple[str, Labels]]:
    """Name the series that reading the page itself does not add to."""
    found = samples(page)
    return {key for key in found if "_http_" not in key[0] and not key[0].endswith("_created")}


def test_metrics_are_open_in_production_only_if_settings_say_so(service: Service) -> None:
    keys: dict[str, Any] = {"dev": False, "event_keys": ("k",), "signing_key": "ab" * 16}
    for is_open, expected in ((False, 401), (True, 200)):
        client = service.with_settings(**keys, metrics_open=is_open)
        for path in ("/metrics", "/v1/prom/x"):
            assert client.get(path).status_code == expected
        assert client.get("/v1/events").status_code == 401


def test_the_number_of_function_labels_is_bounded() -> None:
    slugs: Callable[[str], str | None] = {"a": "app-a", "b": "app-b", "c": "app-c"}.get
    labels = FunctionLabels(slugs, most=2)
    assert [labels.of_id(name) for name in "unknown"[:1]] == [OTHER]
    assert [labels.of_id(name) for name in "abcab"] == ["app-a", "app-b", OTHER, "app-a", "app-b"]
    assert labels.of_slug("app-d") == OTHER


def test_connected_workers_and_what_waits_for_them_are_shown(measured: Measured) -> None:
    ctx = measured.engine.ctx
    url = "ws://connect?app_name=shop"
    step = {"id": "step", "name": "step", "runtime": {"type": "ws", "url": f"{url}&fnId=shop-fn"}}
    function = {
        "id": "shop-fn",
        "name": "fn",
        "triggers": [{"event": "shop/asked"}],
        "steps": {"step": step},
    }
    sync = {"v": "1", "appname": "shop", "url": url, "sdk": "py:v1", "functions": [function]}
    assert measured.client.post("/fn/register", json=sync).status_code == 200
    measured.send({"name": "shop/asked"})
    measured.engine.drain()
    assert measured.value("inngest_connected_waiting", app="shop") == 1
    assert measured.value("inngest_connected_workers", app="shop", status="ready") == 0
    row: dict[str, Any] = {
        "id": ctx.new_id(),
        "gateway_id": ctx.worker_id,
        "instance_id": "worker",
        "status": Status.READY.value,
        "groups": f'{{"{ids.app_id("shop")}":"group"}}',
        "capacity": 7,
        "in_flight": 3,
        "sdk_language": "py",
        "sdk_version": "v1",
        "platform": "",
        "attributes": "{}",
        "connected_at": ctx.now(),
        "heartbeat_at": ctx.now(),
    }
    with ctx.db.transaction() as tx:
        connections.put(tx, row)
    assert measured.value("inngest_connected_workers", app="shop", status="ready") == 1
    assert measured.value("inngest_connected_capacity", app="shop") == 7
    assert measured.value("inngest_connected_in_flight", app="shop") == 3


def test_what_happens_to_connections_is_counted(measured: Measured) -> None:
    for reason in ("WORKER_SHUTDOWN", "whatever a worker may say"):
        observe.event("connect.ended", reason=reason)
    observe.event("connect.ready", again=True)
    observe.event("connect.lapsed", acked=False)
    observe.event("connect.refused")
    closed = "inngest_connections_closed_total"
    assert measured.value(closed, reason="WORKER_SHUTDOWN") == 1
    assert measured.value(closed, reason=OTHER) == 1
    assert measured.value("inngest_connections_opened_total", kind="again") == 1
    lapsed = "inngest_connect_requests_lapsed_total"
    assert measured.value(lapsed, worker="not_acknowledged") == 1
    assert measured.value("inngest_connect_leases_refused_total") == 1
