"""The pager: whatever the windows and the budget, the pages hold each row that fits once."""

import itertools
from collections.abc import Iterator
from itertools import pairwise, product
from typing import Any

import pytest
from sqlalchemy import Column, Text

from inngest_py.storage.db.keyset import Key
from inngest_py.storage.queries import paging
from inngest_py.storage.queries.paging import Budget, Fetch, Order, Page, Position, Window

BY_ID = Order((Key("id", Column("id", Text)),))


def fetch_of(count: int, *, every: int) -> Fetch:
    """Read windows of a list of numbers; the database finds each `every`-th of them."""

    def fetch(after: Position | None, limit: int) -> Window:
        start = 0 if after is None else int(after[0]) + 1
        seen = range(count)[start : start + limit]
        rows: list[Any] = [{"id": n} for n in seen if n % every == 0]
        return Window(rows, len(seen), [seen[-1]] if seen else None, len(seen) < limit)

    return fetch


def pages(fetch: Fetch, first: int, budget: Budget, third: int) -> Iterator[Page]:
    """Read a list to its end."""
    after: Position | None = None
    while True:
        found = paging.search(
            fetch,
            BY_ID,
            first=first,
            fits=lambda row: row["id"] % third == 0,
            budget=budget,
            after=after,
        )
        yield found
        after = found.end
        if not found.more:
            return


@pytest.mark.parametrize("count", [0, 1, 5, 12, 13])
def test_pages_hold_each_row_that_fits_once(count: int) -> None:
    for first, window, most, every, third in product(
        (1, 2, 4), (1, 3, 50), (1, 4, 99), (1, 2), (1, 3)
    ):
        budget = Budget(window, window * 2, most)
        read = list(pages(fetch_of(count, every=every), first, budget, third))
        ids = [row["id"] for page in read for row in page.rows]
        assert ids == [n for n in range(count) if n % every == 0 and n % third == 0]
        assert all(len(page.rows) <= first for page in read)
        assert all(page.scanned <= most for page in read)
        assert not read[-1].stopped


def test_search_without_time_looks_at_one_row_and_goes_on() -> None:
    """The time is up at once, but each page gets one row further, so a client reaches the end."""
    left = itertools.count(1.0, -1.0)
    budget = Budget(5, 5, 100, lambda: next(left))
    read = list(pages(fetch_of(12, every=1), 4, budget, 3))
    assert [row["id"] for page in read for row in page.rows] == [0, 3, 6, 9]
    ends = [page.end[0] for page in read if page.end is not None]
    assert all(before < after for before, after in pairwise(ends))
    assert all(page.stopped for page in read[:-1])
    assert [page.scanned for page in read[:3]] == [1, 1, 1]


def test_a_window_that_came_late_is_judged_for_a_while_all_the_same() -> None:
    left = iter([0.1, *[-0.5] * 4, -0.6])
    budget = Budget(50, 50, 100, lambda: next(left))
    page = next(pages(fetch_of(100, every=10), 10, budget, 1))
    assert [row["id"] for row in page.rows] == [0, 10, 20, 30]
    assert (page.stopped, page.end, page.scanned) == (True, [30], 4)


def test_windows_grow_while_there_is_time() -> None:
    sizes = []
    inner = fetch_of(10_000, every=1)

    def fetch(after: Position | None, limit: int) -> Window:
        sizes.append(limit)
        return inner(after, limit)

    list(paging.windows(fetch, Budget(10, 100, 350)))
    assert sizes == [10, 40, 100, 100, 100]


def test_page_reads_one_row_more_to_know_whether_others_follow() -> None:
    fetch = fetch_of(4, every=1)
    first = paging.page(fetch, BY_ID, first=3)
    assert ([row["id"] for row in first.rows], first.more) == ([0, 1, 2], True)
    rest = paging.page(fetch, BY_ID, first=3, after=first.end)
    assert ([row["id"] for row in rest.rows], rest.more, rest.next) == ([3], False, None)
