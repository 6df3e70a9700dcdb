"""What people may ask of operations, their names and their pace."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inngest_py.domain.errors import Invalid
from inngest_py.domain.operations import operations as rules
from inngest_py.domain.operations import pacing, selections
from inngest_py.domain.values.json_fields import JsonFields

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RUNS = {"status": ["failed"]}
SPAN = {"function": "app-fn", "since": "2020-01-01T00:00:00Z"}
WRONG: list[tuple[Any, str]] = [
    ([], "the body must be an object, not an array"),
    ({"selection": RUNS}, "kind is missing"),
    ({"kind": "delete", "selection": RUNS}, "kind must be one of rerun, cancel, replay_events"),
    ({"kind": "rerun"}, "selection is missing"),
    ({"kind": "rerun", "selection": {}}, "selection chooses nothing: give one of status"),
    (
        {"kind": "rerun", "selection": {"colour": "red"}},
        "selection.colour is no field here: choose from status, function, app",
    ),
    ({"kind": "rerun", "selection": RUNS, "speed": 1}, "speed is no field here"),
    ({"kind": "rerun", "selection": {"status": ["ill"]}}, "selection.status must be one of"),
    ({"kind": "cancel", "selection": RUNS}, "selection.status names only runs that have ended"),
    ({"kind": "rerun", "selection": {"cel": "event.("}}, "selection.cel is not a valid expression"),
    ({"kind": "rerun", "selection": {"event": "a*b"}}, "selection.event may have one *"),
    ({"kind": "rerun", "selection": {"since": "soon"}}, "selection.since must be an RFC 3339"),
    (
        {"kind": "rerun", "selection": {"since": "2026-01-02", "until": "2026-01-01"}},
        "selection.since must be before until",
    ),
    ({"kind": "rerun", "selection": RUNS, "rate": 0}, "rate must lie between 0.001 and 10000"),
    ({"kind": "rerun", "selection": RUNS, "rate": -1}, "rate must lie between"),
    ({"kind": "rerun", "selection": RUNS, "rate": "5"}, "rate must be a number of items a second"),
    ({"kind": "rerun", "selection": RUNS, "dry_run": 1}, "dry_run must be true or false"),
    ({"kind": "rerun", "selection": RUNS, "name": "x" * 201}, "name"),
    ({"kind": "replay_events", "selection": {"function": "f"}}, "selection.since is missing"),
    (
        {"kind": "replay_events", "selection": {"since": "2020-01-01"}},
        "selection.function is missing",
    ),
    (
        {"kind": "replay_events", "selection": {**SPAN, "until": "2019-01-01"}},
        "selection.since must be before until",
    ),
    (
        {"kind": "replay_events", "selection": {**SPAN, "events": 5}},
        "selection.events must be an array of strings",
    ),
    (
        {"kind": "replay_events", "selection": {**SPAN, "since": "2027-01-01"}},
        "selection.since must lie in the past",
    ),
]


@pytest.mark.parametrize("body, problem", WRONG)
def test_what_is_wrong_is_named(body: Any, problem: str) -> None:
    with pytest.raises(Invalid) as refused:
        rules.parse(body, NOW)
    assert refused.value.message.startswith(problem)


def test_a_selection_is_stored_and_read_again() -> None:
    given = {
        "status": ["failed", "sleeping"],
        "function": "shop-checkout",
        "since": "2026-05-01T00:00:00+00:00",
        "cel": "event.data.n > 1",
    }
    found = selections.parse_runs(JsonFields(given, "selection"), cancel=False)
    assert selections.dumped(found) == given
    assert selections.parse_runs(JsonFields(selections.dumped(found)), cancel=False) == found


@pytest.mark.parametrize(
    "kind, selection, total, exact, name",
    [
        ("rerun", {"function": "shop-checkout", "status": ["failed"]}, 29, True, None),
        ("cancel", {"app": "shop"}, 100_000, False, "Cancel more than 100,000 runs of shop"),
        ("replay_events", SPAN, 1, True, "Replay 1 event to app-fn"),
    ],
)
def test_names(kind: str, selection: Any, total: int, exact: bool, name: str | None) -> None:
    asked = rules.parse({"kind": kind, "selection": selection}, NOW)
    found = rules.name_of(asked, total, exact=exact)
    assert found == (name or "Run again 29 failed runs of shop-checkout")


@pytest.mark.parametrize("rate, chunk", [(None, 50), (0.001, 1), (1, 1), (10, 5), (10_000, 50)])
def test_a_chunk_is_half_a_second_of_the_rate(rate: float | None, chunk: int) -> None:
    assert pacing.chunk(rate) == chunk


def test_a_late_worker_makes_up_for_a_second() -> None:
    due, second = NOW, timedelta(seconds=1)
    assert pacing.next_due(due, due + second / 2, 5, 10) == due + second / 2
    late = due + 60 * second
    assert pacing.next_due(due, late, 5, 10) == late - second / 2
    assert pacing.next_due(due, late, 5, None) == late
