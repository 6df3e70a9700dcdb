"""Bulk cancellations: which requests are refused, and which runs match."""

from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.errors import Invalid
from inngest_py.domain.runs import bulk_cancellations
from tests.factories import EVENT, NOW

GOOD = {"app_id": "a", "function_id": "f", "started_before": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"app_id": None}, "app_id"),
        ({"app_id": 5}, "app_id"),
        ({"function_id": ""}, "function_id"),
        ({"function_id": "a\0"}, "function_id"),
        ({"started_before": None}, "started_before"),
        ({"started_before": "yesterday"}, "started_before"),
        ({"started_before": 5}, "started_before"),
        ({"started_before": (NOW + timedelta(seconds=1)).isoformat()}, "started_before"),
        ({"started_after": "2026-01-01T00:00:00Z"}, "started_after"),
        ({"started_after": []}, "started_after"),
        ({"if": "event.data.("}, "if"),
        ({"if": 1}, "if"),
        ({"name": {}}, "name"),
    ],
)
def test_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as raised:
        bulk_cancellations.parse(GOOD | change, NOW)
    assert raised.value.field == field


@pytest.mark.parametrize("body", [None, [], "x", 5])
def test_bodies_that_are_no_objects(body: object) -> None:
    with pytest.raises(Invalid):
        bulk_cancellations.parse(body, NOW)


def test_matches() -> None:
    assert bulk_cancellations.matches(None, EVENT, NOW)
    assert bulk_cancellations.matches("event.name == 'a/b'", EVENT, NOW)
    assert not bulk_cancellations.matches("event.data.x == 1", EVENT, NOW)
