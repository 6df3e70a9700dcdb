"""Pages of apps and functions, in the order of their names."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, select

from ..catalog.functions import App, FunctionRow
from ..db.columns import table_of

_apps = table_of(App)
_functions = table_of(FunctionRow)


def apps(
    tx: Connection, *, limit: int, after: str | None = None, archived: bool = False
) -> list[RowMapping]:
    """List apps that have synced, after a name: archived ones, or those that are not."""
    is_archived = _apps.c.archived_at.is_not(None)
    query = select(_apps).where(_apps.c.name > (after or ""))
    query = query.where(is_archived if archived else ~is_archived)
    return list(tx.execute(query.order_by(_apps.c.name).limit(limit)).mappings())


def function_counts(tx: Connection, app_ids: Sequence[str]) -> dict[str, int]:
    """Count the functions of apps, by app, without archived ones."""
    query = (
        select(_functions.c.app_id, func.count())
        .where(_functions.c.app_id.in_(list(app_ids)), _functions.c.archived_at.is_(None))
        .group_by(_functions.c.app_id)
    )
    return {row[0]: row[1] for row in tx.execute(query)}


def _of_app(app_id: str) -> Select[Any]:
    named = select(_functions, App.name.label("app_name"))
    return named.join(App, App.id == _functions.c.app_id).where(_functions.c.app_id == app_id)


def functions(
    tx: Connection, app_id: str, *, limit: int, after: str | None = None, archived: bool = False
) -> list[RowMapping]:
    """List an app's functions after a slug: archived ones, or those that are not."""
    is_archived = _functions.c.archived_at.is_not(None)
    query = _of_app(app_id).where(is_archived if archived else ~is_archived)
    if after is not None:
        query = query.where(_functions.c.slug > after)
    return list(tx.execute(query.order_by(_functions.c.slug).limit(limit)).mappings())


def functions_of(tx: Connection, app_id: str, slugs: Sequence[str]) -> list[RowMapping]:
    """List an app's functions that have one of the slugs, archived ones too."""
    query = _of_app(app_id).where(_functions.c.slug.in_(list(slugs)))
    return list(tx.execute(query).mappings())


def names(tx: Connection, function_ids: Sequence[str]) -> dict[str, str]:
    """Read the names of functions, by id."""
    query = select(_functions.c.id, _functions.c.name)
    found = tx.execute(query.where(_functions.c.id.in_(list(function_ids))))
    return {row[0]: row[1] for row in found}
