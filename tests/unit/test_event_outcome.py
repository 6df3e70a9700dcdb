"""What came of an event, function by function."""

from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.functions.config_fields import Fields
from inngest_py.domain.functions.function_config import parse_config
from inngest_py.domain.reports import event_outcome
from inngest_py.domain.reports.event_outcome import Candidate, StartedRun
from tests.factories import NOW, RUN_ID

EVENT = {"name": "shop/order.placed", "data": {"total": 5}}
RATE = {"limit": 1, "period": "1m"}


def candidate(changed_s: int = -60, **config: Any) -> Candidate:
    runtime = {"type": "http", "url": "http://a/b"}
    given = {"name": "f", "id": "f", "steps": {"step": {"runtime": runtime}}} | config
    changed_at = NOW + timedelta(seconds=changed_s)
    return Candidate("id", "f", parse_config(Fields(given, "")), changed_at)


def on(event: str, expression: str | None = None) -> dict[str, Any]:
    return {"triggers": [{"event": event, "expression": expression}]}


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (candidate(**on("other")), None),
        (candidate(**on("shop/*")), "no run: "),
        (candidate(**on("shop/order.placed", "event.data.total > 9")), "the expression is false: "),
        (candidate(**on("shop/order.placed", "event.data.total > 1")), "no run: "),
        (candidate(1, **on("shop/order.*")), "the function was synced after"),
        (candidate(**on("shop/*"), rateLimit=RATE), "no run of its own: dropped by its rate limit"),
        (candidate(**on("shop/*"), debounce={"period": "5s"}), "no run of its own: debounced"),
        (candidate(triggers=[{"cron": "* * * * *"}]), None),
    ],
)
def test_why_an_event_started_no_run(one: Candidate, said: str | None) -> None:
    found = event_outcome.outcomes(EVENT, NOW, [one], {}, NOW)
    assert [verdict.started for verdict in found] == ([] if said is None else [False])
    if said is not None:
        assert found[0].reason.startswith(said)


@pytest.mark.parametrize(
    ("status", "reason", "started", "said"),
    [
        ("completed", None, True, "completed"),
        ("skipped", "FunctionPaused", False, "skipped: the function was paused"),
        ("skipped", "Odd", False, "skipped: Odd"),
    ],
)
def test_a_run_shows_what_came_of_its_event(
    status: str, reason: str | None, started: bool, said: str
) -> None:
    runs = {"id": [StartedRun(RUN_ID, status, reason)]}
    [found] = event_outcome.outcomes(EVENT, NOW, [candidate(**on("other"))], runs, NOW)
    assert (found.started, found.reason, found.run_id) == (started, said, RUN_ID)
