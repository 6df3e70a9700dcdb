"""Since when an app is down, and why."""

from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from ...domain.alerts.rules import DownApp
from ...domain.values.urls import without_secrets
from .functions import App

_MOST_CAUSE_CHARS = 1000


def every(tx: Connection) -> dict[str, tuple[datetime, str]]:
    """List the apps that are down: since when, and why."""
    query = select(App.id, App.down_since, App.down_cause).where(App.down_since.is_not(None))
    found = tx.execute(query).all()
    return {app_id: (since, cause or "") for app_id, since, cause in found if since is not None}


def named(tx: Connection) -> list[DownApp]:
    """List the apps that are down, with their names, longest first; archived ones are left out."""
    query = (
        select(App.id, App.name, App.url, App.down_since, App.down_cause)
        .where(App.down_since.is_not(None), App.archived_at.is_(None))
        .order_by(App.down_since, App.id)
    )
    return [
        DownApp(app_id, name or without_secrets(url), since, cause or "")
        for app_id, name, url, since, cause in tx.execute(query).all()
        if since is not None
    ]


def mark(tx: Connection, app_id: str, at: datetime, cause: str) -> bool:
    """Store that an app is down, or another cause; `at` counts if it was not down before.

    Returns whether it was not.
    """
    cause = cause[:_MOST_CAUSE_CHARS].replace("\0", "")
    fresh = update(App).where(App.id == app_id, App.down_since.is_(None))
    if tx.execute(fresh.values(down_since=at, down_cause=cause)).rowcount:
        return True
    other = or_(App.down_cause.is_(None), App.down_cause != cause)
    tx.execute(update(App).where(App.id == app_id, other).values(down_cause=cause))
    return False


def clear(tx: Connection, app_id: str, at: datetime) -> bool:
    """Store that an app answered at a time, if it is down since before that; say whether it was."""
    mine = update(App).where(App.id == app_id, App.down_since <= at)
    return bool(tx.execute(mine.values(down_since=None, down_cause=None)).rowcount)
