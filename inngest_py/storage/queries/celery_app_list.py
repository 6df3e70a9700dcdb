"""The list of Celery apps, with what was last seen of their workers."""

from sqlalchemy import Connection, RowMapping, select

from ..catalog.celery_apps import CeleryApp
from ..catalog.functions import App
from ..db.columns import table_of

_celery_apps = table_of(CeleryApp)
_used = (
    select(_celery_apps, App.name, App.error, App.error_detail)
    .join(App, App.id == _celery_apps.c.app_id)
    .where(App.archived_at.is_(None))
    .order_by(App.name)
)


def every(tx: Connection) -> list[RowMapping]:
    """List the Celery apps that are in use, by name; with passwords and secrets."""
    return list(tx.execute(_used).mappings())


def by_name(tx: Connection, name: str) -> RowMapping | None:
    """Find a Celery app by its name; None when there is none in use."""
    return tx.execute(_used.where(App.name == name)).mappings().first()


def by_id(tx: Connection, app_id: str) -> RowMapping | None:
    """Find a Celery app by its id; None when there is none in use."""
    return tx.execute(_used.where(App.id == app_id)).mappings().first()
