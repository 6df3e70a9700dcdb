"""Rows of many finished runs, written straight into the database.

Each run is one of `seq5`: its event, five steps, six attempts and the event of its end. Times are
spread over thirty days; one run in fifty has failed.
"""

import io
import secrets
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2

from inngest_py.domain.values import ids
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import function_list

from .endpoint import step_hash

_CHUNK = 10_000
_DAYS = timedelta(days=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# columns and how a row of them is made of a row of `made`, for each k of `ks`
_MADE = ("n", "run_id", "event_id", "done_id", "function_id", "status", "at", "ended_at")
_NOTE = "x" * 60
_INSERTS = (
    """INSERT INTO events (id, external_id, name, payload, ts, received_at, internal)
    SELECT event_id, event_id, 'bench/seq5', '{"data":{"i":' || n || ',"note":"NOTE"},"id":"'
      || event_id || '","name":"bench/seq5","ts":1}', at, at, false FROM made""",
    """INSERT INTO events (id, external_id, name, payload, ts, received_at, internal)
    SELECT done_id, done_id, 'inngest/function.finished', '{"data":{"function_id":"bench-seq5",'
      || '"run_id":"' || run_id || '","event":{"data":{"i":' || n || ',"note":"NOTE"}}},'
      || '"name":"inngest/function.finished"}', ended_at, ended_at, true FROM made""",
    """INSERT INTO runs (id, function_id, function_version, event_id, status, queued_at, started_at,
      ended_at, request_version, step_count, state_bytes, output)
    SELECT run_id, function_id, 1, event_id, status, at, at, ended_at, 2, 5, 500,
      CASE WHEN status = 'failed' THEN '{"message":"it broke","name":"Error"}'
      ELSE '{"done":true}' END FROM made""",
    """INSERT INTO steps (run_id, hash, position, name, op, output, stored_at)
    SELECT run_id, hash, k, 's' || k, 'StepRun', '{"data":{"n":' || k || ',"note":"NOTE"}}', at
    FROM made, ks WHERE k < 5""",
    """INSERT INTO attempts (run_id, step, name, op, attempt, status, queued_at, started_at,
      ended_at, http_status)
    SELECT run_id, CASE WHEN k < 5 THEN hash END, 's' || k, 'StepRun', 0,
      CASE WHEN k = 5 THEN status ELSE 'completed' END, at, at, ended_at, 206
    FROM made, ks ORDER BY n, k""",
)


def fill(url: str, count: int) -> None:
    """Write `count` finished runs of every function in turn, the newest an hour old."""
    db = Database(url)
    with db.reading() as tx:
        functions_ = [row["id"] for row in function_list.every(tx)]
    db.close()
    newest = datetime.now(UTC) - timedelta(hours=1)
    filler = _sqlite if db.is_sqlite else _postgres
    filler(url, count, lambda first: _rows(first, count, newest, functions_))


def _rows(first: int, count: int, newest: datetime, functions_: Sequence[str]) -> list[list[Any]]:
    rows = []
    for n in range(first, min(first + _CHUNK, count)):
        at = newest - _DAYS * (1 - n / count)
        ms = int(at.timestamp() * 1000)
        made = [ids.ulid(ms, secrets.token_bytes(10)) for _ in range(3)]
        status = "failed" if n % 50 == 0 else "completed"
        ended_at = at + timedelta(milliseconds=40)
        rows.append([n, *made, functions_[n % len(functions_)], status, at, ended_at])
    return rows


def _statements() -> list[str]:
    return [statement.replace("NOTE", _NOTE) for statement in _INSERTS]


def _ks() -> str:
    return ", ".join(f"({k}, '{step_hash(f's{k}')}')" for k in range(6))


def _sqlite(url: str, count: int, rows: Any) -> None:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=60)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute(f"CREATE TEMP TABLE made ({', '.join(_MADE)})")
    connection.execute("CREATE TEMP TABLE ks (k, hash)")
    connection.execute(f"INSERT INTO ks VALUES {_ks()}")
    for first in range(0, count, _CHUNK):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM made")
        made = [
            [
                (v - _EPOCH) // timedelta(microseconds=1) if isinstance(v, datetime) else v
                for v in row
            ]
            for row in rows(first)
        ]
        places = ", ".join("?" * len(_MADE))
        connection.executemany(f"INSERT INTO made VALUES ({places})", made)
        for statement in _statements():
            connection.execute(statement)
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _postgres(url: str, count: int, rows: Any) -> None:
    connection = psycopg2.connect(url)
    types = ["bigint", *["text"] * 5, "timestamptz", "timestamptz"]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(_MADE, types, strict=True))
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        cursor.execute(f"CREATE TEMP TABLE made ({columns})")
        cursor.execute("CREATE TEMP TABLE ks (k int, hash text)")
        cursor.execute(f"INSERT INTO ks VALUES {_ks()}")
        for first in range(0, count, _CHUNK):
            text = "".join("\t".join(str(v) for v in row) + "\n" for row in rows(first))
            cursor.execute("TRUNCATE made")
            cursor.copy_expert("COPY made FROM STDIN", io.StringIO(text))
            for statement in _statements():
                cursor.execute(statement)
            connection.commit()
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")  # writing it all out is no part of the runs that follow
    connection.close()
