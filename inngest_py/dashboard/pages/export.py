"""Export the runs that a filter finds, as CSV or JSON, streamed and limited."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice

import orjson
from flask import Response, request
from sqlalchemy import RowMapping
from werkzeug.exceptions import NotFound

from ...domain.access.roles import Role
from ...engine.runtime.context import Context
from ...storage.queries import function_list
from ..deps import context, read, read_with
from ..parts import lists, run_errors
from ..parts.run_errors import ErrorLine
from ..parts.words import stamp
from ..routes import route
from . import runs

MOST_ROWS = 50_000
_COLUMNS = {
    "id": "id",
    "status": "status",
    "phase": "phase",
    "function": "function_slug",
    "app": "app_name",
    "event": "event_name",
    "event_id": "event_id",
    "queued_at": "queued_at",
    "started_at": "started_at",
    "ended_at": "ended_at",
    "original_run_id": "original_run_id",
    "cron": "cron",
    "skip_reason": "skip_reason",
}
# what is worked out for each run: in CSV they follow the others
_FURTHER = ("queue_ms", "duration_ms", "error_name", "error_message")
_WINDOW = 500  # runs whose errors are read at once
_Exported = tuple[RowMapping, ErrorLine | None]
# the beginnings of texts that a spreadsheet would run as formulas
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@route("/runs/export.<kind>", Role.VIEWER)
def export_runs(kind: str) -> Response:
    """Stream the runs of the list, newest first; reads at most MOST_ROWS rows."""
    if kind not in ("csv", "json"):
        raise NotFound("export as csv or json")
    ctx = context()
    wanted = runs.search(request.args, read(function_list.every), ctx.now())
    rows = _with_errors(ctx, lists.walk(wanted.fetch(ctx), wanted.after, wanted.fits, MOST_ROWS))
    written = _csv(rows) if kind == "csv" else _json(rows)
    mimetype = "text/csv" if kind == "csv" else "application/json"
    answered = Response(written, mimetype=mimetype)
    answered.headers["Content-Disposition"] = f'attachment; filename="runs.{kind}"'
    return answered


def _with_errors(ctx: Context, rows: Iterator[RowMapping]) -> Iterator[_Exported]:
    while window := list(islice(rows, _WINDOW)):
        errors = _errors(ctx, window)
        for row in window:
            yield row, errors.get(row["id"])


def _errors(ctx: Context, rows: list[RowMapping]) -> dict[str, ErrorLine]:
    return read_with(ctx, lambda tx: run_errors.lines(tx, rows))


def _values(row: RowMapping, error: ErrorLine | None) -> dict[str, object]:
    """Make the values of a run, by the names of their columns; times take milliseconds.

    `queue_ms` is until its first request; `duration_ms` is from then to its end, as in the list.
    """
    found: dict[str, object] = {
        name: stamp(row[column]) if column.endswith("_at") and row[column] else row[column]
        for name, column in _COLUMNS.items()
    }
    queued, started, ended = row["queued_at"], row["started_at"], row["ended_at"]
    found["queue_ms"] = None if started is None else _ms(started - queued)
    found["duration_ms"] = None if ended is None else _ms(ended - (started or queued))
    found["error_name"] = None if error is None else error.name
    found["error_message"] = None if error is None else error.message
    return found


def _ms(value: timedelta) -> int:
    return round(value / timedelta(milliseconds=1))


def _csv(rows: Iterable[_Exported]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow((*_COLUMNS, *_FURTHER))
    for row, error in rows:
        writer.writerow([_cell(value) for value in _values(row, error).values()])
        if buffer.tell() > 32_000:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _json(rows: Iterable[_Exported]) -> Iterator[bytes]:
    before = b"["
    for row, error in rows:
        yield before + orjson.dumps(_values(row, error))
        before = b",\n"
    yield b"[]\n" if before == b"[" else b"]\n"
