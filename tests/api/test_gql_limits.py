"""What the route refuses, and how (protocol: api.md §1)."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from inngest_py.api.graphql import request as requests
from tests.api.conftest import Service
from tests.api.gql import QUERIES, SINCE, post


def nested(levels: int) -> str:
    inner = "name"
    for _ in range(levels):
        inner = f"parentSpan {{ {inner} }}"
    return f'{{ runTrace(runID: "x") {{ {inner} }} }}'


@pytest.mark.parametrize(
    ("query", "code", "told"),
    [
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED", "Cannot query field 'nothing'"),
        ("{ runs { edges { cursor } } }", "GRAPHQL_VALIDATION_FAILED", "is required"),
        ("{ apps { id", "GRAPHQL_PARSE_FAILED", "Syntax Error"),
        ("{ apps { id } } }", "GRAPHQL_PARSE_FAILED", "Syntax Error"),
        ("subscription { apps { id } }", "GRAPHQL_VALIDATION_FAILED", ""),
        ("query a { apps { id } } query b { apps { id } }", "GRAPHQL_VALIDATION_FAILED", "name"),
        (nested(19), "COMPLEXITY_LIMIT_EXCEEDED", "levels deep: 20 are allowed"),
        (nested(2000), None, "deep"),
        ("{ apps { " + "id " * 1001 + "} }", "COMPLEXITY_LIMIT_EXCEEDED", "1002 fields"),
        (
            "{ apps { " + " ".join(f"a{n}: id" for n in range(101)) + " } }",
            "COMPLEXITY_LIMIT_EXCEEDED",
            "101 aliases: 100 are allowed",
        ),
        ("{" + "apps { id } " * 31 + "}", "COMPLEXITY_LIMIT_EXCEEDED", "31 fields at its root"),
        ("{ apps { id } }" + " " * 100_000, "COMPLEXITY_LIMIT_EXCEEDED", "longer than"),
        ("{ apps { id } } #" + " a" * 3, None, None),
        ("{ a: apps { " + "id " * 20_000 + "} }", "GRAPHQL_PARSE_FAILED", "tokens"),
        ("{ ...a } fragment a on Query { ...a }", "GRAPHQL_VALIDATION_FAILED", "itself"),
        ('{ run(runID: "\\u0000") { id } }', "COMPLEXITY_LIMIT_EXCEEDED", "NUL"),
        ("{ apps { id } } " + "{" * 9_000, None, ""),
    ],
)
def test_queries_that_are_refused(
    lasting: Service, query: str, code: str | None, told: str | None
) -> None:
    response = post(lasting, query)
    if told is None:
        assert response.status_code == 200
        return
    assert response.status_code == 422
    assert response.json["data"] is None
    error = response.json["errors"][0]
    assert told in error["message"]
    assert code in (None, error["extensions"]["code"])


def test_fragments_are_counted_each_time_but_walked_once(lasting: Service) -> None:
    doubled = "".join(f"fragment f{n} on App {{ ...f{n + 1} ...f{n + 1} }} " for n in range(60))
    query = f"{{ apps {{ ...f0 }} }} {doubled} fragment f60 on App {{ id }}"
    response = post(lasting, query)
    assert response.json["errors"][0]["extensions"]["code"] == "COMPLEXITY_LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    ("body", "type", "status", "told"),
    [
        (b"{}", "text/plain", 400, "transport not supported"),
        (b"{}", None, 400, "transport not supported"),
        (b"query=x", "application/x-www-form-urlencoded", 400, "transport not supported"),
        (b"{", "application/json", 400, "not JSON"),
        (b"", "application/json", 400, "not JSON"),
        (b"[]", "application/json", 400, "must be an object"),
        (b"{}", "application/json", 400, "query must be a string"),
        (b'{"query":" "}', "application/json", 400, "query must be a string"),
        (b'{"query":1}', "application/json", 400, "query must be a string"),
        (b'{"query":"{x}","variables":[]}', "application/json", 400, "variables must be"),
        (b'{"query":"{x}","operationName":1}', "application/json", 400, "operationName must be"),
        (b'"' + b"x" * 5_000_000 + b'"', "application/json", 413, "is over"),
        (b"[" * 100_000, "application/json", 400, "nested deeper"),
    ],
)
def test_requests_that_are_refused(
    lasting: Service, body: bytes, type: str | None, status: int, told: str
) -> None:
    response = lasting.client.post("/v0/gql", data=body, content_type=type)
    assert response.status_code == status
    assert response.json["data"] is None
    assert told in response.json["errors"][0]["message"]


def test_bad_variables(lasting: Service) -> None:
    response = post(lasting, QUERIES["eventV2"], {"id": "short"})
    assert response.status_code == 422
    [error] = response.json["errors"]
    assert error["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}
    assert "a ULID" in error["message"]


@pytest.mark.parametrize(
    ("query", "field", "told"),
    [
        ('{ run(runID: "zz") { id } }', "runID", "'zz' is not a run id"),
        ('{ runTrace(runID: "zz") { name } }', "runID", "'zz' is not a run id"),
        ('{ functionRun(query: {functionRunId: "zz"}) { id } }', "functionRunId", "a run id"),
        ('{ event(query: {eventId: "zz"}) { id } }', "eventId", "'zz' is not an event id"),
        ('{ events(query: {lastEventId: "zz"}) { id } }', "lastEventId", "an event id"),
        ('{ stream(query: {limit: 5, after: "zz"}) { id } }', "after", "'zz' is not an event id"),
        ('{ runTraceSpanOutputByID(outputID: "zz") { data } }', "outputID", "outputID"),
    ],
)
def test_bad_ids(lasting: Service, query: str, field: str, told: str) -> None:
    [error] = post(lasting, query).json["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": field}
    assert told in error["message"]


def test_rows_and_bytes_are_bounded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        service.engine.start(data={"x": "y" * 100})
    for name, most, told in (
        ("MOST_ROWS", 5, "more than 5 rows"),
        ("MOST_BYTES", 300, "would exceed"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(requests, name, most)
            response = post(service, QUERIES["eventsV2"], {"filter": {"from": SINCE}})
        assert response.status_code == 200
        assert told in response.json["errors"][0]["message"]


def test_no_ui_means_no_graphql(lasting: Service) -> None:
    client = lasting.with_settings(ui=False)
    assert client.post("/v0/gql", json={"query": "{ apps { id } }"}).status_code == 404


def test_production_asks_for_the_key(lasting: Service) -> None:
    key = "signkey-prod-0123456789abcdef"
    body = {"query": "{ apps { id } }"}
    keys = {"dev": False, "signing_key": key, "event_keys": ("k",)}
    client = lasting.with_settings(**keys)
    assert client.post("/v0/gql", json=body).status_code == 401
    given = {"Authorization": f"Bearer {key}"}
    assert client.post("/v0/gql", json=body, headers=given).status_code == 200
    client = lasting.with_settings(**keys, open_gql=True)
    assert client.post("/v0/gql", json=body).status_code == 200


def test_outage_of_the_database_is_a_503(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise OperationalError("select", {}, Exception("gone"), connection_invalidated=True)

    monkeypatch.setattr("inngest_py.storage.queries.run_lookups.get", fail)
    response = post(service, QUERIES["run"], {"id": "01JD0000000000000000000000"})
    assert response.status_code == 503
    [error] = response.json["errors"]
    assert (error["message"], error["path"]) == (
        "the database cannot be reached: try again",
        ["run"],
    )


_TEXTS = st.text(st.characters(codec=None), max_size=80)
_WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_ULIDS = st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26)
_CEL = st.one_of(
    _TEXTS,
    st.lists(
        st.sampled_from(
            ["event", ".data", ".x", "output", "==", "&&", "||", "1", "'a'", "null", "(", ")", "ts"]
        ),
        max_size=12,
    ).map(" ".join),
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_input_is_an_internal_error(lasting: Service, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(QUERIES)))
    wild = {"from": SINCE, "query": data.draw(_CEL)}
    filter = data.draw(st.one_of(_WILD, st.just(wild)))
    variables = {
        "id": data.draw(st.one_of(_TEXTS, _ULIDS, _WILD)),
        "slug": data.draw(st.one_of(_TEXTS, _WILD)),
        "first": data.draw(st.one_of(st.integers(), st.just(2))),
        "after": data.draw(st.one_of(st.none(), _TEXTS)),
        "filter": filter,
        "query": data.draw(_WILD),
        "last": data.draw(st.one_of(st.none(), _TEXTS)),
    }
    declared = {key: value for key, value in variables.items() if f"${key}:" in QUERIES[name]}
    response = post(lasting, QUERIES[name], declared)
    assert response.status_code in (200, 400, 422), response.json
    for error in response.json.get("errors", ()):
        assert error["message"] != "internal error", (name, declared)


@settings(max_examples=60, deadline=None)
@given(query=st.text(max_size=200) | st.text("{}()[]!:.$@|&=\"'#,_ aqfon01", max_size=60))
def test_no_query_is_an_internal_error(lasting: Service, query: str) -> None:
    response = post(lasting, query)
    assert response.status_code in (200, 400, 422)
