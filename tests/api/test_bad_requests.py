"""Bad requests to every route: never a 500, and errors have the shapes of api.md §1."""

from collections.abc import Iterable
from itertools import cycle, product
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from inngest_py.storage.db.session import Database
from tests.api.conftest import Service

UNKNOWN = "01JD0000000000000000000000"
BODIES = {
    "nothing": b"",
    "null": b"null",
    "number": b"5",
    "huge number": b"9" * 5000,
    "number beyond a double": b'{"name":"x","ts":1e999,"app":1e999,"data":{"n":1e999}}',
    "text": b'"text"',
    "array": b"[]",
    "array of anything": b'[null,1,"a",[],{}]',
    "object": b"{}",
    "not a number": b'{"name":NaN}',
    "cut off": b'{"name":"x',
    "binary": bytes(range(256)),
    "not UTF-8": b'{"name":"\xff\xfe"}',
    "UTF-16": '{"name":"x"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"name":"x"}',
    "deep arrays": b"[" * 100_000,
    "deep closed arrays": b"[" * 3000 + b"]" * 3000,
    "deep objects": b'{"data":' * 3000 + b"1" + b"}" * 3000,
    "deep enough": b'{"name":"x","data":' + b'{"a":' * 190 + b"1" + b"}" * 191,
    "wrong types": b'{"name":[],"data":5,"id":{},"ts":"x","app":1,"url":[],"functions":1}',
    "other wrong types": b'{"appName":{},"app":null,"name":true,"url":false,"steps":"x","ts":[]}',
    "NUL": rb'{"name":"a\u0000","app":"a\u0000","appName":"a\u0000","url":"http://a/\u0000"}',
    "NUL beside": rb'{"name":"a","app":"a","id":"a\u0000","appName":"a","url":"http://a/"}',
    "NUL in keys": rb'{"\u0000":{"\u0000":1},"name":"a","app":"a","url":"http://a/"}',
    "half a pair": rb'{"name":"\ud800","app":"\ud800","appName":"\udfff","url":"http://a/\ud800"}',
    "half a pair in keys": rb'{"\ud800":1,"name":"x","app":"x","url":"http://a","\udc00":{}}',
    "rerun": rb'{"fromStep":{"stepId":"\u0000","input":[1e999]}}',
    "other rerun": rb'{"fromStep":{"stepId":"\ud800","input":["\ud800"]}}',
    "scores": rb'{"scores":[{"name":"\ud800","value":1e999,"stepId":"\u0000"}]}',
    "other scores": rb'{"scores":[{"name":"a","value":1e999},{"name":"a\u0000","value":1}]}',
    "metadata": rb'{"target":{"step_id":"\ud800"},"metadata":[{"kind":"k","values":{"a":1}}]}',
    "other metadata": rb'{"metadata":[{"kind":"k","op":"add","values":{"\u0000":"\ud800"}}]}',
    "cancellation": rb'{"app_id":"\ud800","function_id":"a","started_before":"0001-01-01"}',
    "other cancellation": b'{"app_id":"a","function_id":"a","started_before":"0001-01-01T00:00:00'
    b'+23:59"}',
    "invocation": rb'{"data":{"\u0000":1},"idempotencyKey":"\ud800","url":"http://[a"}',
    "long": b'{"name":"%b","app":"%b","appName":"%b","url":"http://a"}' % ((b"x" * 100_000,) * 3),
}
PATHS = ("/", "/e", "/e/", "/invoke/", "/v1/", "/none", "//", "/v1/runs//jobs", "/%00")
PATHS += ("/v2", "/v2/", "/v2/none", "/api/v2", "/api/v2/runs//rerun")
TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "application/json; charset=nonsense",
    "",
)
SEGMENTS = ("x", UNKNOWN, "%00", "a%00b", "%FF%FE", "%ED%A0%80", "ü", "..", "%2E%2E%2Fsetup.cfg")
LONG = "x" * 20_000
QUERIES = (
    *("limit=%00", "limit=-1", "limit=1e9", "limit[]=1", "%00=1", "=", "&&&", "%FF=%FF"),
    *("cursor=%00", f"cursor={LONG}", "name=%ED%A0%80", f"name={LONG}", "status=%00"),
    *("function=%00", f"function={LONG}", "received_after=%00", "queued_after=%00", "url=%00"),
    *("order=%00", "timeField=%FF", "isDeferred=%00", "wait=nan", "wait=1e999", "appId=%FF"),
    *("appId=app&functionId=%00", "from=0001-01-01T00:00:00%2B23:59", "cursor=WyIwMDAxIiwiYSJd"),
    *("url=%FF", f"url={LONG}", "queued_before=0001-01-01T00:00:00%2B23:59"),
)
HEADERS = (
    {"x-inngest-event-id-seed": "\xff"},
    {"Authorization": "\xff \xfe"},
    {"X-Inngest-Expected-Server-Kind": "\xff" * 5000},
    {"Access-Control-Request-Headers": "\xff", "Origin": "null"},
    {"Content-Encoding": "gzip"},
    {"Accept": "text/html", "Range": "bytes=5-1"},
)


def urls_of(rule: Rule, value: str) -> str:
    """Fill a rule's parameters with one value."""
    url = rule.rule
    for name in rule.arguments:
        url = url.replace(f"<{name}>", value).replace(f"<path:{name}>", value)
    assert "<" not in url
    return url


def distinct(rule: Rule, values: Iterable[str]) -> dict[str, None]:
    """Fill a rule's parameters with each value; a rule without parameters has one URL."""
    return dict.fromkeys(urls_of(rule, value) for value in values)


def calls(service: Service) -> list[tuple[str, Rule]]:
    """List every method of every route, so that new routes are tested, too."""
    rules = service.app.url_map.iter_rules()
    added = {"HEAD", "OPTIONS"}
    return sorted(
        ((method, rule) for rule in rules for method in (rule.methods or set()) - added),
        key=lambda call: (call[1].rule, call[0]),
    )


def check(answered: Any, what: str) -> None:
    """Assert that this is no server error, and an error only in its documented shape."""
    status, path = answered.status_code, answered.request.path
    is_v2 = (path.rstrip("/") + "/").startswith(("/v2/", "/api/v2/"))
    absent = is_v2 and status == 501  # its body is checked below, and says what is absent
    assert status < 500 or absent, f"{what}: {status} {answered.text[:300]}"
    if status < 400 or answered.request.method == "HEAD":
        return
    if path.startswith("/v1/realtime/publish") and answered.mimetype == "text/plain":
        assert status in (400, 413), what  # realtime.md §3
        assert answered.text, what
        return
    body = answered.json
    assert body is not None, f"{what}: {status} {answered.text[:300]}"
    if is_v2:
        (error,) = body["errors"]
        assert error.keys() == {"code", "message"}, what
        assert absent == (error["code"] == "not_implemented"), what
        assert all(isinstance(text, str) and text for text in error.values()), what
        return
    if path == "/fn/register" and body.keys() == {"error"}:  # sync.md §4.2
        return
    if path == "/v0/gql" and "errors" in body:
        assert body["errors"][0]["message"], what
        assert body["data"] is None, what
        return
    assert body["status"] == status, what
    assert body["error"], what
    assert isinstance(body["error"], str), what
    if path == "/e" or path.startswith(("/e/", "/invoke/")):
        assert isinstance(body["ids"], list), what
    else:
        assert {"error", "data", "status"} <= body.keys() <= {"error", "data", "status", "code"}
        assert body["data"] is None or isinstance(body["data"], dict), what


def call(client: FlaskClient, method: str, url: str, what: str, **options: Any) -> None:
    answered = client.open(url, method=method, **options)
    check(answered, f"{method} {url[:80]} {what}")
    answered.close()


def test_bodies(lasting: Service) -> None:
    """Slow: every body goes to every route, with parameters twice on PostgreSQL."""
    names = (UNKNOWN,) if lasting.engine.ctx.db.is_sqlite else (UNKNOWN, "x")
    for method, rule in calls(lasting):
        for url in distinct(rule, names):
            for what, body in BODIES.items():
                call(lasting.client, method, url, what, data=body, content_type=TYPES[0])


def test_content_types(lasting: Service) -> None:
    """Slow: four bodies go to every route as each type."""
    for method, rule in calls(lasting):
        for mimetype in TYPES:
            for what in ("binary", "wrong types", "text", "object"):
                url = urls_of(rule, "x")
                call(lasting.client, method, url, what, data=BODIES[what], content_type=mimetype)


def test_paths(lasting: Service) -> None:
    """Slow: every value goes to every route with parameters."""
    values = (*SEGMENTS, LONG, quote("😀" * 5000), "a/b", "a//b")
    for method, rule in calls(lasting):
        for url in distinct(rule, values):
            call(lasting.client, method, url, "path", data=b"{}")


def test_queries(lasting: Service) -> None:
    """Slow: every query goes to every route."""
    for method, rule in calls(lasting):
        for query in QUERIES:
            url = f"{urls_of(rule, UNKNOWN)}?{query}"
            call(lasting.client, method, url, query[:40], data=b"{}")


def test_headers(lasting: Service) -> None:
    for method, rule in calls(lasting):
        for headers in HEADERS:
            url = urls_of(rule, "x")
            call(lasting.client, method, url, str(headers), data=b"{}", headers=headers)


def test_other_methods_and_unknown_paths(lasting: Service) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
        for rule in lasting.app.url_map.iter_rules():
            call(lasting.client, method, urls_of(rule, UNKNOWN), "method")
        for path in PATHS:
            call(lasting.client, method, path, "unknown path")


def test_text_of_functions_that_databases_refuse(lasting: Service) -> None:
    bad = "a\0b"
    shapes: list[dict[str, Any]] = [
        {"id": bad},
        {"name": bad},
        {"triggers": [{"event": bad}]},
        {"triggers": [{"event": "x", "expression": f"event.data.a == '{bad}'"}]},
        {"triggers": [{"event": "x", "expression": r"event.data.a == '\u0000'"}]},
        {"triggers": [{"cron": bad}]},
        {"idempotency": bad},
        {"concurrency": {"limit": 1, "key": bad}},
        {"cancel": [{"event": bad}]},
        {"singleton": {"mode": bad}},
        {"priority": {"run": bad}},
        {"debounce": {"period": bad}},
        {bad: bad},
        {"timeouts": {bad: bad, "start": bad}},
    ]
    for shape in shapes:
        body = {"app": "nul", "name": "f", "url": "http://a/b"} | shape
        check(lasting.client.post("/api/v1/functions", json=body), str(shape))
        url = "http://a/b?fnId=f&stepId=step"
        steps = {"step": {"id": bad, "name": bad, "runtime": {"type": bad, "url": url}}}
        for given in ({"step": {"runtime": {"url": url}}}, steps):
            function = {"id": "f", "name": "f", "steps": given} | shape
            body = {"appName": "nul", "url": "http://a/b", "functions": [function]}
            check(lasting.client.post("/fn/register", json=body), str(shape))


@pytest.mark.parametrize("settings", [{"dev": False, "event_keys": ("k",), "signing_key": "ab"}])
def test_production_answers_bad_requests_too(db: Database, settings: dict[str, Any]) -> None:
    """Each route gets every header and, if it has parameters, every segment."""
    service = Service(db, **settings)
    for method, rule in calls(service):
        urls = list(distinct(rule, SEGMENTS))
        pairs = zip(urls, cycle(HEADERS)) if len(urls) > 1 else product(urls, HEADERS)
        for url, headers in pairs:
            answered = service.client.open(url, method=method, headers=headers)
            if answered.status_code != 401:
                check(answered, f"{method} {url[:80]} {headers}")
            answered.close()
