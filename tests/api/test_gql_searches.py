"""GraphQL lists that read rows for a filter, as far as a page may look (protocol: api.md §5.5)."""

from datetime import timedelta
from typing import Any

import pytest

from inngest_py.api.graphql import paging
from inngest_py.storage.queries.run_filters import choosing
from tests.api.conftest import Service
from tests.api.gql import SINCE, ask


def test_limited_scan_continues_where_it_stopped(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MOST_SCANNED", 4)
    monkeypatch.setattr(paging, "_WINDOW", 3)
    service.send({"name": "wanted", "data": {"n": 1.5}})
    service.engine.advance(seconds=1)
    service.send([{"name": "other"}] * 10)
    chosen = {"from": SINCE, "query": "event.data.n == 1.5"}
    page: Any = {"pageInfo": {"endCursor": None, "hasNextPage": True}}
    sizes = []
    query = "query($f: EventsFilter!, $a: String) { eventsV2(filter: $f, after: $a) {"
    query += " edges { node { name } } pageInfo { hasNextPage endCursor } } }"
    while page["pageInfo"]["hasNextPage"]:
        variables = {"f": chosen, "a": page["pageInfo"]["endCursor"]}
        body = {"query": query, "variables": variables}
        page = service.client.post("/v0/gql", json=body).json["data"]["eventsV2"]
        sizes.append(len(page["edges"]))
    assert sizes == [0, 0, 1]
    counted = service.client.post(
        "/v0/gql",
        json={
            "query": "query($f: EventsFilter!) { eventsV2(filter: $f) { totalCount } }",
            "variables": {"f": chosen},
        },
    ).json
    assert counted["data"] == {"eventsV2": {"totalCount": None}}
    assert "narrow" in counted["errors"][0]["message"]


@pytest.mark.parametrize(
    "query", ["event.name == 'a/b' && event.ts < 600000000000", "event.ts < 600000000000"]
)
def test_what_many_events_have_in_common_is_looked_up_as_far_as_a_page_may_look(
    service: Service, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr(paging, "MOST_SCANNED", 4)
    monkeypatch.setattr(paging, "_WINDOW", 3)
    monkeypatch.setattr(choosing, "_MOST_EVENTS", 2)
    old = service.engine.start(ts=500_000_000_000)
    for _ in range(6):
        service.engine.now += timedelta(seconds=1)
        service.engine.start()
    ends: list[str] = []
    sizes = []
    while len(ends) == len(sizes):
        after = ends[-1] if ends else None
        page = ask(service, "runs", filter={"from": SINCE, "query": query}, after=after)
        assert page["totalCount"] == 1
        sizes.append(len(page["edges"]))
        if page["pageInfo"]["hasNextPage"]:
            ends.append(page["pageInfo"]["endCursor"])
    assert sizes == [0, 1]
    assert page["edges"][0]["node"]["id"] == old
    monkeypatch.setattr(choosing, "_MOST_EVENTS", 2_000)
    by_name = {"from": SINCE, "query": "event.name == 'a/b'"}
    assert len(ask(service, "runs", filter=by_name)["edges"]) == 7  # few events: all are found
