"""Celery apps: the broker of each, and what was last seen of its workers."""

from datetime import datetime

from sqlalchemy import Connection, ForeignKey, Text, exists, or_, update
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Json, Timestamp
from ..db.session import upsert
from .functions import App


class CeleryApp(Base):
    """The broker of a Celery app; its name and its errors are in the row of `apps`.

    `broker_url` may hold a password: no page, log or answer shows it. `secret` signs what comes
    back from its workers. `watcher` is the process that listens to the broker's events.
    `refresh_wanted_at` is when somebody asked that it look for tasks; None once it has.
    """

    __tablename__ = "celery_apps"
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"), primary_key=True)
    broker_url: Mapped[str] = mapped_column(Text)
    options: Mapped[str] = mapped_column(Json)  # kombu's transport options
    queue: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(Text)
    file: Mapped[str | None] = mapped_column(Text)  # the config file that declares it
    watcher: Mapped[str | None] = mapped_column(Text)
    watched_until: Mapped[datetime | None] = mapped_column(Timestamp)
    seen: Mapped[str | None] = mapped_column(Json)  # its workers, as the watcher last saw them
    seen_at: Mapped[datetime | None] = mapped_column(Timestamp)
    refresh_wanted_at: Mapped[datetime | None] = mapped_column(Timestamp)


def put(tx: Connection, values: dict[str, object]) -> None:
    """Insert a Celery app, or replace its broker, queue and options. Its secret stays."""
    tx.execute(upsert(tx, CeleryApp, values, keys=["app_id"], keep=["secret"]))


def mark_broker(
    tx: Connection,
    app_id: str,
    broker_url: str,
    options: str,
    *,
    error: str | None,
    detail: str | None,
) -> None:
    """Record what is wrong with an app's broker, if it still is this one; None clears it.

    Who tries a broker may hear from it after the app has got another one.
    """
    used = (
        CeleryApp.app_id == app_id,
        CeleryApp.broker_url == broker_url,
        CeleryApp.options == options,
    )
    marked = update(App).where(App.id == app_id, exists().where(*used))
    tx.execute(marked.values(error=error, error_detail=detail))


def watch(tx: Connection, app_id: str, watcher: str, now: datetime, until: datetime) -> bool:
    """Make a process the app's watcher until a time, unless another one is; say whether it is."""
    free = or_(
        CeleryApp.watcher.is_(None), CeleryApp.watcher == watcher, CeleryApp.watched_until < now
    )
    mine = update(CeleryApp).where(CeleryApp.app_id == app_id, free)
    return bool(tx.execute(mine.values(watcher=watcher, watched_until=until)).rowcount)


def unwatch(tx: Connection, app_id: str, watcher: str) -> None:
    """Let another process be the app's watcher at once, if this one is."""
    mine = update(CeleryApp).where(CeleryApp.app_id == app_id, CeleryApp.watcher == watcher)
    tx.execute(mine.values(watcher=None, watched_until=None))


def note_seen(tx: Connection, app_id: str, seen: str, now: datetime) -> None:
    """Store what was seen of an app's workers."""
    tx.execute(update(CeleryApp).where(CeleryApp.app_id == app_id).values(seen=seen, seen_at=now))


def want_refresh(tx: Connection, app_id: str, now: datetime) -> None:
    """Ask the app's watcher to look for tasks."""
    mine = update(CeleryApp).where(CeleryApp.app_id == app_id)
    tx.execute(mine.values(refresh_wanted_at=now))


def end_refresh(tx: Connection, app_id: str, asked_at: datetime) -> None:
    """Store that the watcher asked the workers at a time; who wants it since then still waits."""
    wanted = CeleryApp.app_id == app_id, CeleryApp.refresh_wanted_at <= asked_at
    tx.execute(update(CeleryApp).where(*wanted).values(refresh_wanted_at=None))
