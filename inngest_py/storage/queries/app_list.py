"""The list of apps, and look-ups of apps."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, func, select

from ..catalog.functions import App, FunctionRow
from ..db.columns import table_of
from ..db.keyset import Key
from . import paging
from .paging import Order, Page, Position

_apps = table_of(App)
BY_NAME = Order((Key("name", _apps.c.name, descending=False),))


def every(tx: Connection) -> list[RowMapping]:
    """List every app that is not archived, oldest first."""
    query = select(_apps).where(_apps.c.archived_at.is_(None))
    return list(tx.execute(query.order_by(_apps.c.created_at, _apps.c.id)).mappings())


def down(tx: Connection) -> list[RowMapping]:
    """List the apps that are down, first those that have been so for the longest time."""
    query = select(_apps).where(_apps.c.archived_at.is_(None), _apps.c.down_since.is_not(None))
    return list(tx.execute(query.order_by(_apps.c.down_since, _apps.c.id)).mappings())


def page(tx: Connection, *, first: int, after: Position | None, archived: bool) -> Page:
    """List apps that have synced, by name: archived ones, or those that are not."""
    is_archived = _apps.c.archived_at.is_not(None)
    query = select(_apps).where(_apps.c.name > "")
    query = query.where(is_archived if archived else ~is_archived)
    return paging.page_of(tx, query, BY_NAME, first=first, after=after)


def by_name(tx: Connection, name: str) -> RowMapping | None:
    """Find the app with this name, archived or not; None when there is none."""
    return tx.execute(select(_apps).where(_apps.c.name == name)).mappings().first()


def by_url(tx: Connection, url: str) -> RowMapping | None:
    """Find an app by its exact stored URL, if it is not archived; None when there is none."""
    query = select(_apps).where(_apps.c.url == url, _apps.c.archived_at.is_(None))
    return tx.execute(query.order_by(_apps.c.name.desc())).mappings().first()


def by_ids(tx: Connection, app_ids: Sequence[str]) -> dict[str, RowMapping]:
    """Find apps, archived ones too, by their ids."""
    found = tx.execute(select(_apps).where(_apps.c.id.in_(app_ids))).mappings()
    return {row["id"]: row for row in found}


def function_counts(tx: Connection, app_ids: Sequence[str]) -> dict[str, int]:
    """Count the functions of apps, by app, without archived ones."""
    query = (
        select(FunctionRow.app_id, func.count())
        .where(FunctionRow.app_id.in_(list(app_ids)), FunctionRow.archived_at.is_(None))
        .group_by(FunctionRow.app_id)
    )
    return {row[0]: row[1] for row in tx.execute(query)}
