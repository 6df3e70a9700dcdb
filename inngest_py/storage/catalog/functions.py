"""Apps and their functions, and the version of the catalogue, by which caches are renewed."""

import secrets
from datetime import datetime

from sqlalchemy import (
    Connection,
    ForeignKey,
    Index,
    RowMapping,
    Text,
    UniqueConstraint,
    bindparam,
    delete,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ..db.columns import Base, Json, Timestamp, table_of
from ..db.meta import Meta
from ..db.row_types import RowValues
from ..db.session import upsert
from ..db.statements import SingleValue

# Caches of a function compare these two: its version, and the revision of what people set of it:
# its override and its search keys.
Revision = tuple[int, int]
_OVERRIDDEN = text("limits_until IS NOT NULL")


class App(Base):
    """An SDK app, known by its name; `error` is the code of the last failed sync, or None."""

    __tablename__ = "apps"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    method: Mapped[str] = mapped_column(Text, server_default="serve")
    sdk_language: Mapped[str] = mapped_column(Text, server_default="")
    sdk_version: Mapped[str] = mapped_column(Text, server_default="")
    framework: Mapped[str] = mapped_column(Text, server_default="")
    platform: Mapped[str] = mapped_column(Text, server_default="")
    app_version: Mapped[str] = mapped_column(Text, server_default="")
    checksum: Mapped[str] = mapped_column(Text, server_default="")
    error: Mapped[str | None] = mapped_column(Text)
    error_detail: Mapped[str | None] = mapped_column(Text)
    discovered: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    synced_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # since when it is archived, with its functions; its runs continue
    archived_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # since when calls and pings cannot reach it, and the last cause: see apps_down.py
    down_since: Mapped[datetime | None] = mapped_column(Timestamp)
    down_cause: Mapped[str | None] = mapped_column(Text)
    # serve queries.app_list
    __table_args__ = (UniqueConstraint("name", "url"), Index("apps_url_idx", "url"))


class FunctionRow(Base):
    """A function of an app; `config` is the validated configuration as canonical JSON."""

    __tablename__ = "functions"
    __table_args__ = (
        UniqueConstraint("app_id", "slug"),
        Index("functions_slug_idx", "slug"),
        # serves overrides.expired()
        Index(
            "functions_limits_idx",
            "limits_until",
            postgresql_where=_OVERRIDDEN,
            sqlite_where=_OVERRIDDEN,
        ),
    )
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"))
    slug: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    config: Mapped[str] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    updated_at: Mapped[datetime] = mapped_column(Timestamp)
    archived_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # what happens to new events while it is paused, skip or hold; None when it is not paused
    paused: Mapped[str | None] = mapped_column(Text)
    paused_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # its held items are being given back: see queue/function_pause.py
    resuming: Mapped[bool] = mapped_column(server_default=text("false"))
    # limits that override those of `config` (JSON: see domain.functions.overrides), until when,
    # set when and by whom; each change raises the revision
    limits: Mapped[str | None] = mapped_column(Json)
    limits_until: Mapped[datetime | None] = mapped_column(Timestamp)
    limits_at: Mapped[datetime | None] = mapped_column(Timestamp)
    limits_by: Mapped[str | None] = mapped_column(Text)
    limits_revision: Mapped[int] = mapped_column(server_default=text("0"))
    # its search keys (JSON: see domain.functions.search_keys), None for none; they raise the
    # revision, too
    search_keys: Mapped[str | None] = mapped_column(Json)


_apps = table_of(App)
_functions = table_of(FunctionRow)
_CATALOG = "catalog_version"
_VERSION_BITS = 62
VERSION = select(Meta.value).where(Meta.key == _CATALOG)
_catalog_version = SingleValue(VERSION)


def catalog_version(tx: Connection) -> int:
    """Read the catalogue's version, a number that every change of functions replaces."""
    return _catalog_version.value(tx) or 0


def renew_catalog_version(tx: Connection) -> None:
    """Replace the version in this transaction, so that every process sees that functions changed.

    The number is random: counting up would give the number of a transaction that was rolled back to
    another one. This transaction may not fill caches from now on: see is_uncommitted().
    """
    number = secrets.randbits(_VERSION_BITS)
    tx.execute(upsert(tx, Meta, {"key": _CATALOG, "value": number}, keys=["key"]))
    tx.execution_options(**{_CATALOG: number})


def is_uncommitted(tx: Connection) -> bool:
    """Say whether this transaction has changed functions: it may still be rolled back."""
    return _CATALOG in tx.get_execution_options()


def put_app(tx: Connection, values: RowValues) -> None:
    """Insert the app or replace the row with its id."""
    tx.execute(upsert(tx, App, values, keys=["id"], keep=["created_at"]))


def move_app(tx: Connection, app_id: str, url: str) -> None:
    """Set an app's URL; its next sync counts as a new one."""
    tx.execute(update(App).where(App.id == app_id).values(url=url, checksum=""))


def mark_app(tx: Connection, app_id: str, error: str | None, detail: str | None) -> None:
    """Record the app's last sync error; None clears it."""
    tx.execute(update(App).where(App.id == app_id).values(error=error, error_detail=detail))


def forget_checksum(tx: Connection, app_id: str) -> None:
    """Make the app's next sync count as a new one, even if nothing has changed."""
    tx.execute(update(App).where(App.id == app_id).values(checksum=""))


def archive_app(tx: Connection, app_id: str, now: datetime) -> None:
    """Archive the app and its functions; its next sync counts as a new one."""
    tx.execute(update(App).where(App.id == app_id).values(archived_at=now, checksum=""))
    archive_others(tx, app_id, [], now)


def restore_app(tx: Connection, app_id: str) -> None:
    """Take the app itself out of the archive."""
    archived = (App.id == app_id, App.archived_at.is_not(None))
    tx.execute(update(App).where(*archived).values(archived_at=None))


def remove_app(tx: Connection, app_id: str) -> None:
    """Delete the app, its functions, and all rows that refer to them."""
    tx.execute(delete(FunctionRow).where(FunctionRow.app_id == app_id))
    tx.execute(delete(App).where(App.id == app_id))


def remove_placeholders(tx: Connection, url: str) -> None:
    """Delete the rows without a name that stood for an app at this URL before its first sync."""
    tx.execute(delete(App).where(App.url == url, App.name == ""))


_function = select(_functions, App.name.label("app_name")).join(App, App.id == FunctionRow.app_id)
_function_by_id = _function.where(FunctionRow.id == bindparam("id"))


def function(tx: Connection, function_id: str) -> RowMapping | None:
    """Find a function by its UUID; None when there is none."""
    return tx.execute(_function_by_id, {"id": function_id}).mappings().first()


def put_function(tx: Connection, values: RowValues) -> None:
    """Insert the function or replace the row with its id, un-archiving it."""
    tx.execute(upsert(tx, FunctionRow, values, keys=["id"], keep=["created_at"]))


def archive_others(tx: Connection, app_id: str, keep: list[str], now: datetime) -> None:
    """Archive the app's functions that are not among `keep` (ids)."""
    tx.execute(
        update(FunctionRow)
        .where(
            FunctionRow.app_id == app_id,
            FunctionRow.id.not_in(keep),
            FunctionRow.archived_at.is_(None),
        )
        .values(archived_at=now)
    )


def lock_app(tx: Connection, app_id: str) -> None:
    """Lock an app's row, so that no other transaction changes its functions by old settings."""
    tx.execute(select(App.id).where(App.id == app_id).with_for_update(key_share=True)).all()


def restore_functions(tx: Connection, app_id: str) -> list[str]:
    """Take all functions of an app out of the archive; return their ids."""
    archived = (FunctionRow.app_id == app_id, FunctionRow.archived_at.is_not(None))
    mine = update(FunctionRow).where(*archived).values(archived_at=None)
    return list(tx.execute(mine.returning(FunctionRow.id)).scalars())


def lock_functions(tx: Connection, app_id: str) -> None:
    """Lock the rows of an app's functions, so that new runs, which refer to them, wait."""
    tx.execute(select(FunctionRow.id).where(FunctionRow.app_id == app_id).with_for_update()).all()
