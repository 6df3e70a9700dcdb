"""SQLite's plans: hot statements find rows by id, and lists read rows in the order of an index."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from inngest_py.domain.errors import LeaseLost
from inngest_py.domain.runs.items import Item, ItemKind
from inngest_py.domain.runs.runs import RunStatus
from inngest_py.storage.catalog import connections
from inngest_py.storage.db.session import Database
from inngest_py.storage.operations import stranded
from inngest_py.storage.queries import event_list, run_list
from inngest_py.storage.queries.event_list import EventQuery
from inngest_py.storage.queries.paging import Order
from inngest_py.storage.queries.reports import event_names, function_figures
from inngest_py.storage.queries.run_columns import LARGE
from inngest_py.storage.queries.run_filters.run_query import RunQuery
from inngest_py.storage.queue import load_runs, of_ended_runs, queue_items, sent_tasks
from inngest_py.storage.runs import function_hours, runs
from inngest_py.storage.schema import migrate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ITEM = Item("i", ItemKind.EDGE, "r", "lease", 0, NOW, NOW)

STATEMENTS: dict[str, Callable[[Connection], Any]] = {
    "advance": lambda tx: runs.advance(tx, [runs.Advance("r", 1, 1, 1, None)]),
    "correct": lambda tx: runs.correct(tx, [runs.Correction("r", True, None)]),
    "end": lambda tx: runs.end(tx, [runs.End("r", RunStatus.COMPLETED, None, NOW)]),
    "load": lambda tx: load_runs.load(tx, ["r"]),
    "continue_in_place": lambda tx: queue_items.continue_in_place(tx, [(ITEM, "k", 1, NOW)]),
    "finish": lambda tx: queue_items.finish(tx, [ITEM]),
    "drop_runs": lambda tx: of_ended_runs.drop_runs(tx, ["r"], [ITEM]),
}


@contextmanager
def explained(tmp_path: Path) -> Iterator[tuple[Connection, list[str]]]:
    """Run statements on an empty database; at the end the list has the steps of their plans."""
    db = Database(f"sqlite:///{tmp_path / 'plans.db'}", synchronous="OFF")
    migrate.upgrade(db)
    ran: list[str] = []
    steps: list[str] = []
    with closing(db), db.transaction() as tx:
        driver: Any = tx.connection.dbapi_connection
        driver.set_trace_callback(ran.append)
        yield tx, steps
        driver.set_trace_callback(None)
        for statement in ran:
            rows = driver.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            steps += [row[3] for row in rows]


@pytest.mark.parametrize("name", STATEMENTS)
def test_rows_are_found_by_id(name: str, tmp_path: Path) -> None:
    with explained(tmp_path) as (tx, steps), suppress(LeaseLost):  # there are no rows
        STATEMENTS[name](tx)
    assert steps
    framed = ("SCAN given", "LIST SUBQUERY", "CORRELATED SCALAR SUBQUERY")
    own = [step for step in steps if not step.startswith(framed)]
    by_id = ("_1 (id=?)", "queue_items_run_idx (run_id=?)", "waits_run_idx (run_id=?)")
    assert all(step.endswith(by_id) for step in own), own


def test_search_for_stranded_runs_reads_only_its_page(tmp_path: Path) -> None:
    with explained(tmp_path) as (tx, steps):
        stranded.scan(tx, RunStatus.RUNNING, "a", 500)
        stranded.has_other_driving_item(tx, "r", "i")
    assert any("runs_status_idx (status=? AND id>?)" in step for step in steps), steps
    assert sum("queue_items_run_idx (run_id=?)" in step for step in steps) == 2, steps
    assert not any("TEMP B-TREE" in step or step.startswith("SCAN runs") for step in steps), steps


def test_the_last_connection_of_a_worker_is_found_by_an_index(tmp_path: Path) -> None:
    with explained(tmp_path) as (tx, steps):
        connections.last_of(tx, "worker-1")
    found = "SEARCH connections USING INDEX connections_instance_idx (instance_id=?)"
    assert steps == [found], steps


def test_look_at_sent_tasks_reads_only_those_of_the_app(tmp_path: Path) -> None:
    with explained(tmp_path) as (tx, steps):
        sent_tasks.of_app(tx, "a", 500)
    assert steps == ["SEARCH queue_items USING INDEX queue_items_task_idx (worker=?)"], steps


FAILED, SINCE = [RunStatus.FAILED], NOW - timedelta(days=1)
LISTS: dict[str, tuple[RunQuery, str, tuple[str, ...]]] = {
    "all": (RunQuery(), "queued_at", ("autoindex_runs_1",)),
    "a status": (RunQuery(statuses=FAILED), "queued_at", ("runs_status_idx",)),
    "a function": (RunQuery(function_ids=["f"]), "queued_at", ("runs_function_idx",)),
    "both": (
        RunQuery(statuses=FAILED, function_ids=["f"], since=SINCE),
        "queued_at",
        ("runs_status_idx", "runs_function_idx"),
    ),
    "a span": (RunQuery(since=SINCE, until=NOW), "queued_at", ("autoindex_runs_1",)),
    "a search key": (
        RunQuery(keys=[("order_id", "A"), ("region", "eu")], since=SINCE),
        "queued_at",
        ("run_search_keys_value_idx (key=? AND value=?",),
    ),
    "a span of starts": (
        RunQuery(time_field="started_at", since=SINCE),
        "started_at",
        ("runs_started_idx",),
    ),
    "a span of ends": (
        RunQuery(time_field="ended_at", since=SINCE, until=NOW),
        "ended_at",
        ("runs_ended_idx",),
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_read_in_the_order_of_an_index(name: str, tmp_path: Path) -> None:
    query, by, indexes = LISTS[name]
    with explained(tmp_path) as (tx, steps):
        run_list.page(tx, query, run_list.order([(by, True)]), first=40)
    assert any(index in step for step in steps for index in indexes), steps
    assert not any("TEMP B-TREE FOR ORDER BY" in step for step in steps), steps


EVENT_LISTS: dict[str, tuple[EventQuery, Order, str]] = {
    "all": (EventQuery(), event_list.NEWEST, "autoindex_events_1"),
    "a name": (EventQuery(names=["a"]), event_list.NEWEST, "events_name_idx (name=?"),
    "a span": (EventQuery(since=SINCE), event_list.BY_RECEIPT, "events_received_idx"),
}


@pytest.mark.parametrize("name", EVENT_LISTS)
def test_events_are_read_in_the_order_of_an_index(name: str, tmp_path: Path) -> None:
    query, by, index = EVENT_LISTS[name]
    with explained(tmp_path) as (tx, steps):
        event_list.page(tx, query, by, first=40)
    assert any(index in step for step in steps), steps
    assert not any("TEMP B-TREE" in step for step in steps), steps


def test_runs_of_an_event_are_found_by_indexes(tmp_path: Path) -> None:
    with explained(tmp_path) as (tx, steps):
        run_list.page(tx, RunQuery(event_id="e"), run_list.OLDEST, first=40)
    used = "runs_event_idx", "batch_events_event_idx", "runs_batch_idx", "autoindex_runs_1 (id=?)"
    assert all(any(index in step for step in steps) for index in used), steps
    assert not any(step.startswith("SCAN runs") for step in steps), steps


def test_a_list_reads_no_large_column_that_it_does_not_show(tmp_path: Path) -> None:
    ran: list[str] = []
    with explained(tmp_path) as (tx, _):
        driver: Any = tx.connection.dbapi_connection
        driver.set_trace_callback(ran.append)
        run_list.page(tx, RunQuery(statuses=FAILED), first=40)
        event_list.page(tx, EventQuery(), first=40)
    assert len(ran) == 2
    for name in (*LARGE, "payload"):
        assert not any(re.search(rf"\b{name}\b", statement) for statement in ran), name


def test_figures_and_event_types_are_found_by_indexes(tmp_path: Path) -> None:
    with explained(tmp_path) as (tx, steps):
        function_figures.last_runs(tx)
        event_names.every(tx)
        event_names.counts(tx, ["a/b"], "0")
        function_hours.ended(tx, SINCE, NOW)
        function_hours.begun(tx, SINCE, NOW)
    big = [step for step in steps if re.search(r"\b(runs|events(_\d)?)\b", step)]
    assert not [step for step in big if step.startswith("SCAN") and "INDEX" not in step], steps
    for found in (
        "runs_function_idx (function_id=?)",
        "events_name_idx (name>?)",
        "events_name_idx (name=?)",
        "events_name_idx (name=? AND id>?)",
        "runs_ended_idx (ended_at>? AND ended_at<?)",
        "runs_started_idx (started_at>? AND started_at<?)",
    ):
        assert any(step.endswith(found) for step in steps), (found, steps)
