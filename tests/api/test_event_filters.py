"""`GET /api/v1/events`: each filter of the dashboard's list; what is wrong is named."""

from datetime import timedelta

import pytest

from inngest_py.api.native.searching import pages
from tests.api.conftest import Service


@pytest.fixture
def two(service: Service) -> tuple[str, str]:
    """Two events, ten seconds apart."""
    made = []
    for name, total in (("shop/order", 5), ("shop/refund", 7)):
        made.append(service.send({"name": name, "data": {"total": total}}).json["ids"][0])
        service.engine.now += timedelta(seconds=10)
    return made[0], made[1]


def test_each_filter_finds_its_events(service: Service, two: tuple[str, str]) -> None:
    order, refund = two
    middle = (service.engine.now - timedelta(seconds=15)).isoformat()
    for query, found in (
        ({}, [refund, order]),
        ({"name": "shop/order"}, [order]),
        ({"name": "shop/*"}, [refund, order]),
        ({"name": "c/*"}, []),
        ({"since": middle}, [refund]),
        ({"until": middle}, [order]),
        ({"until": middle, "cursor": refund}, [order]),
        ({"text": "REFUND"}, [refund]),
        ({"cel": "event.data.total > 6"}, [refund]),
        ({"cel": "event.name == 'shop/order'"}, [order]),
    ):
        answered = service.client.get("/api/v1/events", query_string=query)
        assert answered.status_code == 200, answered.text
        assert [one["internal_id"] for one in answered.json["data"]] == found, query


def test_pages_and_searches_go_on_by_the_cursor(
    service: Service, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = service.client.get("/api/v1/events?limit=1").json
    assert (first["cursor"], first["has_more"], first["stopped"]) == (two[1], True, False)
    for name in ("_WINDOW", "_MOST_WINDOW", "_MOST_SCANNED"):
        monkeypatch.setattr(pages, name, 1)
    search = service.client.get("/api/v1/events?text=order").json
    assert (search["data"], search["stopped"]) == ([], True)
    rest = service.client.get(f"/api/v1/events?text=order&cursor={search['cursor']}").json
    assert [one["internal_id"] for one in rest["data"]] == [two[0]]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"name": "a*b"}, "name may have one *"),
        ({"cel": "output.x == 1"}, "cel is not a valid expression"),
        ({"text": "x" * 600}, "text"),
        ({"since": "soon"}, "since: must be a time with its offset"),
        ({"cursor": "x"}, "cursor"),
        ({"limit": "0"}, "limit"),
    ],
)
def test_what_is_wrong_is_named(service: Service, query: dict[str, str], said: str) -> None:
    answered = service.client.get("/api/v1/events", query_string=query)
    assert (answered.status_code, said in answered.json["error"]) == (400, True), answered.json
