"""Conditions of filters as SQL, for both databases."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Text, and_, case, cast, false, func, literal, true
from sqlalchemy.dialects.postgresql import JSONB

from ...domain.events.filters import Condition
from ..db.dialects import pick
from ..db.row_types import AnyColumn
from ..events.events import EventRow

_COLUMNS: dict[str, Any] = {"name": EventRow.name, "id": EventRow.external_id, "ts": EventRow.ts}
_SIGNS = {
    "==": "__eq__",
    "<": "__lt__",
    "<=": "__le__",
    ">": "__gt__",
    ">=": "__ge__",
}


def begins(name: AnyColumn, prefix: str) -> ColumnElement[bool]:
    """Write whether a name begins with a text: LIKE ignores case on SQLite."""
    found: ColumnElement[bool] = func.substr(name, 1, len(prefix)) == prefix
    return found


def on_columns(conditions: Sequence[Condition]) -> list[ColumnElement[bool]]:
    """Write the conditions that the event's columns decide."""
    return [
        getattr(_COLUMNS[item.field[0]], _SIGNS[item.sign])(item.value)
        for item in conditions
        if not item.in_json
    ]


def on_json(tx: Connection, conditions: Sequence[Condition]) -> ColumnElement[bool] | None:
    """Write the conditions that only the event's JSON decides; None when there are none.

    On PostgreSQL, events that cannot be read as jsonb match, too.
    """
    found = [item for item in conditions if item.in_json]
    if not found:
        return None
    return pick(tx, sqlite=_by_sqlite, postgres=_by_postgresql)(found)


def _by_sqlite(found: Sequence[Condition]) -> ColumnElement[bool]:
    return and_(*[_sqlite(item) for item in found])


def _by_postgresql(found: Sequence[Condition]) -> ColumnElement[bool]:
    # jsonb has no \u0000, and a cast that fails would fail the statement
    readable = EventRow.payload.not_like("%\\\\u0000%")
    return case((readable, and_(*[_postgresql(item) for item in found])), else_=true())


def _sqlite(item: Condition) -> ColumnElement[bool]:
    path = "$" + "".join(f'."{key}"' for key in item.field)
    kind = func.json_type(EventRow.payload, path)
    if isinstance(item.value, bool):
        return kind == ("true" if item.value else "false")
    types = ["text"] if isinstance(item.value, str) else ["integer", "real"]
    value = func.json_extract(EventRow.payload, path)
    return case((kind.in_(types), value == item.value), else_=false())


def _postgresql(item: Condition) -> ColumnElement[bool]:
    document = cast(EventRow.payload, JSONB)
    wanted = cast(literal(orjson.dumps(item.value).decode(), Text), JSONB)
    found: ColumnElement[bool] = func.jsonb_extract_path(document, *item.field) == wanted
    return found
