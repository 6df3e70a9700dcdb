"""The list of functions, and look-ups of functions, with the name and URL of their app."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, func, or_, select

from ..catalog.functions import App, FunctionRow
from ..db.columns import table_of
from ..db.keyset import Key
from . import paging
from .paging import Order, Page, Position

_functions = table_of(FunctionRow)
_shown = select(_functions, App.name.label("app_name"), App.url.label("app_url")).join(
    App, App.id == _functions.c.app_id
)
BY_SLUG = Order((Key("slug", _functions.c.slug, descending=False),))


def every(tx: Connection, *, app_id: str | None = None, archived: bool = True) -> list[RowMapping]:
    """List functions, of one app or of all, oldest first; archived ones too if asked for."""
    query = _shown.order_by(_functions.c.created_at, _functions.c.slug)
    if app_id is not None:
        query = query.where(_functions.c.app_id == app_id)
    if not archived:
        query = query.where(_functions.c.archived_at.is_(None))
    return list(tx.execute(query).mappings())


def page(
    tx: Connection, app_id: str, *, first: int, after: Position | None, archived: bool
) -> Page:
    """List an app's functions by slug: archived ones, or those that are not."""
    is_archived = _functions.c.archived_at.is_not(None)
    query = _shown.where(_functions.c.app_id == app_id)
    query = query.where(is_archived if archived else ~is_archived)
    return paging.page_of(tx, query, BY_SLUG, first=first, after=after)


def of_apps(tx: Connection, app_ids: Sequence[str]) -> dict[str, list[RowMapping]]:
    """List the functions of apps, by app, without archived ones."""
    listed: dict[str, list[RowMapping]] = {app_id: [] for app_id in app_ids}
    mine = (_functions.c.app_id.in_(app_ids), _functions.c.archived_at.is_(None))
    query = _shown.where(*mine).order_by(_functions.c.created_at, _functions.c.slug)
    for row in tx.execute(query).mappings():
        listed[row["app_id"]].append(row)
    return listed


def get(tx: Connection, function_id: str) -> RowMapping | None:
    """Find a function, archived or not; None when there is none."""
    return tx.execute(_shown.where(_functions.c.id == function_id)).mappings().first()


def by_ids(tx: Connection, function_ids: Sequence[str]) -> dict[str, RowMapping]:
    """Find functions, archived ones too, by their ids."""
    found = tx.execute(_shown.where(_functions.c.id.in_(function_ids))).mappings()
    return {row["id"]: row for row in found}


def by_slug(tx: Connection, slug: str) -> RowMapping | None:
    """Find the function with this slug; an archived one only when there is no other."""
    query = _shown.where(_functions.c.slug == slug)
    query = query.order_by(_functions.c.archived_at.is_not(None))
    return tx.execute(query.limit(1)).mappings().first()


def by_slugs(tx: Connection, app_id: str, slugs: Sequence[str]) -> list[RowMapping]:
    """List an app's functions that have one of the slugs, archived ones too."""
    query = _shown.where(_functions.c.app_id == app_id, _functions.c.slug.in_(list(slugs)))
    return list(tx.execute(query).mappings())


def ids_of(tx: Connection, function: str | None, app: str | None) -> list[str]:
    """List the ids of functions by a slug or an id, or by the name of their app, or by both."""
    query = select(_functions.c.id).join(App, App.id == _functions.c.app_id)
    if function is not None:
        query = query.where(or_(_functions.c.slug == function, _functions.c.id == function))
    if app is not None:
        query = query.where(App.name == app)
    return list(tx.execute(query).scalars())


def count(tx: Connection) -> int:
    """Count the functions that are not archived."""
    query = select(func.count()).select_from(_functions)
    return tx.execute(query.where(_functions.c.archived_at.is_(None))).scalar_one()
