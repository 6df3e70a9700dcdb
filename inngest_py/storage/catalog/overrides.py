"""Overrides of limits: set, removed and expired on a function's row."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from ..db.columns import table_of
from ..db.statements import SingleValue
from .functions import FunctionRow

_functions = table_of(FunctionRow)
_ends = _functions.c.limits_until
_first_end = SingleValue(select(func.min(_ends)).where(_ends.is_not(None)))
_EMPTY = dict.fromkeys(("limits", "limits_until", "limits_by", "limits_at"))


def put(
    tx: Connection,
    function_id: str,
    limits: str,
    until: datetime | None,
    by: str | None,
    now: datetime,
) -> None:
    """Set a function's override (JSON), which replaces any other."""
    values = {"limits": limits, "limits_until": until, "limits_by": by, "limits_at": now}
    _change(tx, function_id, values)


def remove(tx: Connection, function_id: str) -> None:
    """Remove a function's override."""
    _change(tx, function_id, _EMPTY)


def _change(tx: Connection, function_id: str, values: Mapping[str, object]) -> None:
    revision = _functions.c.limits_revision + 1
    changed = update(_functions).where(_functions.c.id == function_id)
    tx.execute(changed.values(limits_revision=revision, **values))


def first_end(tx: Connection) -> datetime | None:
    """Say when the first override ends; None when no override has an end."""
    found: datetime | None = _first_end.value(tx)
    return found


def next_after(tx: Connection, now: datetime) -> datetime | None:
    """Say when the next override ends after a moment; None when none does."""
    found: datetime | None = tx.execute(select(func.min(_ends)).where(_ends > now)).scalar()
    return found


def expired(tx: Connection, now: datetime) -> list[str]:
    """List the functions whose override has expired."""
    query = select(_functions.c.id).where(_functions.c.limits_until <= now)
    return list(tx.execute(query).scalars())


def is_expired(tx: Connection, function_id: str, now: datetime) -> bool:
    """Say whether the function's override has expired; locks the row."""
    query = select(_functions.c.id).where(
        _functions.c.id == function_id, _functions.c.limits_until <= now
    )
    return tx.execute(query.with_for_update(key_share=True)).scalar() is not None
