"""Pages of apps and functions, in the order of their names."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, func, select

from ..catalog.functions import App, FunctionRow
from ..db.columns import table_of
from ..db.keyset import Key
from ..db.row_types import Query
from . import paging
from .paging import Order, Page, Position

_apps = table_of(App)
_functions = table_of(FunctionRow)
BY_NAME = Order((Key("name", _apps.c.name, descending=False),))
BY_SLUG = Order((Key("slug", _functions.c.slug, descending=False),))


def apps(tx: Connection, *, first: int, after: Position | None, archived: bool) -> Page:
    """List apps that have synced: archived ones, or those that are not."""
    is_archived = _apps.c.archived_at.is_not(None)
    query = select(_apps).where(_apps.c.name > "")
    query = query.where(is_archived if archived else ~is_archived)
    return paging.page_of(tx, query, BY_NAME, first=first, after=after)


def function_counts(tx: Connection, app_ids: Sequence[str]) -> dict[str, int]:
    """Count the functions of apps, by app, without archived ones."""
    query = (
        select(_functions.c.app_id, func.count())
        .where(_functions.c.app_id.in_(list(app_ids)), _functions.c.archived_at.is_(None))
        .group_by(_functions.c.app_id)
    )
    return {row[0]: row[1] for row in tx.execute(query)}


def _of_app(app_id: str) -> Query:
    named = select(_functions, App.name.label("app_name"))
    return named.join(App, App.id == _functions.c.app_id).where(_functions.c.app_id == app_id)


def functions(
    tx: Connection, app_id: str, *, first: int, after: Position | None, archived: bool
) -> Page:
    """List an app's functions: archived ones, or those that are not."""
    is_archived = _functions.c.archived_at.is_not(None)
    query = _of_app(app_id).where(is_archived if archived else ~is_archived)
    return paging.page_of(tx, query, BY_SLUG, first=first, after=after)


def functions_of(tx: Connection, app_id: str, slugs: Sequence[str]) -> list[RowMapping]:
    """List an app's functions that have one of the slugs, archived ones too."""
    query = _of_app(app_id).where(_functions.c.slug.in_(list(slugs)))
    return list(tx.execute(query).mappings())
