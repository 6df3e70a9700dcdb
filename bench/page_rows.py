"""The rows of bench.pages: a million runs, written straight into SQLite or PostgreSQL.

Runs of 30 days, one event and two attempts each, and the values of two search keys; one in fifty
failed, 10 a second in the last hour. One in ten has not ended: it sleeps, a few are retried, and
fewer execute. One in 10,000 is of the app `quiet`, whose function has no other runs; the function
of the app `empty` has none.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import psycopg2
from psycopg2.extras import execute_values

from inngest_py.domain.functions.registration import parse_registration
from inngest_py.domain.values import ids
from inngest_py.engine.apps import register
from inngest_py.engine.runtime.context import Context
from inngest_py.storage.db.columns import sqlite_value
from inngest_py.storage.queries import function_list

_LAST_HOUR = 36_000
_CHUNK = 20_000
_DAYS, _HOUR = timedelta(days=30), timedelta(hours=1)
_RAN = timedelta(milliseconds=50)
_COLUMNS = ("n", "id", "function_id", "place", "at", "ended_at", "soon", "failed", "live")
_INSERTS = (
    """INSERT INTO events (id, external_id, name, payload, ts, received_at, internal)
    SELECT id, id, 'shop/order.' || place,
      '{"data":{"n":' || n || '},"name":"shop/order.' || place || '"}', at, at, false FROM made""",
    """INSERT INTO runs (id, function_id, function_version, event_id, status, queued_at, started_at,
      ended_at, output)
    SELECT id, function_id, 1, id,
      CASE WHEN live = 1 THEN 'running' WHEN failed = 1 THEN 'failed' ELSE 'completed' END, at, at,
      CASE WHEN live = 0 THEN ended_at END,
      CASE WHEN failed = 1 THEN '{"message":"it broke","name":"Error"}'
        WHEN live = 0 THEN '{"ok":true}' END
    FROM made""",
    "INSERT INTO failed_runs (run_id, failed_at) SELECT id, ended_at FROM made WHERE failed = 1",
    """INSERT INTO run_search_keys (run_id, key, value)
    SELECT id, name, CASE k WHEN 0 THEN 'A-' || n ELSE 'r' || (n % 3) END
    FROM made, ks ORDER BY id, name""",
    """INSERT INTO attempts (run_id, step, name, op, attempt, status, queued_at, started_at,
      ended_at, http_status, error)
    SELECT id, CASE WHEN k = 0 THEN 'abc' END, CASE WHEN k = 0 THEN 'pack' ELSE '' END, 'StepRun',
      0, CASE WHEN failed = 1 AND k = 1 THEN 'failed' ELSE 'completed' END, at, at, ended_at, 206,
      CASE WHEN failed = 1 AND k = 1 THEN '{"message":"it broke","name":"Error"}' END
    FROM made, ks ORDER BY n, k""",
    """INSERT INTO queue_items (id, kind, run_id, job_key, state, queued_at, due_at,
      hint_at, attempt, lease_id, lease_until)
    SELECT id, CASE WHEN n % 10000 IN (1, 11) THEN 'edge' ELSE 'sleep' END, id, id,
      CASE WHEN n % 100000 = 1 THEN 'leased' ELSE 'ready' END, at,
      soon, soon, CASE WHEN n % 10000 = 11 THEN 1 ELSE 0 END,
      CASE WHEN n % 100000 = 1 THEN id END,
      CASE WHEN n % 100000 = 1 THEN soon END FROM made WHERE live = 1""",
)
_KEYS = """UPDATE functions SET
  search_keys = '{"order_id":"event.data.n","region":"event.data.region"}'"""
_KS = "INSERT INTO ks VALUES (0, 'order_id'), (1, 'region')"


def fill(ctx: Context, count: int, functions: int) -> None:
    """Write `count` runs of so many functions of the app `shop`, and of two other apps."""
    names = [f"fn-{number}" for number in range(1, functions + 1)]
    for app, its in (("shop", names), ("quiet", ["fn"]), ("empty", ["fn"])):
        _register(ctx, app, its)
    with ctx.db.reading() as tx:
        shop = function_list.ids_of(tx, None, "shop")
        quiet = function_list.ids_of(tx, None, "quiet")[0]
    rows = _Rows(count, shop, quiet, datetime.now(UTC))
    (_sqlite if ctx.db.is_sqlite else _postgres)(ctx, rows)


def settle(ctx: Context) -> None:
    """Let PostgreSQL gather statistics and write out what it has: that is no part of a page."""
    if ctx.db.is_sqlite:
        return
    connection = psycopg2.connect(_url(ctx))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    connection.close()


def _url(ctx: Context) -> str:
    return ctx.db.url.set(drivername="postgresql").render_as_string(hide_password=False)


def _register(ctx: Context, app: str, names: Sequence[str]) -> None:
    url = f"http://localhost:1/{app}"
    step = {"id": "step", "name": "step", "runtime": {"type": "http", "url": f"{url}?fnId={app}"}}
    functions = [
        {
            "id": f"{app}-{name}",
            "name": name,
            "triggers": [{"event": f"{app}/order.{number}"}],
            "steps": {"step": step},
        }
        for number, name in enumerate(names, 1)
    ]
    payload = {"appName": app, "url": url, "sdk": "js:v4.0.0", "functions": functions}
    register.register(ctx, parse_registration(payload))


class _Rows:
    """The rows of the temporary table `made`, in chunks."""

    def __init__(self, count: int, functions: Sequence[str], quiet: str, now: datetime) -> None:
        self.count, self._functions, self._quiet, self._now = count, functions, quiet, now
        self._recent = min(_LAST_HOUR, count // 2)

    def chunks(self, time: Callable[[datetime], object]) -> Iterator[list[tuple[object, ...]]]:
        for first in range(0, self.count, _CHUNK):
            last = min(first + _CHUNK, self.count)
            yield [self._row(n, time) for n in range(first, last)]

    def _row(self, n: int, time: Callable[[datetime], object]) -> tuple[object, ...]:
        old = self.count - self._recent
        if n >= old:
            at = self._now - _HOUR * ((self.count - n) / self._recent)
        else:
            at = self._now - _HOUR - _DAYS * ((old - n) / old)
        run_id = ids.ulid(int(at.timestamp() * 1000), n.to_bytes(10))
        place = (n // 50 + n) % len(self._functions)
        function = self._quiet if n % 10_000 == 7 else self._functions[place]
        times = (time(at), time(at + _RAN), time(self._now + _HOUR))
        return (n, run_id, function, place + 1, *times, int(n % 50 == 0), int(n % 10 == 1))


def _sqlite(ctx: Context, rows: _Rows) -> None:
    connection = sqlite3.connect(str(ctx.db.url.database), isolation_level=None, timeout=60)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-1000000")
    connection.execute(f"CREATE TEMP TABLE made ({', '.join(_COLUMNS)})")
    connection.execute("CREATE TEMP TABLE ks (k, name)")
    connection.execute(_KS)
    places = ", ".join("?" * len(_COLUMNS))
    for chunk in rows.chunks(sqlite_value):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM made")
        connection.executemany(f"INSERT INTO made VALUES ({places})", chunk)
        for statement in _INSERTS:
            connection.execute(statement)
        connection.execute("COMMIT")
    connection.execute(_KEYS)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _postgres(ctx: Context, rows: _Rows) -> None:
    connection = psycopg2.connect(_url(ctx))
    kinds = ("bigint", "text", "text", "int", *["timestamptz"] * 3, "int", "int")
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(_COLUMNS, kinds, strict=True))
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        cursor.execute(f"CREATE TEMP TABLE made ({columns})")
        cursor.execute("CREATE TEMP TABLE ks (k int, name text)")
        cursor.execute(_KS)
        for chunk in rows.chunks(datetime.isoformat):
            cursor.execute("TRUNCATE made")
            execute_values(cursor, "INSERT INTO made VALUES %s", chunk, page_size=1000)
            for statement in _INSERTS:
                cursor.execute(statement)
            connection.commit()
        cursor.execute(_KEYS)
    connection.commit()
    connection.close()
