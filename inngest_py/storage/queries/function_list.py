"""Apps and functions as lists show them."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, select

from ..catalog.functions import App, FunctionRow
from ..db.columns import table_of

_apps = table_of(App)
_shown = select(table_of(FunctionRow), App.name.label("app_name")).join(
    App, App.id == FunctionRow.app_id
)


def by_ids(tx: Connection, function_ids: Sequence[str]) -> dict[str, RowMapping]:
    """Find functions, archived ones too, by their ids."""
    found = tx.execute(_shown.where(FunctionRow.id.in_(function_ids))).mappings()
    return {row["id"]: row for row in found}


def by_slug(tx: Connection, slug: str) -> RowMapping | None:
    """Find the function with this slug; an archived one only when there is no other."""
    query = _shown.where(FunctionRow.slug == slug).order_by(FunctionRow.archived_at.is_not(None))
    return tx.execute(query.limit(1)).mappings().first()


def apps_by_ids(tx: Connection, app_ids: Sequence[str]) -> dict[str, RowMapping]:
    """Find apps by their ids."""
    found = tx.execute(select(_apps).where(_apps.c.id.in_(app_ids))).mappings()
    return {row["id"]: row for row in found}


def of_apps(tx: Connection, app_ids: Sequence[str]) -> dict[str, list[RowMapping]]:
    """List the functions of apps, by app, without archived ones."""
    listed: dict[str, list[RowMapping]] = {app_id: [] for app_id in app_ids}
    query = _shown.where(FunctionRow.app_id.in_(app_ids), FunctionRow.archived_at.is_(None))
    for row in tx.execute(query.order_by(FunctionRow.created_at, FunctionRow.slug)).mappings():
        listed[row["app_id"]].append(row)
    return listed
