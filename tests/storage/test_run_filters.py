"""Lists of runs by filters: the same rows by whichever index they are read, and few of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, RowMapping, text

from bench import page_rows
from inngest_py.domain.events.filters import Condition
from inngest_py.domain.runs import phases
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import function_list, run_list
from inngest_py.storage.queries.run_filters import branches, choosing
from inngest_py.storage.queries.run_filters.run_query import RunQuery
from tests.engine.harness import Engine, prepared, sequence

WORDS: tuple[tuple[str, ...], ...] = (
    (),
    ("failed",),
    ("completed", "failed"),
    ("cancelled",),
    ("running",),
    ("sleeping",),
    ("waiting", "cancelled"),
    ("waiting", "failed"),
    ("queued", "retrying"),
    ("sleeping", "completed"),
)
APPS: tuple[tuple[str, ...], ...] = ((), ("shop",), ("quiet",), ("quiet", "empty"), ("empty",))
NAMES = (None, "shop/order.2", "none/such")


def filled(db: Database, runs: int) -> None:
    """Write runs of three apps, some of them cancelled, and some waiting."""
    engine = Engine(db, sequence("one"))
    engine.ctx.clock = lambda: datetime.now(UTC)
    page_rows.fill(engine.ctx, runs, 4)
    with db.transaction() as tx:
        few = "(SELECT id FROM runs WHERE status = '{}' ORDER BY id LIMIT 7)"
        cancelled = few.format("completed")
        tx.execute(text(f"UPDATE runs SET status = 'cancelled' WHERE id IN {cancelled}"))
        waiting = few.format("running")
        tx.execute(text(f"UPDATE queue_items SET kind = 'pause' WHERE run_id IN {waiting}"))


def query_of(words: Sequence[str], functions: Sequence[RowMapping], name: str | None) -> RunQuery:
    statuses, kinds = phases.chosen(words)
    return RunQuery(
        statuses=statuses,
        phases=kinds,
        function_ids=[row["id"] for row in functions] or None,
        conditions=() if name is None else [Condition(("name",), "==", name)],
    )


def pages(tx: Connection, query: RunQuery, by: run_list.Order, first: int) -> list[str]:
    found: list[str] = []
    after, more = None, True
    while more:
        page = run_list.page(tx, query, by, first=first, after=after)
        found += [row["id"] for row in page.rows]
        after, more = page.end, page.more
    return found


@pytest.mark.parametrize("most", [None, 0])
def test_filters_find_the_same_by_each_index(
    db: Database, monkeypatch: pytest.MonkeyPatch, most: int | None
) -> None:
    """With 0 nothing is rare, so that lists are read by other indexes."""
    filled(db, 600)
    if most is not None:
        for limit in ("_MOST_LED", "_MOST_OF_STATUS", "_MOST_EVENTS"):
            monkeypatch.setattr(choosing, limit, most)
    with db.reading() as tx:
        rows = run_list.look(tx, RunQuery(), run_list.OLDEST, limit=None).rows
        r1 = set(
            tx.execute(text("SELECT run_id FROM run_search_keys WHERE value = 'r1'")).scalars()
        )
        functions = function_list.every(tx)
        for place, (words, apps) in enumerate(product(WORDS, APPS)):
            name = NAMES[place % len(NAMES)]
            chosen = [row for row in functions if row["app_name"] in apps]
            query, ids = query_of(words, chosen, name), {row["id"] for row in chosen}
            fits = [
                row["id"]
                for row in rows
                if (not words or {row["status"], row["phase"]} & set(words))
                and (not ids or row["function_id"] in ids)
                and name in (None, row["event_name"])
            ]
            told = words, apps, name
            first = max(len(fits) // 2, 1)
            assert pages(tx, query, run_list.OLDEST, first) == fits, told
            assert pages(tx, query, run_list.NEWEST, 600) == fits[::-1], told
            found = run_list.outcomes(tx, query, 1000)
            assert sorted(one for one, _ in found) == fits, told
            keyed = replace(query, keys=[("region", "r1")])
            assert pages(tx, keyed, run_list.OLDEST, 600) == [one for one in fits if one in r1]


def test_a_search_of_many_functions_reads_smaller_windows(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(db, 600)
    monkeypatch.setattr(branches, "_MOST_READ", 400)
    with db.reading() as tx:
        chosen = [row for row in function_list.every(tx) if row["app_name"] == "shop"]
        query = RunQuery(function_ids=[row["id"] for row in chosen], text="nowhere")
        window = run_list.look(tx, query, limit=500)
    assert (window.looked_at, list(window.rows), window.ended) == (100, [], False)


COSTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "several functions": (("shop",), ()),
    "several functions, a status": (("shop",), ("failed",)),
    "few of them have runs": (("quiet", "empty"), ()),
    "several statuses": ((), ("completed", "failed")),
    "a phase and a status": ((), ("sleeping", "completed")),
    "a rare phase and a status": ((), ("waiting", "failed")),
    "a rare key and a phase": ((), ("sleeping",), ("order_id", "A-2001")),
}


def test_a_page_reads_few_of_the_runs(tmp_path: Path) -> None:
    """SQLite's steps, counted: to sort 4,000 runs takes a million."""
    db = prepared(f"sqlite:///{tmp_path / 'cost.db'}")
    filled(db, 4_000)
    costs: dict[str, int] = {}
    with db.reading() as tx:
        driver: Any = tx.connection.dbapi_connection
        functions = function_list.every(tx)
        for name, (apps, words, *keys) in COSTS.items():
            query = query_of(words, [row for row in functions if row["app_name"] in apps], None)
            query = replace(query, keys=[(key, value) for key, value in keys])
            count = [0]

            def more(count: list[int] = count) -> int:
                count[0] += 1
                return 0

            driver.set_progress_handler(more, 100)
            run_list.page(tx, query, first=10)
            driver.set_progress_handler(None, 0)
            costs[name] = count[0] * 100
    db.close()
    assert max(costs.values()) < 60_000, costs
