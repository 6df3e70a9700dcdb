"""`GET /v1/runs`: each filter of the dashboard's list, by any time, and what is wrong is named."""

from datetime import timedelta
from typing import Any

import pytest

from inngest_py.api.native.searching import pages
from inngest_py.engine.upkeep.errors import grouping
from tests.api.conftest import Service
from tests.engine.harness import sequence
from tests.factories import reply

PREFIXES = ("/v1", "/api/v1")


def failing(_request: dict[str, Any], _target: str) -> Any:
    return reply(400, {"name": "Gone", "message": "no stock"}, x_inngest_no_retry="true")


@pytest.fixture
def two(service: Service) -> tuple[str, str]:
    """A run that failed, and ten seconds later one that completed."""
    engine = service.engine
    engine.sdk.script = failing
    failed = engine.start(data={"order": "A-1", "amount": 5})
    engine.drain()
    engine.now += timedelta(seconds=10)
    engine.sdk.script = sequence("a")
    completed = engine.start(data={"order": "B-2", "amount": 7})
    engine.drain()
    return failed, completed


def listed(service: Service, prefix: str = "/v1", **query: Any) -> list[str]:
    answered = service.client.get(f"{prefix}/runs", query_string=query)
    assert answered.status_code == 200, answered.text
    return [run["id"] for run in answered.json["data"]]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_each_filter_finds_its_runs(service: Service, two: tuple[str, str], prefix: str) -> None:
    failed, completed = two
    grouping.Grouping().run_once(service.engine.ctx)
    [error] = service.client.get("/v1/errors").json["data"]
    middle = (service.engine.now - timedelta(seconds=5)).isoformat()
    for query, found in (
        ({}, [completed, failed]),
        ({"oldest_first": "true"}, [failed, completed]),
        ({"status": "failed"}, [failed]),
        ({"status": "sleeping"}, []),
        ({"app": "app"}, [completed, failed]),
        ({"app": "other"}, []),
        ({"function": "app-fn"}, [completed, failed]),
        ({"function": "none"}, []),
        ({"since": middle}, [completed]),
        ({"until": middle}, [failed]),
        ({"queued_after": middle}, [completed]),
        ({"since": middle, "time_field": "ended_at"}, [completed]),
        ({"until": middle, "time_field": "started_at"}, [failed]),
        ({"event": "a/*"}, [completed, failed]),
        ({"event": "c/*"}, []),
        ({"event": "a/b"}, [completed, failed]),
        ({"text": "b-2"}, [completed]),
        ({"text": "no stock"}, [failed]),
        ({"cel": "event.data.amount > 6"}, [completed]),
        ({"cel": "output.name == 'Gone'"}, [failed]),
        ({"error": error["id"]}, [failed]),
    ):
        assert listed(service, prefix, **query) == found, query


def test_a_failed_run_says_why(service: Service, two: tuple[str, str]) -> None:
    completed, failed = service.client.get("/v1/runs").json["data"]
    told = {"name": "Gone", "message": "no stock", "error_id": None}
    assert (completed["error"], failed["error"]) == (None, told)
    assert service.client.get(f"/api/v1/runs/{two[0]}").json["data"]["error"] == told


def test_pages_by_the_time_of_the_end_follow_each_other(
    service: Service, two: tuple[str, str]
) -> None:
    query = {"time_field": "ended_at", "oldest_first": "true", "limit": 1}
    first = service.client.get("/v1/runs", query_string=query).json
    rest = service.client.get("/v1/runs", query_string=query | {"cursor": first["cursor"]}).json
    assert [one["id"] for one in first["data"] + rest["data"]] == list(two)
    assert (first["has_more"], rest["has_more"], rest["cursor"]) == (True, False, None)


def test_a_search_that_takes_long_goes_on_by_its_cursor(
    service: Service, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_WINDOW", "_MOST_WINDOW", "_MOST_SCANNED"):
        monkeypatch.setattr(pages, name, 1)
    first = service.client.get("/v1/runs?text=no+stock").json
    assert (first["data"], first["stopped"], first["has_more"]) == ([], True, True)
    rest = service.client.get(f"/v1/runs?text=no+stock&cursor={first['cursor']}").json
    assert [one["id"] for one in rest["data"]] == [two[0]]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"status": "banana"}, 400, "status: Must be one of"),
        ({"cel": "event.("}, 400, "cel is not a valid expression"),
        ({"event": "a*b"}, 400, "event may have one *"),
        ({"text": "x" * 600}, 400, "text"),
        ({"error": "none"}, 404, "error none does not exist"),
        ({"time_field": "id"}, 400, "time_field"),
        ({"since": "soon"}, 400, "since: must be a time with its offset"),
        ({"until": "2026-11-30"}, 400, "until: must be a time with its offset"),
        (
            {"queued_after": "2026-01-01T00:00:00Z", "time_field": "ended_at"},
            400,
            "queued_after is for the time_field queued_at: give since",
        ),
        ({"key.nothing": "1"}, 400, "nothing"),
    ],
)
def test_what_is_wrong_is_named(
    service: Service, query: dict[str, str], status: int, said: str
) -> None:
    answered = service.client.get("/v1/runs", query_string=query)
    assert (answered.status_code, said in answered.json["error"]) == (status, True), answered.json
