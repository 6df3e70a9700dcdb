"""`POST /v2/apps/{id}/syncs`: ask the SDK at a URL to sync now (protocol: sync.md §2)."""

from flask import Response

from ...domain.values import urls
from ...engine.apps import manage, reaching, register
from ...storage.queries import app_list
from ..actors import actor
from ..deps import context, deps
from .common import blueprint, body, enveloped


@blueprint.post("/apps/<app_id>/syncs")
def sync(app_id: str) -> Response:
    """Sync an app; a new app is registered under the name that its SDK gives."""
    settings, ctx = deps().settings, context()
    url = urls.serve_endpoint(body().needed("url"))
    reaching.check(ctx.tuning.reach, [url])
    in_band = not settings.dev and settings.signing_key is not None
    pinged = register.ping(ctx, url, kind=settings.kind, in_band=in_band)
    register.note_ping(ctx, url, pinged)
    manage.note_sync(ctx, url, actor())
    with ctx.db.reading() as tx:
        row = app_list.by_url(tx, url) or app_list.by_name(tx, app_id)
    name = row["name"] if row is not None else None
    code = pinged.error
    message = f"the app at {url} did not sync: {code}"
    if pinged.down is not None:
        message += f": {pinged.down}"
    if code in register.DETAILS:
        message += f": {register.DETAILS[code]}"
    if code is None and name != app_id:
        code, message = "app_sync_failed", f"the app at {url} calls itself {name!r}"
    error = None if code is None else {"code": code, "message": message}
    return enveloped(
        {
            "id": register.sync_id(row["checksum"] if row is not None else url),
            "status": "SUCCESS" if error is None else "ERROR",
            "appId": name or app_id,
            "error": error,
        }
    )
