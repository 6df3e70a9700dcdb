"""Names of Celery apps, as people get them wrong."""

from sqlalchemy import Connection, RowMapping

from ...domain.errors import NotFound
from ...storage.queries import celery_app_list

_MOST = 10


def unknown(tx: Connection, name: str) -> NotFound:
    """Make the error for a name that no connected app has; it says which there are."""
    names = [str(app["name"]) for app in celery_app_list.every(tx)]
    known = ", ".join(names[:_MOST]) + (", …" if len(names) > _MOST else "")
    fix = f"name one that is connected ({known}), or add it first" if names else "add it first"
    return NotFound(f"no Celery app is called {name[:100]!r}: {fix}")


def find(tx: Connection, name: str) -> RowMapping:
    """Read the connected app of a name. Raises NotFound, which says which there are."""
    app = celery_app_list.by_name(tx, name)
    if app is None:
        raise unknown(tx, name)
    return app
