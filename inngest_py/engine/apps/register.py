"""Syncs of apps: store what an SDK registers, and ask SDKs to sync (protocol: sync.md)."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping

from ... import observe
from ...domain.access.reach import REFUSED
from ...domain.errors import Invalid, NotFound
from ...domain.functions.function_config import FunctionConfig, config_from_json
from ...domain.functions.registration import Registration, parse_registration
from ...domain.reply.read import Reply, down_cause
from ...domain.values import canonical, ids
from ...domain.values.urls import is_connect
from ...storage.catalog import apps_down
from ...storage.catalog import functions as rows
from ...storage.db.row_types import RowValues
from ...storage.queries import app_list, function_list
from ...storage.queue import timers
from ..flow import limit_changes
from ..flow.limit_changes import Locked
from ..intake import cron_schedules
from ..runtime import audit, signed_requests
from ..runtime.audit import Actor
from ..runtime.context import Context
from . import reaching

_PING_TIMEOUT = timedelta(seconds=10)
_PROBE_TIMEOUT = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Registered:
    """The outcome of a sync; `modified` is False when nothing had changed."""

    app_id: str
    sync_id: str
    modified: bool


def _is_unchanged(app: RowMapping, sync: Registration) -> bool:
    """Say whether a sync would change nothing.

    An archived app counts as changed: an older server that restores one leaves it marked archived.
    """
    in_order = app["error"] is None and app["archived_at"] is None
    return in_order and bool(app["checksum"] == sync.checksum)


def sync_id(checksum: str) -> str:
    """Derive a sync's UUID from its checksum."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, checksum))


def register(ctx: Context, sync: Registration) -> Registered:
    """Store an app and its functions in one transaction; functions left out are archived.

    Raises Invalid when one of their URLs is out of reach.
    """
    reaching.check(ctx.tuning.reach, _urls(sync))
    made = sync_id(sync.checksum)
    relimited: set[str] = set()

    def write(tx: Connection) -> Registered:
        now = ctx.now()
        app = app_list.by_name(tx, sync.app_name)
        app_id = app["id"] if app is not None else ids.app_id(sync.app_name)
        if app is not None and _is_unchanged(app, sync):
            return Registered(app_id, made, False)
        held = _lock_changed(tx, app_id, sync.functions, now)
        relimited.update(held.before)
        rows.remove_placeholders(tx, sync.url)
        rows.put_app(tx, _app_values(sync, app_id, sync.method, now))
        kept = _put_functions(tx, app_id, sync.functions, now)
        limit_changes.rescale(tx, held, now)
        rows.archive_others(tx, app_id, kept, now)
        cron_schedules.plan(tx, app_id, now)
        rows.renew_catalog_version(tx)
        return Registered(app_id, made, True)

    # alone: an event in the same commit would cache functions that may be rolled back
    done = ctx.committer.run_alone(write)
    limit_changes.let_in_waiting(ctx, sorted(relimited))
    if done.modified:
        observe.event("app.synced", app=sync.app_name, functions=len(sync.functions))
    return done


def _urls(sync: Registration) -> list[str]:
    given = [sync.url, *(config.url for config in sync.functions)]
    return [url for url in given if not is_connect(url)]  # their workers call us


def _app_values(sync: Registration, app_id: str, method: str, now: datetime) -> RowValues:
    return {
        "id": app_id,
        "name": sync.app_name,
        "url": sync.url,
        "method": method,
        "sdk_language": sync.sdk_language,
        "sdk_version": sync.sdk_version,
        "framework": sync.framework,
        "platform": sync.platform,
        "app_version": sync.app_version,
        "checksum": sync.checksum,
        "error": None,
        "error_detail": None,
        "created_at": now,
        "synced_at": now,
        "archived_at": None,
    }


def _lock_changed(
    tx: Connection, app_id: str, configs: tuple[FunctionConfig, ...], now: datetime
) -> Locked:
    """Lock the buckets of functions whose limits a sync changes, for changing.rescale()."""
    known = {row["slug"]: row for row in function_list.every(tx, app_id=app_id)}
    changed = [
        row["id"]
        for config in configs
        if (row := known.get(config.slug)) is not None
        and limit_changes.differs(config_from_json(row["config"]), config)
    ]
    return limit_changes.lock(tx, changed, now)


def _put_functions(
    tx: Connection, app_id: str, configs: tuple[FunctionConfig, ...], now: datetime
) -> list[str]:
    known = {row["slug"]: row for row in function_list.every(tx, app_id=app_id)}
    kept, restored = [], []
    for config in configs:
        row = known.get(config.slug)
        function_id = row["id"] if row is not None else _new_id(tx, app_id, config)
        rows.put_function(
            tx,
            {
                "id": function_id,
                "app_id": app_id,
                "slug": config.slug,
                "name": config.name,
                "url": config.url,
                "version": row["version"] + 1 if row is not None else 1,
                "config": config.to_json(),
                "created_at": now,
                "updated_at": now,
                "archived_at": None,
            },
        )
        kept.append(function_id)
        if row is not None and row["archived_at"] is not None:
            restored.append(function_id)
    if restored:
        timers.hasten_overdue(tx, restored, now)
    return kept


def _new_id(tx: Connection, app_id: str, config: FunctionConfig) -> str:
    """Derive the id from name and URL (sync.md §6), or from app and slug if that id is taken."""
    derived = ids.function_id(config.name, config.url)
    if rows.function(tx, derived) is None:
        return derived
    return ids.function_id(f"{app_id}:{config.slug}", config.url)


def register_one(ctx: Context, sync: Registration) -> str:
    """Store one function of an app, described in JSON; return the function's id.

    The app's other functions stay as they are. Raises Invalid when a URL is out of reach.
    """
    reaching.check(ctx.tuning.reach, _urls(sync))
    relimited: set[str] = set()

    def write(tx: Connection) -> str:
        now = ctx.now()
        app = app_list.by_name(tx, sync.app_name)
        app_id = app["id"] if app is not None else ids.app_id(sync.app_name)
        if app is None:
            rows.put_app(tx, _app_values(sync, app_id, "api", now))
        else:
            rows.restore_app(tx, app_id)
        held = _lock_changed(tx, app_id, sync.functions, now)
        relimited.update(held.before)
        kept = _put_functions(tx, app_id, sync.functions, now)
        limit_changes.rescale(tx, held, now)
        cron_schedules.plan(tx, app_id, now)
        # the SDK's next sync must win again: without a checksum it counts as changed
        rows.forget_checksum(tx, app_id)
        rows.renew_catalog_version(tx)
        return kept[0]

    function_id = ctx.committer.run_alone(write)
    limit_changes.let_in_waiting(ctx, sorted(relimited))
    return function_id


def refuse(ctx: Context, payload: object, error: Invalid) -> None:
    """Store why a payload was refused in the app that it names; its functions stay as they were."""
    name = None
    if isinstance(payload, dict):
        name = next((v for k, v in payload.items() if str(k).lower() == "appname"), None)
    observe.event("app.refused", level=30, app=str(name)[:255], error=error.message)
    if not isinstance(name, str) or "\0" in name:  # PostgreSQL takes no NUL
        return
    detail = error.message.replace("\0", "\N{REPLACEMENT CHARACTER}")
    with ctx.db.transaction() as tx:
        app = app_list.by_name(tx, name)
        if app is not None:
            rows.mark_app(tx, app["id"], error.code or "config_invalid", detail)


def remove(ctx: Context, url: str, by: Actor | None = None) -> None:
    """Archive the app with exactly this URL. Raises NotFound."""
    with ctx.db.transaction() as tx:
        app = app_list.by_url(tx, url)
        if app is None:
            raise NotFound(f"App not found: {url}")
        now = ctx.now()
        archive(tx, app, now)
        audit.note(tx, by, now, "app.archive", app["name"] or url, app["id"])


def archive(tx: Connection, app: RowMapping, now: datetime) -> None:
    """Archive an app: nothing starts its functions; runs that have begun continue.

    Its history stays, and its next sync restores it. An app that was never synced is deleted.
    """
    if not app["name"]:
        rows.remove_app(tx, app["id"])
        return
    rows.archive_app(tx, app["id"], now)
    cron_schedules.plan(tx, app["id"], now)
    rows.renew_catalog_version(tx)


def add_placeholder(ctx: Context, url: str, by: Actor | None = None) -> None:
    """Store an app that is known only by its URL, until its first sync succeeds (sync.md §3)."""
    with ctx.db.transaction() as tx:
        if app_list.by_url(tx, url) is None:
            now = ctx.now()
            rows.put_app(
                tx,
                {
                    "id": ids.app_id(url),
                    "name": "",
                    "url": url,
                    "error": "unreachable",
                    "created_at": now,
                },
            )
        audit.note(tx, by, ctx.now(), "app.add", url)


@dataclass(frozen=True, slots=True)
class Pinged:
    """How a ping ended: the app error's code, None if it has synced; `down` says why it is down."""

    error: str | None
    down: str | None = None


def ping(ctx: Context, url: str, *, kind: str, in_band: bool = False) -> Pinged:
    """Ask the SDK at a URL to sync (§2).

    With `in_band` the payload comes in the answer, and is stored here (§8.2) if it is signed with
    one of our keys (auth.md §3).
    """
    body = canonical.dumps({"url": url})
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Inngest",
        "X-Inngest-Server-Kind": kind,
    }
    if in_band:
        headers["X-Inngest-Sync-Kind"] = "in_band"
    reply = signed_requests.send(ctx, "PUT", url, headers, body, _PING_TIMEOUT)
    code = _sync_error(reply)
    if code is None and reply.header("x-inngest-sync-kind") == "in_band":
        ours = signed_requests.is_ours(ctx, reply)
        return Pinged(_store_in_band(ctx, reply) if ours else "answer_not_signed")
    if code in ("missing_signing_key", "unauthorized") and not ctx.tuning.signing_keys:
        code = "missing_server_signing_key"
    return Pinged(code, down_cause(reply))


def _store_in_band(ctx: Context, reply: Reply) -> str | None:
    payload: object = None
    try:
        payload = canonical.loads(reply.body)
        if isinstance(payload, dict):
            language, version = payload.get("sdk_language"), payload.get("sdk_version")
            payload = payload | {
                "appName": payload.get("app_id"),
                "sdk": f"{language}:v{version}",
            }
        register(ctx, parse_registration(payload))
    except Invalid as error:
        refuse(ctx, payload, error)
        return error.code or "config_invalid"
    return None


_BY_STATUS = {401: "unauthorized", 403: "forbidden", 404: "url_not_found"}


def _sync_error(reply: Reply) -> str | None:
    """Map an SDK's answer to an app error (sync.md §2)."""
    if reply.unreachable is not None:
        if reply.unreachable.startswith(REFUSED):
            return reaching.NOT_ALLOWED
        plain = reply.unreachable.startswith("TLS failed")
        return "unsupported_protocol" if plain else "unreachable"
    if 200 <= reply.status < 300:
        return None if reply.header("x-inngest-sdk") else "not_sdk"
    message = ""
    try:
        found = canonical.loads(reply.body)
        if isinstance(found, dict):
            message = str(found.get("message") or found.get("error") or "")
    except Invalid:
        pass
    if reply.status == 400:
        return _by_message(message)
    return _BY_STATUS.get(reply.status, "internal_server_error")


def _by_message(message: str) -> str:
    for text, code in (
        ("Your signing key is invalid", "invalid_signing_key"),
        ("No functions registered", "no_functions"),
        ("function is invalid", "invalid_function"),
        ("You didn't specify your workspace's signing key", "missing_signing_key"),
        ("No INNGEST_ENV branch name found", "missing_branch_env_name"),
    ):
        if text in message:
            return code
    return "internal_server_error"


# how to fix errors whose code alone does not say it
DETAILS = {
    reaching.NOT_ALLOWED: "the host, or what it redirects to, is not one that the server may call:"
    " see the setting INNGEST_CALL_HOSTS",
    "unauthorized": "the app refused the server's signature: give both the same signing key",
    "invalid_signing_key": "the app refused the signing key: give it the server's",
    "missing_signing_key": "the app has no signing key: set INNGEST_SIGNING_KEY there",
    "missing_server_signing_key": "the app asks for signed requests, and the server has no key:"
    " set INNGEST_SIGNING_KEY here, or run the app in dev mode (INNGEST_DEV=1)",
    "answer_not_signed": "the app's answer is not signed with the server's signing key: give both"
    " the same, and run the app in production mode",
}


# errors that the next good ping ends; a refused payload stays an error until the next good sync
_TRANSIENT = frozenset({"unreachable", "url_not_found", "not_sdk", reaching.NOT_ALLOWED})


def note_ping(ctx: Context, url: str, pinged: Pinged) -> None:
    """Store the result of a ping of a known app's URL, if it differs from what is stored."""
    error = pinged.error
    with ctx.db.transaction() as tx:
        app = app_list.by_url(tx, url)
        if app is None:
            return
        if pinged.down is not None and pinged.down != app["down_cause"]:
            apps_down.mark(tx, app["id"], ctx.now(), pinged.down)
        elif error is None and app["down_since"] is not None:
            apps_down.clear(tx, app["id"], ctx.now())
        if app["error"] == error:
            return
        if error is None and app["error"] not in _TRANSIENT:
            return
        rows.mark_app(tx, app["id"], error, DETAILS.get(error or ""))
    observe.event("app.error" if error else "app.reachable", url=url, error=error or "")


def probe(ctx: Context, url: str) -> bool:
    """Say whether an SDK answers at a URL (sync.md §3)."""
    reply = signed_requests.send(ctx, "GET", url, {"User-Agent": "Inngest"}, b"", _PROBE_TIMEOUT)
    return bool(reply.header("x-inngest-sdk"))


def known_urls(ctx: Context) -> list[tuple[str, bool]]:
    """List the URLs of the apps to ping; say of each whether it is up and in sync."""
    with ctx.db.reading() as tx:
        found = [app for app in app_list.every(tx) if app["method"] == "serve"]
    return [(app["url"], app["error"] is None and app["down_since"] is None) for app in found]
