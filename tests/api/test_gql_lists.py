"""Lists of events and runs: order, cursors, filters, counts (protocol: api.md §5.2, §5.5)."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import event

from inngest_py.api.graphql import paging
from tests.api.conftest import Service
from tests.api.gql import SINCE, ask, refused
from tests.factories import reply

MINUTE = "2026-01-02T03:05:05Z"


def names(service: Service, **filter: Any) -> list[str]:
    """List the names of the events that match a filter, and check the count."""
    found = ask(service, "eventsV2", filter={"from": SINCE, **filter})
    assert found["totalCount"] == len(found["edges"])
    return [edge["node"]["name"] for edge in found["edges"]]


def run_ids(service: Service, **filter: Any) -> list[str]:
    """List the ids of the runs that match a filter, and check the count."""
    found = ask(service, "runs", filter={"from": SINCE, **filter})
    assert found["totalCount"] == len(found["edges"])
    return [edge["node"]["id"] for edge in found["edges"]]


def pages(service: Service, name: str, between: Any = None, **variables: Any) -> list[str]:
    """Read a list to its end by its cursors, doing something between the pages."""
    found: list[str] = []
    after = None
    while True:
        page = ask(service, name, after=after, filter={"from": SINCE}, **variables)
        found += [edge["node"]["id"] for edge in page["edges"]]
        info = page["pageInfo"]
        assert info["hasPreviousPage"] == (after is not None)
        assert info["startCursor"] == (page["edges"][0]["cursor"] if page["edges"] else None)
        if not info["hasNextPage"]:
            return found
        assert info["endCursor"] == page["edges"][-1]["cursor"]
        after = info["endCursor"]
        if between is not None:
            between()


def test_events_are_paged_while_others_come(service: Service) -> None:
    sent = []
    for n in range(7):
        # several at one time, and times before
        service.engine.advance(seconds=n % 2)
        sent += service.send([{"name": f"n/{n}"}] * 2).json["ids"]

    def more() -> None:
        service.engine.advance(seconds=1)
        service.send({"name": "new"})

    found = pages(service, "eventsV2", more, first=3)
    assert sorted(found) == sorted(sent)
    assert ask(service, "eventsV2", filter={"from": SINCE}, first=1)["totalCount"] == 18


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    "order",
    [
        ["QUEUED_AT ASC"],
        ["QUEUED_AT DESC"],
        ["ENDED_AT DESC"],
        ["STARTED_AT ASC", "QUEUED_AT DESC"],
        ["ENDED_AT ASC", "STARTED_AT DESC", "QUEUED_AT ASC"],
        [],
    ],
)
def test_runs_in_every_order(lasting: Service, order: list[str], size: int) -> None:
    engine = lasting.engine
    if not run_ids(lasting):
        for _ in range(3):
            engine.start()
            engine.start()
            engine.advance(seconds=1)
        engine.start()  # neither started nor ended
    given = [dict(zip(("field", "direction"), one.split(), strict=True)) for one in order]
    found = pages(lasting, "runs", first=size, orderBy=given)
    assert len(found) == 7

    def rank(run_id: str) -> list[Any]:
        row = engine.run(run_id)
        ranks: list[Any] = []
        for one in given or [{"field": "QUEUED_AT", "direction": "DESC"}]:
            value = row[one["field"].lower()]
            last = value.timestamp() if value is not None else 1e12
            ranks.append(last if one["direction"] == "ASC" else -last)
        return ranks

    assert [rank(one) for one in found] == sorted(rank(one) for one in found)
    assert len(set(found)) == 7


def test_runs_are_paged_while_others_come(service: Service) -> None:
    started = [service.engine.start() for _ in range(5)]

    def more() -> None:
        service.engine.now += timedelta(seconds=1)
        service.engine.start()

    found = pages(service, "runs", more, first=2)
    assert sorted(found) == sorted(started)


def test_runs_by_status_time_and_function(service: Service) -> None:
    engine = service.engine
    done = engine.start()
    engine.advance(minutes=1)
    late = engine.start()
    function = service.function_of("app", "app-fn")
    other = "00000000-0000-4000-a000-000000000009"
    assert run_ids(service) == [late, done]
    assert run_ids(service, status=["COMPLETED"]) == [done]
    assert run_ids(service, status=["QUEUED", "RUNNING"]) == [late]
    assert run_ids(service, until=MINUTE) == [done]
    assert run_ids(service, **{"from": MINUTE}) == [late]
    assert run_ids(service, timeField="ENDED_AT") == [done]
    assert run_ids(service, timeField="STARTED_AT", until="2027-01-01T00:00:00Z") == [done]
    assert run_ids(service, functionIDs=[function["internal_id"]]) == [late, done]
    assert run_ids(service, functionIDs=[other]) == run_ids(service, appIDs=[other]) == []
    assert run_ids(service, appIDs=[function["app_id"], other]) == [late, done]
    assert run_ids(service, isDeferred=True) == []
    assert run_ids(service, isDeferred=False) == [late, done]


DATA = [
    {"n": 1, "t": "one", "b": True, "deep": {"x": "y"}},
    {"n": 2.5, "t": "two", "b": False, "nothing": None},
    {"n": "1", "t": "nul \0", "deep": [1]},
    {"n": 1.0, "t": 'quo"te', "weird key": 1},
    {},
]
MATCHES: list[tuple[str, list[int]]] = [
    ("event.data.n == 1", [0, 3]),
    ("1.0 == event.data.n", [0, 3]),
    ("event.data.n == 2.5", [1]),
    ("event.data.n == '1'", [2]),
    ("event.data.b == true", [0]),
    ("event.data.b == false", [1]),
    ("event.data.deep.x == 'y'", [0]),
    ("event.data.t == 'quo\"te'", [3]),
    ("event.data.nothing == null", [0, 1, 2, 3, 4]),
    ("event.data['weird key'] == 1", [3]),
    ("event.data.n > 1", [1]),
    ("event.data.t.startsWith('t')", [1]),
    ("event.data.n == 1 && event.data.t == 'one'", [0]),
    ("event.data.n == 1 || event.data.t == 'two'", [0, 1, 3]),
    ("event.name == 'e/0'", [0]),
    ("event.name == 'e/0' && event.data.b == false", []),
    ("event.id == 'id-4'", [4]),
    ("event.ts >= 1700000000002", [2, 3, 4]),
    ("event.ts < 1700000000002 && event.ts != 1700000000000", [1]),
    ("1700000000003 == event.ts", [3]),
    ("event.ts > 1700000000002.5", [3, 4]),
    ("event.user.x == 'y'", []),
    ("event.data.n", []),
    ("event.data.n / 0 == 1", []),
]


def _send_data(service: Service) -> None:
    for n, data in enumerate(DATA):
        event = {"name": f"e/{n}", "data": data, "id": f"id-{n}", "ts": 1_700_000_000_000 + n}
        service.send(event)
        service.engine.advance(seconds=1)


@pytest.mark.parametrize(("query", "expected"), MATCHES)
def test_events_that_match_an_expression(lasting: Service, query: str, expected: list[int]) -> None:
    until = "2026-02-01T00:00:00Z"
    if not names(lasting, eventNames=["e/0"]):
        _send_data(lasting)
    wanted = [f"e/{n}" for n in reversed(expected)]
    chosen = {"eventNames": [f"e/{n}" for n in range(len(DATA))], "until": until}
    assert names(lasting, query=query, **chosen) == wanted


def test_events_by_name_time_and_origin(service: Service) -> None:
    service.send([{"name": "x"}, {"name": "y"}])
    service.engine.start()
    service.engine.advance(minutes=1)
    service.send({"name": "x"})
    assert names(service, eventNames=["x"]) == ["x", "x"]
    assert names(service, eventNames=["x"], until=MINUTE) == ["x"]
    assert names(service, **{"from": MINUTE}) == ["x"]
    internal = names(service, includeInternalEvents=True)
    assert "inngest/function.finished" in internal
    assert len(internal) == len(names(service)) + 1


def test_runs_that_match_an_expression(service: Service) -> None:
    def script(request: dict[str, Any], target: str) -> Any:
        data = request["event"]["data"]
        if data["n"] == 3:
            error = {"name": "TypeError", "message": "boom"}
            return reply(500, error, x_inngest_no_retry="true")
        return reply(200, {"ok": data["n"] > 1})

    service.engine.sdk.script = script

    def start(n: int) -> str:
        run_id = service.engine.start(data={"n": n})
        service.engine.advance(seconds=1)
        return run_id

    first, second, third = map(start, (1, 2, 3))
    waiting = service.engine.start(data={"n": 2})
    assert run_ids(service, query="event.data.n == 2") == [waiting, second]
    assert run_ids(service, query="output.ok == true") == [second]
    assert run_ids(service, query="output.ok == false && event.data.n == 1") == [first]
    assert run_ids(service, query="error.message == 'boom'") == [third]
    assert run_ids(service, query="error.name == 'TypeError' && event.data.n >= 0") == [third]
    assert run_ids(service, query="error.message != null") == [third]
    both = "output.ok == false\n\n  event.data.n == 1 \r\n"
    assert run_ids(service, query=both) == [first]
    assert run_ids(service, query="output.ok == true\nevent.data.n == 1") == []
    assert run_ids(service, query="output.ok == false &&\n  event.data.n == 1") == [first]
    assert run_ids(service, query="output.message == 'boom'") == [third]
    assert run_ids(service, query="event.name == 'a/b'", status=["COMPLETED"]) == [second, first]
    assert run_ids(service, query="output.ok == null") == [waiting, third]


def test_a_full_page_of_matches_knows_whether_there_is_more(service: Service) -> None:
    service.send([{"name": "x", "data": {"n": n % 2}} for n in range(6)])
    chosen = {"from": SINCE, "query": "event.data.n > 0"}
    for first, more in ((2, True), (3, False), (4, False)):
        page = ask(service, "eventsV2", filter=chosen, first=first)
        assert (len(page["edges"]), page["pageInfo"]["hasNextPage"]) == (min(first, 3), more)


def test_list_of_events_reads_payloads_only_when_they_are_asked_for(service: Service) -> None:
    service.send([{"name": "x", "data": {"n": n}} for n in range(3)])
    ran: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        ran.append(statement)

    def listed(fields: str) -> list[Any]:
        query = f'{{ eventsV2(filter: {{from: "{SINCE}"}}) {{ edges {{ node {{ {fields} }} }} }} }}'
        answered = service.client.post("/v0/gql", json={"query": query}).json
        return [edge["node"] for edge in answered["data"]["eventsV2"]["edges"]]

    engine = service.engine.ctx.db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert [node["name"] for node in listed("name receivedAt")] == ["x"] * 3
        assert not any("payload" in statement for statement in ran), ran
        assert [orjson.loads(node["raw"])["data"]["n"] for node in listed("raw")] == [2, 1, 0]
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert sum("payload" in statement for statement in ran) == 1, ran


CURSORS = [
    "x",
    "!",
    "AAAA",
    "W10",
    "WyJxdWV1ZWRfYXQtLGlkLSJd",
    "\0",
    "é",
    "x" * 10_000,
    "=",
    "W1tdXQ",
]


@pytest.mark.parametrize("cursor", CURSORS)
@pytest.mark.parametrize("name", ["runs", "eventsV2"])
def test_bad_cursors(lasting: Service, name: str, cursor: str) -> None:
    told = refused(lasting, name, after=cursor, filter={"from": SINCE})
    assert "cursor" in told or "NUL" in told


def test_a_cursor_belongs_to_its_order(service: Service) -> None:
    service.engine.start()
    service.engine.start()
    cursor = ask(service, "runs", first=1, filter={"from": SINCE})["pageInfo"]["endCursor"]
    order = [{"field": "ENDED_AT", "direction": "DESC"}]
    told = refused(service, "runs", after=cursor, orderBy=order, filter={"from": SINCE})
    assert "in this order" in told


@pytest.mark.parametrize(
    ("name", "variables", "told"),
    [
        ("runs", {"first": 0}, "first must be from 1 to 500"),
        ("eventsV2", {"first": 501}, "first must be from 1 to 500"),
        ("eventsV2", {"first": 10**9}, "first must be from 1 to 500"),
        ("runs", {"query": "event.("}, "query:"),
        ("runs", {"query": "nobody.x == 1"}, "use error or event or output"),
        ("eventsV2", {"query": "output.x == 1"}, "use event"),
        ("runs", {"query": "event.name == 'a'\nevent.name =="}, "line 2: "),
        ("runs", {"query": "true\n" * 51}, "51 expressions: at most 50"),
        ("eventsV2", {"query": "f(event)"}, "no function f()"),
        ("eventsV2", {"query": "x" * 20_000}, "longer than"),
        ("eventsV2", {"query": "event.name == '\0'"}, "NUL"),
        ("eventsV2", {"eventNames": ["x"] * 101}, "more than 100 names"),
        ("runs", {"functionIDs": ["x"]}, "is not a UUID"),
        ("runs", {"from": "yesterday"}, "is not a time"),
        ("runs", {"from": "9999-12-31T23:00:00-14:00"}, "is not a time"),
        ("runs", {"status": ["DONE"]}, "DONE"),
        (
            "runs",
            {"orderBy": [{"field": "ENDED_AT", "direction": "ASC"}] * 2},
            "names a field twice",
        ),
    ],
)
def test_bad_arguments(lasting: Service, name: str, variables: Any, told: str) -> None:
    own = {key: variables[key] for key in ("first", "orderBy") if key in variables}
    chosen = {key: value for key, value in variables.items() if key not in own}
    assert told in refused(lasting, name, filter={"from": SINCE, **chosen}, **own)


def test_the_ends_of_time(service: Service) -> None:
    service.engine.start()
    whole = {"from": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59.999999Z"}
    for field in ("QUEUED_AT", "STARTED_AT", "ENDED_AT"):
        assert len(run_ids(service, timeField=field, **whole)) == (field == "QUEUED_AT")
    assert len(names(service, **whole)) == 1


@pytest.mark.parametrize("field", ["runs", "eventsV2"])
def test_a_total_is_counted_up_to_a_bound(
    service: Service, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    for _ in range(4):
        service.engine.start()
    assert ask(service, field, filter={"from": SINCE}, first=1)["totalCount"] == 4
    monkeypatch.setattr(paging, "MOST_COUNTED", 3)
    assert ask(service, field, filter={"from": SINCE}, first=1)["totalCount"] == 3
