"""Export the runs that a filter finds, as CSV or JSON, streamed and limited."""

import csv
import io
from collections.abc import Iterable, Iterator

import orjson
from flask import Response, request
from sqlalchemy import RowMapping
from werkzeug.exceptions import NotFound

from ...domain.access.roles import Role
from ...storage.queries import function_list
from ..deps import context, read
from ..parts import lists
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
# the beginnings of texts that a spreadsheet would run as formulas
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@route("/runs/export.<kind>", Role.VIEWER)
def export_runs(kind: str) -> Response:
    """Stream the runs of the list, newest first; reads at most MOST_ROWS rows."""
    if kind not in ("csv", "json"):
        raise NotFound("export as csv or json")
    ctx = context()
    wanted = runs.search(request.args, read(function_list.every), ctx.now())
    rows = lists.walk(wanted.fetch(ctx), wanted.after, wanted.fits, MOST_ROWS)
    written = _csv(rows) if kind == "csv" else _json(rows)
    mimetype = "text/csv" if kind == "csv" else "application/json"
    answered = Response(written, mimetype=mimetype)
    answered.headers["Content-Disposition"] = f'attachment; filename="runs.{kind}"'
    return answered


def _values(row: RowMapping) -> dict[str, object]:
    return {
        name: stamp(row[column]) if column.endswith("_at") and row[column] else row[column]
        for name, column in _COLUMNS.items()
    }


def _csv(rows: Iterable[RowMapping]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow([_cell(value) for value in _values(row).values()])
        if buffer.tell() > 32_000:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _json(rows: Iterable[RowMapping]) -> Iterator[bytes]:
    before = b"["
    for row in rows:
        yield before + orjson.dumps(_values(row))
        before = b",\n"
    yield b"[]\n" if before == b"[" else b"]\n"
