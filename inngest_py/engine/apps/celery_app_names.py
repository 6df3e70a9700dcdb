"""Names of Celery apps, as people get them wrong."""

from sqlalchemy import Connection

from ...domain.errors import NotFound
from ...storage.queries import celery_app_list

_MOST = 10


def unknown(tx: Connection, name: str) -> NotFound:
    """Make the error for a name that no connected app has; it says which there are."""
    names = [str(app["name"]) for app in celery_app_list.every(tx)]
    known = ", ".join(names[:_MOST]) + (", …" if len(names) > _MOST else "")
    fix = f"name one that is connected ({known}), or add it first" if names else "add it first"
    return NotFound(f"no Celery app is called {name[:100]!r}: {fix}")
