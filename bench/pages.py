"""How long each page of the dashboard takes with a million runs.

    python -m bench.pages [--runs 1000000] [--functions 20] [--database-url URL] [--pairs]

The database is a new one of PostgreSQL, or the given one: an empty one is filled by page_rows, and
one that has runs is measured as it is. Roll-ups and error groups are counted first. With `--pairs`
it measures the list of runs alone: each filter, and each with a status, a phase and two of them.
"""

import argparse
import re
import time
from datetime import UTC, datetime
from itertools import product
from statistics import median

from sqlalchemy import text

from inngest_py.api.app import create_app
from inngest_py.config import Settings
from inngest_py.dashboard import app as dashboard
from inngest_py.domain.runs.phases import WORDS
from inngest_py.engine.runtime.context import Context
from inngest_py.engine.upkeep.errors import grouping
from inngest_py.engine.upkeep.roll_ups import counting
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import function_list, run_list
from inngest_py.storage.schema import migrate
from tests.engine.harness import Engine, sequence
from tests.servers import Postgres

from . import page_rows

_REPEATS = 5
_MOST_MS = 200
_FILTERS = (
    "",
    "app=shop",
    "app=quiet",
    "app=empty",
    "event=shop/order.3",
    "event=none/such",
    "event=shop/order.1*",
    "q=it+broke",
    "q=nowhere",
    "cel=event.data.n+%3E+5",
    "cel=event.data.n+%3C+0",
    "cel=event.ts+%3C+5",
    "key.order_id=A-500000",
    "key.region=r1",
    "key.region=r1&key.order_id=A-4",
    "since=1h",
    "since=7d",
)
_TWO = (
    "status=retrying&status=failed",
    "status=queued&status=retrying",
    "status=waiting&status=sleeping",
    "status=waiting&status=failed",
    "status=waiting&status=cancelled",
    "status=sleeping&status=completed",
    "status=completed&status=failed",
)
_ID = re.compile(r"[0-9A-Z]{26}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def main() -> int:
    """Fill the tables, ask for each page, print a table; 1 when a page took too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--functions", type=int, default=20)
    parser.add_argument("--database-url")
    parser.add_argument("--pairs", action="store_true")
    given = parser.parse_args()
    server = None if given.database_url else Postgres().start()
    url = given.database_url or (server.create_database() if server else "")
    try:
        return _measure(Database(url), given)
    finally:
        if server is not None:
            server.close()


def _measure(db: Database, given: argparse.Namespace) -> int:
    ctx = _prepared(db, given.runs, given.functions)
    settings = Settings(dev=True, database_url=str(db.url))
    app = create_app(settings, ctx)
    dashboard.add_to(app, settings, ctx)
    client = app.test_client()
    slow = 0
    print("| page | first, ms | later, ms | CPU, ms |\n|---|---|---|---|")
    for page in _filters(db) if given.pairs else _pages(db):
        took, used = [], []
        for _ in range(_REPEATS):
            began, cpu = time.perf_counter(), time.process_time()
            answered = client.get(page)
            took.append((time.perf_counter() - began) * 1000)
            used.append((time.process_time() - cpu) * 1000)
            assert answered.status_code == 200, f"{page}: {answered.text[:2000]}"
        later, of_process = median(took[1:]), median(used[1:])
        slow += later > _MOST_MS
        row = f"{took[0]:.0f} | {later:.0f} | {of_process:.0f}"
        print(f"| `{ids_hidden(page)}` | {row} |", flush=True)
    db.close()
    return 1 if slow else 0


def _prepared(db: Database, runs: int, functions: int) -> Context:
    """Fill a database that has no runs, and count what upkeep counts."""
    migrate.upgrade(db)
    ctx = Engine(db, sequence("one")).ctx
    ctx.clock = lambda: datetime.now(UTC)
    with db.reading() as tx:
        is_empty = run_list.oldest(tx) is None
    if is_empty:
        page_rows.fill(ctx, runs, functions)
    while counting.count(ctx):
        pass
    while grouping.group(ctx):
        pass
    page_rows.settle(ctx)
    return ctx


def ids_hidden(page: str) -> str:
    """Write a page's path without the ids of this database."""
    return _ID.sub("ID", page)


def _pages(db: Database) -> list[str]:
    with db.reading() as tx:
        run = tx.execute(text("SELECT id FROM runs ORDER BY id DESC LIMIT 1 OFFSET 1000")).scalar()
        deep = tx.execute(text("SELECT id FROM runs ORDER BY id LIMIT 1 OFFSET 500000")).scalar()
        function = function_list.ids_of(tx, "shop-fn-1", "shop")[0]
        group = tx.execute(text("SELECT id FROM error_groups ORDER BY runs DESC LIMIT 1")).scalar()
    before = str(deep or run)
    others = _others(str(run), function, before)
    return [*_lists_of_runs(function, before), *others, f"/errors/{group}"]


def _filters(db: Database) -> list[str]:
    with db.reading() as tx:
        of = {app: function_list.ids_of(tx, None, app)[0] for app in ("shop", "quiet", "empty")}
    functions = [f"function={one}" for one in of.values()]
    words = ["", *[f"status={word}" for word in (*WORDS, "running")], *_TWO]
    filters = [*functions, *_FILTERS]
    return [f"/runs?{'&'.join(filter(None, one))}" for one in product(filters, words)]


def _lists_of_runs(function: str, before: str) -> list[str]:
    return [
        "/runs",
        f"/runs?before={before}",
        "/runs?app=shop",
        "/runs?app=quiet",
        "/runs?app=empty&status=completed",
        "/runs?status=completed&status=failed",
        "/runs?status=waiting&status=failed",
        "/runs?status=failed",
        "/runs?status=running",
        "/runs?status=executing",
        "/runs?status=retrying",
        "/runs?status=queued&status=retrying",
        "/runs?status=waiting&status=sleeping",
        "/runs?status=waiting",
        "/runs?status=retrying&status=failed",
        f"/runs?function={function}",
        f"/runs?function={function}&status=failed",
        f"/runs?app=shop&status=failed&before={before}",
        "/runs?since=1h&status=failed",
        "/runs?event=shop/order.3",
        "/runs?event=none/such",
        "/runs?cel=event.ts+%3C+5",
        "/runs?q=it+broke",
        "/runs?cel=event.data.n+%3E+5",
        "/runs?event=shop/order.1*",
        "/runs?q=order_id:A-500000",
        "/runs?key.order_id=none",
        "/runs?key.region=r1",
        "/runs?key.region=r1&key.order_id=A-4",
        "/runs?key.region=r1&status=failed",
        "/runs?key.region=r1&since=1h",
        f"/runs?key.region=r1&function={function}",
        f"/runs?function={function}&col=event.data.n,event.name",
        "/runs?q=written+nowhere",
        "/runs?cel=event.data.n+%3C+0",
        "/runs/plot",
        "/runs/plot?status=completed",
        "/runs/plot?status=waiting&status=sleeping",
        f"/runs/plot?function={function}",
        "/runs/plot?app=shop&status=completed&status=failed",
        "/runs/plot?since=24h",
        "/runs/plot?q=it+broke",
    ]


def _others(run: str, function: str, before: str) -> list[str]:
    return [
        "/",
        f"/runs/{run}",
        "/events",
        f"/events?before={before}",
        "/events?name=shop/order.7",
        "/events?name=shop/order.1*",
        "/events?q=order.9",
        f"/events/{run}",
        "/events/types",
        "/events/type?name=shop/order.7",
        "/events/send",
        "/functions",
        "/functions?sort=failures",
        "/functions?sort=p95",
        f"/functions/{function}",
        f"/functions/{function}?span=7d",
        "/apps",
        "/queues",
        "/errors",
        "/operations",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
