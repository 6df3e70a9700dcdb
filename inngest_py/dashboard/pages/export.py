"""Export the runs that a filter finds, as CSV or JSON, streamed and limited."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import NamedTuple

from flask import Response, request
from sqlalchemy import RowMapping
from werkzeug.exceptions import NotFound

from ...domain.access.roles import Role
from ...domain.values import canonical
from ...domain.values.payload_paths import shown
from ...engine.runtime.context import Context
from ...storage.queries import function_list
from ...storage.queries.errors import run_errors
from ...storage.queries.errors.run_errors import ErrorLine
from ..deps import context, read, read_with
from ..parts import lists, payload_columns
from ..parts.payload_columns import Column
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
_WINDOW = 500  # runs whose errors and events are read at once


class _Exported(NamedTuple):
    """A run, its error, and the fields of its event that were asked for, by their paths."""

    row: RowMapping
    error: ErrorLine | None
    fields: Mapping[str, object]


# the beginnings of texts that a spreadsheet would run as formulas
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@route("/runs/export.<kind>", Role.VIEWER)
def export_runs(kind: str) -> Response:
    """Stream the runs of the list, newest first, with its columns; at most MOST_ROWS rows."""
    if kind not in ("csv", "json"):
        raise NotFound("export as csv or json")
    ctx = context()
    functions = read(function_list.every)
    wanted = runs.search(request.args, functions, ctx.now())
    columns = payload_columns.chosen(request.args, functions)
    walked = lists.walk(wanted.fetch(ctx), wanted.after, wanted.fits, MOST_ROWS)
    rows = _with_others(ctx, walked, columns)
    written = _csv(rows, [one.path.text for one in columns]) if kind == "csv" else _json(rows)
    mimetype = "text/csv" if kind == "csv" else "application/json"
    answered = Response(written, mimetype=mimetype)
    answered.headers["Content-Disposition"] = f'attachment; filename="runs.{kind}"'
    return answered


def _with_others(
    ctx: Context, rows: Iterator[RowMapping], columns: Sequence[Column]
) -> Iterator[_Exported]:
    nothing: dict[str, object] = {column.path.text: None for column in columns}
    while window := list(islice(rows, _WINDOW)):
        errors, fields = _others(ctx, window, columns)
        for row in window:
            yield _Exported(row, errors.get(row["id"]), fields.get(row["event_id"], nothing))


def _others(
    ctx: Context, rows: Sequence[RowMapping], columns: Sequence[Column]
) -> tuple[dict[str, ErrorLine], dict[str, dict[str, object]]]:
    return read_with(
        ctx, lambda tx: (run_errors.lines(tx, rows), payload_columns.values(tx, columns, rows))
    )


def _values(one: _Exported) -> dict[str, object]:
    """Make the values of a run, by the names of their columns; times take milliseconds.

    `queue_ms` is until its first request; `duration_ms` is from then to its end, as in the list.
    """
    row, error = one.row, one.error
    found: dict[str, object] = {
        name: stamp(row[column]) if column.endswith("_at") and row[column] else row[column]
        for name, column in _COLUMNS.items()
    }
    queued, started, ended = row["queued_at"], row["started_at"], row["ended_at"]
    found["queue_ms"] = None if started is None else _ms(started - queued)
    found["duration_ms"] = None if ended is None else _ms(ended - (started or queued))
    found["error_name"] = None if error is None else error.name
    found["error_message"] = None if error is None else error.message
    return {**found, **one.fields}


def _ms(value: timedelta) -> int:
    return round(value / timedelta(milliseconds=1))


def _csv(rows: Iterable[_Exported], paths: Sequence[str]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow((*_COLUMNS, *_FURTHER, *paths))
    for one in rows:
        writer.writerow([_cell(value) for value in _values(one).values()])
        if buffer.tell() > 32_000:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, list | dict):  # a field of an event
        value = shown(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _json(rows: Iterable[_Exported]) -> Iterator[bytes]:
    before = b"["
    for one in rows:
        yield before + canonical.dumps_exact(_values(one)).encode()
        before = b",\n"
    yield b"[]\n" if before == b"[" else b"]\n"
