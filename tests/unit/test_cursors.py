"""Cursors name a position in one list and order; any other text is refused, by its parameter."""

from datetime import UTC, datetime
from typing import Any

import pytest

from inngest_py.domain.errors import Invalid
from inngest_py.domain.values import cursors, ids
from inngest_py.storage.queries import app_list, event_list, run_list
from inngest_py.storage.queries.paging import Order

RUN = ids.lowest_ulid(datetime(2026, 1, 1, tzinfo=UTC))
TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
BY_END = run_list.order([("ended_at", False)])
POSITIONS: list[tuple[Order, list[Any]]] = [
    (run_list.NEWEST, [RUN]),
    (BY_END, [TIME, RUN]),
    (run_list.order([("started_at", True), ("queued_at", False)]), [TIME, TIME, RUN]),
    (event_list.BY_RECEIPT, [TIME, RUN]),
    (app_list.BY_NAME, ["an app: ü"]),
]


@pytest.mark.parametrize(("order", "position"), POSITIONS)
def test_cursor_is_read_as_it_was_written(order: Order, position: list[Any]) -> None:
    assert order.position_of(order.cursor(position)) == position


def test_cursor_of_a_list_by_id_is_the_id() -> None:
    assert run_list.NEWEST.cursor([RUN]) == RUN


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "\0",
        "é",
        RUN,
        BY_END.cursor([TIME, "x"]),
        run_list.order([("ended_at", True)]).cursor([TIME, RUN]),
        run_list.order([("queued_at", False)]).cursor([TIME, RUN]),
        cursors.encode(BY_END.name, [RUN]),
        cursors.encode(BY_END.name, [-1, RUN]),
        cursors.encode(BY_END.name, [10**18, RUN]),
        cursors.encode(BY_END.name, [True, RUN]),
        cursors.encode(BY_END.name, ["2026", RUN]),
        cursors.encode(BY_END.name, [TIME, TIME, RUN]),
        "A" * 5000,
    ],
)
def test_other_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid, match="not one of this list in this order") as refused:
        BY_END.position_of(cursor, "after")
    assert refused.value.field == "after"


@pytest.mark.parametrize("cursor", [None, ""])
def test_no_cursor_is_the_beginning(cursor: str | None) -> None:
    assert BY_END.position_of(cursor) is None


def test_text_in_a_cursor_holds_no_null_character() -> None:
    with pytest.raises(Invalid):
        app_list.BY_NAME.position_of(app_list.BY_NAME.cursor(["a\0b"]))
