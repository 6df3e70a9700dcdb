"""How long each page of the dashboard takes with a million runs on PostgreSQL.

    python -m bench.pages [--runs 1000000] [--functions 20] [--database-url URL]

The tables are filled by generate_series: runs of 30 days on these functions, one event and two
attempts each, and the values of two search keys; one in fifty failed, 10 a second in the last hour.
One in ten has not ended: it sleeps, a few are retried, and fewer execute. A database that was given
and has runs is measured as it is. Roll-ups are counted first.
"""

import argparse
import re
import time
from datetime import UTC, datetime

from sqlalchemy import Connection, create_engine, text

from inngest_py.api.app import create_app
from inngest_py.config import Settings
from inngest_py.dashboard import app as dashboard
from inngest_py.engine.upkeep.roll_ups import counting
from inngest_py.storage.db.session import Database
from inngest_py.storage.schema import migrate
from tests.engine.harness import Engine, sequence
from tests.servers import Postgres

_LAST_HOUR = 36_000
_REPEATS = 5
_MOST_MS = 200
_ID = re.compile(r"[0-9A-Z]{26}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# a ULID's first ten characters are its milliseconds, in Crockford's base 32
_ULID = """
CREATE OR REPLACE FUNCTION pg_temp.ulid(at timestamptz, n bigint) RETURNS text AS $$
  SELECT string_agg(
    substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + (((ms >> (5 * (9 - i))) & 31)::int), 1), ''
    ORDER BY i) || lpad(upper(to_hex(n)), 16, '0')
  FROM generate_series(0, 9) i, (SELECT floor(extract(epoch FROM at) * 1000)::bigint AS ms) m
$$ LANGUAGE sql IMMUTABLE
"""
# the last rows lie in the last hour, the others in the thirty days before it
_ROWS = """
CREATE TEMP TABLE made AS
SELECT n, at, pg_temp.ulid(at, n) AS id, n % 50 = 0 AS failed, n % 10 = 1 AS live,
  (n % {functions}) + 1 AS place
FROM (SELECT n, now() - CASE WHEN n > {runs} - {recent}
  THEN (({runs} - n) * interval '3600 s' / {recent})
  ELSE interval '1 h' + (({runs} - {recent} - n) * interval '30 days' / {runs}) END AS at
  FROM generate_series(1, {runs}) n) t
"""
_FILL = (
    """INSERT INTO events (id, external_id, name, payload, ts, received_at, internal)
    SELECT id, id, 'shop/order.' || place,
      '{"data":{"n":' || n || '},"name":"shop/order.' || place || '"}', at, at, false FROM made""",
    """INSERT INTO runs (id, function_id, function_version, event_id, status, queued_at, started_at,
      ended_at, output)
    SELECT id, (SELECT array_agg(f.id ORDER BY f.slug) FROM functions f)[place], 1, id,
      CASE WHEN live THEN 'running' WHEN failed THEN 'failed' ELSE 'completed' END, at, at,
      CASE WHEN NOT live THEN at + interval '50 ms' END,
      CASE WHEN failed THEN '{"message":"it broke","name":"Error"}'
        WHEN NOT live THEN '{"ok":true}' END
    FROM made""",
    """INSERT INTO run_search_keys (run_id, key, value)
    SELECT id, k, CASE k WHEN 'order_id' THEN 'A-' || n ELSE 'r' || n % 3 END
    FROM made, unnest(ARRAY['order_id', 'region']) k ORDER BY id, k""",
    """UPDATE functions SET
      search_keys = '{"order_id":"event.data.n","region":"event.data.region"}'""",
    """INSERT INTO attempts (run_id, step, name, op, attempt, status, queued_at, started_at,
      ended_at, http_status, error)
    SELECT id, CASE WHEN k = 0 THEN 'abc' END, CASE WHEN k = 0 THEN 'pack' ELSE '' END, 'StepRun',
      0, CASE WHEN failed AND k = 1 THEN 'failed' ELSE 'completed' END, at,
      at + interval '5 ms', at + interval '30 ms', 206,
      CASE WHEN failed AND k = 1 THEN '{"message":"it broke","name":"Error"}' END
    FROM made, generate_series(0, 1) k ORDER BY n, k""",
    """INSERT INTO queue_items (id, kind, run_id, job_key, state, queued_at, due_at,
      hint_at, attempt, lease_id, lease_until)
    SELECT id, CASE WHEN n % 10000 IN (1, 11) THEN 'edge' ELSE 'sleep' END, id, id,
      CASE WHEN n % 100000 = 1 THEN 'leased' ELSE 'ready' END, at,
      now() + interval '1 h', now() + interval '1 h', CASE WHEN n % 10000 = 11 THEN 1 ELSE 0 END,
      CASE WHEN n % 100000 = 1 THEN id END,
      CASE WHEN n % 100000 = 1 THEN now() + interval '1 h' END FROM made WHERE live""",
)


def main() -> int:
    """Fill the tables, ask for each page, print a table; 1 when a page took too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--functions", type=int, default=20)
    parser.add_argument("--database-url")
    given = parser.parse_args()
    server = None if given.database_url else Postgres().start()
    url = given.database_url or (server.create_database() if server else "")
    try:
        return _measure(Database(url), given.runs, given.functions)
    finally:
        if server is not None:
            server.close()


def _measure(db: Database, runs: int, functions: int) -> int:
    migrate.upgrade(db)
    with db.reading() as tx:
        is_empty = tx.execute(text("SELECT 1 FROM runs LIMIT 1")).first() is None
    engine = Engine(db, sequence("one"))
    patient = create_engine(db.url)  # the server's own connections give up after seconds
    if is_empty:
        with patient.begin() as tx:
            _fill(tx, runs, functions)
    with patient.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
    engine.ctx.clock = lambda: datetime.now(UTC)
    while counting.count(engine.ctx):
        pass
    settings = Settings(dev=True, database_url=str(db.url))
    app = create_app(settings, engine.ctx)
    dashboard.add_to(app, settings, engine.ctx)
    client = app.test_client()
    slow = 0
    print("| page | first, ms | later, ms |\n|---|---|---|")
    for page in _pages(db):
        took = []
        for _ in range(_REPEATS):
            began = time.perf_counter()
            answered = client.get(page)
            took.append((time.perf_counter() - began) * 1000)
            assert answered.status_code == 200, f"{page}: {answered.text[:2000]}"
        later = sorted(took[1:])[len(took) // 2 - 1]
        slow += later > _MOST_MS
        print(f"| `{ids_hidden(page)}` | {took[0]:.0f} | {later:.0f} |", flush=True)
    db.close()
    return 1 if slow else 0


def ids_hidden(page: str) -> str:
    """Write a page's path without the ids of this database."""
    return _ID.sub("ID", page)


def _fill(tx: Connection, runs: int, functions: int) -> None:
    tx.execute(
        text(
            "INSERT INTO functions (id, app_id, slug, name, url, version, config, created_at,"
            " updated_at) SELECT gen_random_uuid()::text, app_id, slug || '-' || n, name, url, 1,"
            " config, created_at, updated_at FROM functions, generate_series(2, :most) n"
        ),
        {"most": functions},
    )
    recent = min(_LAST_HOUR, runs // 2)
    rows = _ROWS.format(runs=runs, recent=recent, functions=functions)
    for statement in (_ULID, rows, *_FILL):
        tx.exec_driver_sql(statement.replace("%", "%%"))  # the driver's own sign


def _pages(db: Database) -> list[str]:
    with db.reading() as tx:
        run = tx.execute(text("SELECT id FROM runs ORDER BY id DESC OFFSET 1000 LIMIT 1")).scalar()
        deep = tx.execute(text("SELECT id FROM runs ORDER BY id LIMIT 1 OFFSET 500000")).scalar()
        function = tx.execute(text("SELECT id FROM functions ORDER BY slug LIMIT 1")).scalar()
    before = str(deep or run)
    return [*_lists_of_runs(str(function), before), *_others(str(run), str(function), before)]


def _lists_of_runs(function: str, before: str) -> list[str]:
    return [
        "/runs",
        f"/runs?before={before}",
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
        f"/runs?app=app&status=failed&before={before}",
        "/runs?since=1h&status=failed",
        "/runs?event=shop/order.3",
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
        "/runs/plot?app=app&status=completed&status=failed",
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
    ]


if __name__ == "__main__":
    raise SystemExit(main())
