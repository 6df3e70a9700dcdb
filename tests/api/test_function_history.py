"""A function's history, over REST and GraphQL."""

from datetime import timedelta
from typing import Any

from tests.api.conftest import Service
from tests.api.gql import post
from tests.factories import reply

_FIGURES = """{ since begun completed failed cancelled failureRate
  runMs { p50 p95 } queueMs { p50 p95 } }"""
_QUERY = f"""query($span: FunctionHistorySpan!) {{ functions {{ history(span: $span) {{
  countedTo total {_FIGURES} parts {_FIGURES} }} }} }}"""


def _run(service: Service, *, fails: bool = False) -> None:
    answer = reply(500, "no", x_inngest_no_retry="true") if fails else reply(200, 1)
    service.engine.sdk.script = lambda request, target: answer
    service.engine.start()
    service.engine.now += timedelta(seconds=2)
    service.engine.drain()


def _of_graphql(service: Service, span: str) -> Any:
    answer = post(service, _QUERY, {"span": span}).json
    assert "errors" not in answer, answer
    [function] = answer["data"]["functions"]
    return function["history"]


def test_a_functions_history(service: Service) -> None:
    client = service.client
    _run(service)
    service.engine.now += timedelta(hours=7)
    _run(service)
    _run(service, fails=True)
    service.engine.start()  # it waits
    for path in ("/v1/functions/app-fn/history", "/api/v1/functions/app-fn/history"):
        shown = client.get(path).json["data"]
        assert (shown["function"], shown["span"], shown["counted_to"]) == ("app-fn", "24h", None)
        assert shown["outcomes"] == {"completed": 2, "failed": 1, "queued": 1}
        total = shown["total"]
        counts = [total[name] for name in ("begun", "completed", "failed", "cancelled")]
        assert counts == [3, 2, 1, 0]
        assert (len(shown["parts"]), total["failure_rate"]) == (24, 1 / 3)
        assert 1_900 < total["queue_ms"]["p50"] < 2_100
        assert [part["begun"] for part in shown["parts"] if part["begun"]] == [1, 2]
        assert shown["parts"][0]["since"] == total["since"] < shown["parts"][1]["since"]
        assert shown["parts"][0]["run_ms"] == {"p50": None, "p95": None}
        week = client.get(f"{path}?span=7d").json["data"]
        assert ([part["begun"] for part in week["parts"] if part["begun"]]) in ([1, 2], [3])
        assert client.get(f"{path}?span=1y").status_code == 400
    assert client.get("/v1/functions/nope/history").status_code == 404
    assert client.get(f"/v1/functions/{shown['function_id']}/history").json["data"] == shown


def test_graphql_shows_the_same_history(service: Service) -> None:
    _run(service)
    _run(service, fails=True)
    for span, word in (("DAY", "24h"), ("WEEK", "7d")):
        given = service.client.get(f"/v1/functions/app-fn/history?span={word}").json["data"]
        found = _of_graphql(service, span)
        assert found["countedTo"] is None
        for one, other in zip(
            [found["total"], *found["parts"]], [given["total"], *given["parts"]], strict=True
        ):
            for name in ("begun", "completed", "failed", "cancelled"):
                assert one[name] == other[name]
            assert (one["failureRate"], one["runMs"]) == (other["failure_rate"], other["run_ms"])
            assert one["queueMs"] == other["queue_ms"]
