"""Manage apps by hand: add, move and archive them (protocol: api.md §5.3)."""

from ...domain.errors import Invalid, NotFound
from ...domain.values import urls
from ...storage.catalog import functions as rows
from ...storage.queries import app_list
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context
from . import reaching, register


def create(ctx: Context, url: str, *, kind: str, in_band: bool, by: Actor | None = None) -> str:
    """Ask the SDK at a URL to sync; return the app's id, even if the sync failed.

    A failure is stored as the app's error (sync.md §2). Raises Invalid for a bad URL and for a
    URL out of reach. An operator's act is written to the audit log with it.
    """
    place = urls.serve_endpoint(url)
    reaching.check(ctx.tuning.reach, [place])
    register.add_placeholder(ctx, place, by)
    return _sync(ctx, place, kind=kind, in_band=in_band)


def update(
    ctx: Context, app_id: str, url: str, *, kind: str, in_band: bool, by: Actor | None = None
) -> str:
    """Move an app to another URL and ask the SDK there to sync; return the app's id.

    Raises NotFound, and Invalid for a bad URL, a URL out of reach, and the URL of another app.
    """
    place = urls.serve_endpoint(url)
    reaching.check(ctx.tuning.reach, [place])
    with ctx.db.transaction() as tx:
        if app_id not in [app["id"] for app in app_list.every(tx)]:
            raise NotFound(f"app {app_id[:64]} does not exist")
        other = app_list.by_url(tx, place)
        if other is not None and other["id"] != app_id:
            raise Invalid(f"the app {other['name'] or other['id']} is at {place}", field="url")
        rows.move_app(tx, app_id, place)
        audit.note(tx, by, ctx.now(), "app.sync", place, app_id)
    return _sync(ctx, place, kind=kind, in_band=in_band)


def note_sync(ctx: Context, url: str, by: Actor) -> None:
    """Write to the audit log that somebody asked the SDK at a URL to sync."""
    with ctx.db.transaction() as tx:
        audit.note(tx, by, ctx.now(), "app.sync", url)


def _sync(ctx: Context, url: str, *, kind: str, in_band: bool) -> str:
    pinged = register.ping(ctx, url, kind=kind, in_band=in_band)
    register.note_ping(ctx, url, pinged)
    with ctx.db.reading() as tx:
        app = app_list.by_url(tx, url)
    if app is None:
        raise NotFound(f"the app at {url} was removed meanwhile")
    return str(app["id"])


def delete(ctx: Context, app_id: str, by: Actor | None = None) -> bool:
    """Archive an app and its functions; say whether it was there."""
    with ctx.db.transaction() as tx:
        app = next((app for app in app_list.every(tx) if app["id"] == app_id), None)
        if app is None:
            return False
        now = ctx.now()
        register.archive(tx, app, now)
        audit.note(tx, by, now, "app.archive", app["name"] or app["url"], app_id)
        return True


def delete_by_name(ctx: Context, name: str, by: Actor | None = None) -> bool:
    """Archive the app with this name; say whether it was there."""
    with ctx.db.reading() as tx:
        app = app_list.by_name(tx, name)
    return app is not None and delete(ctx, app["id"], by)
