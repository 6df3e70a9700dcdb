"""Connect Celery apps: their brokers, and their tasks as functions."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from ... import observe
from ...domain.canvas import interpret, signatures
from ...domain.errors import Conflict, NotFound
from ...domain.functions import celery_task
from ...domain.functions.broker_options import check_options
from ...domain.functions.celery_task import CANVAS, OWN_PREFIX, AppSettings
from ...domain.values import canonical, ids
from ...storage.catalog import celery_apps as rows
from ...storage.catalog import functions
from ...storage.queries import app_list, celery_app_list
from ..flow import limit_changes
from ..intake import cron_schedules
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.catalog import Function
from ..runtime.celery_apps import CeleryApp
from ..runtime.context import Context
from . import celery_app_names, celery_functions, unseen_tasks, workflows

METHOD = "celery"
# of Celery's own tasks, those that workers run for a canvas
_OF_WORKERS = frozenset({"celery.map", "celery.starmap", "celery.accumulate"})


def add(
    ctx: Context,
    name: str,
    broker_url: str,
    *,
    queue: str = "celery",
    options: dict[str, object] | None = None,
    by: Actor | None = None,
) -> str:
    """Connect a Celery app by hand, or change its broker; return the app's id.

    Raises Invalid for a bad name, URL or queue, and Conflict when an SDK's app has the name, or
    when the config file declares the app.
    """
    app = AppSettings(name, broker_url, queue)
    return connect(ctx, app, options=options, by_hand=True, by=by)


def connect(
    ctx: Context,
    app: AppSettings,
    *,
    options: dict[str, object] | None = None,
    file: str | None = None,
    by_hand: bool = False,
    by: Actor | None = None,
) -> str:
    """Connect an app as add() does, or as the config file `file` declares it.

    Without a file, what one has declared before counts no longer.
    """
    celery_task.check_app(app)
    check_options(options or {})
    app_id = ids.app_id(app.name)
    relimited: list[str] = []

    def write(tx: Connection) -> None:
        now = ctx.now()
        _refuse(tx, app.name, by_hand=by_hand)
        functions.put_app(tx, _app_row(app_id, app.name, now))
        rows.put(
            tx,
            {
                "app_id": app_id,
                "broker_url": app.broker_url,
                "options": canonical.dumps(options or {}).decode(),
                "queue": app.queue,
                "secret": secrets.token_hex(32),
                "file": file,
            },
        )
        celery_functions.restore(tx, app_id, now)
        celery_functions.put_new(tx, app_id, app.name, [CANVAS], now)
        if file is None:
            relimited[:] = celery_functions.undeclare(tx, app_id, now)
            relimited.extend(workflows.declare(tx, app_id, app.name, {}, now))
        functions.renew_catalog_version(tx)
        audit.note(tx, by, now, "celery.add", app.name, app_id)

    ctx.committer.run_alone(write)
    limit_changes.let_in_waiting(ctx, relimited)
    observe.event("celery.added", app=app.name)
    return app_id


def _refuse(tx: Connection, name: str, *, by_hand: bool) -> None:
    """Refuse a name that an SDK's app has, and to change by hand what the config file declares."""
    known = app_list.by_name(tx, name)
    if known is not None and known["method"] != METHOD:
        raise Conflict(f"an app of an SDK is called {name}: choose another name")
    declared = celery_app_list.by_name(tx, name) if by_hand else None
    if declared is not None and declared["file"] is not None:
        text = f"{name} is declared in the server's config file, which leads"
        raise Conflict(f"{text}: change it there, or remove the app first")


def _app_row(app_id: str, name: str, now: datetime) -> dict[str, object]:
    texts = dict.fromkeys(("sdk_version", "framework", "platform", "app_version", "checksum"), "")
    return texts | {
        "id": app_id,
        "name": name,
        "url": celery_task.url_of(name),
        "method": METHOD,
        "sdk_language": "celery",
        "error": None,
        "error_detail": None,
        "created_at": now,
        "synced_at": now,
        "archived_at": None,
    }


def register_tasks(ctx: Context, app_id: str, names: Sequence[str]) -> list[str]:
    """Make functions of tasks that the app's workers know; return the names that are new.

    Functions that are there keep their settings; Celery's own tasks are left out.
    """
    wanted = sorted({name for name in names if not name.startswith(OWN_PREFIX)})
    with ctx.db.reading() as tx:
        known, app = celery_functions.names(tx, app_id), celery_app_list.by_id(tx, app_id)
    if app is None or not set(wanted).difference(known):
        return []

    def write(tx: Connection) -> list[str]:
        if celery_app_list.by_id(tx, app_id) is None:  # removed just now
            return []
        new = celery_functions.put_new(tx, app_id, app["name"], wanted, ctx.now())
        functions.renew_catalog_version(tx)
        return new

    new = ctx.committer.run_alone(write)
    if new:
        observe.event("celery.tasks_found", app=app["name"], tasks=len(new))
    return new


def function_of_signature(ctx: Context, app_name: str, signature: dict[str, object]) -> Function:
    """Find the function of a signature: its task's, or the app's one for canvases.

    Raises Invalid for a bad signature, and NotFound for an unknown app, or for a task that none of
    its workers has registered.
    """
    wanted = {name for _, _, name in interpret.tasks(signatures.read(signature))}
    with ctx.db.reading() as tx:
        ctx.catalog.refresh(tx)
    if not _is_known(ctx, app_name, CANVAS):
        with ctx.db.reading() as tx:
            raise celery_app_names.unknown(tx, app_name)
    missing = [
        name
        for name in wanted - _OF_WORKERS
        if name.startswith(OWN_PREFIX) or not _is_known(ctx, app_name, name)
    ]
    if missing:
        known = {
            celery.task or CANVAS
            for found in ctx.catalog.by_slug.values()
            if found.app_name == app_name
            and (celery := found.config.celery)
            and not celery.workflow
        }
        text = unseen_tasks.unknown(app_name, min(missing), known)
        fix = "" if text.endswith("?") else ": start a worker that has it, or check its name"
        raise NotFound(f"{text}{fix}")
    task = str(signature["task"])
    return ctx.catalog.by_slug[_slug(app_name, CANVAS if task.startswith(OWN_PREFIX) else task)]


def _slug(app_name: str, name: str) -> str:
    return f"{app_name}-{name}"


def _is_known(ctx: Context, app_name: str, name: str) -> bool:
    """Say whether the catalogue has the function of a task; another's may have its slug."""
    found = ctx.catalog.by_slug.get(_slug(app_name, name))
    if found is None or found.app_name != app_name or found.config.celery is None:
        return False
    return not found.config.celery.workflow


def remove(ctx: Context, name: str, by: Actor | None = None) -> bool:
    """Disconnect an app and archive its functions; say whether it was there.

    They keep their settings, should the app be connected again. Runs whose tasks are with the app's
    workers go on; their answers are not read any more.
    """

    def write(tx: Connection) -> bool:
        app = celery_app_list.by_name(tx, name)
        if app is None:
            return False
        now = ctx.now()
        functions.archive_app(tx, app["app_id"], now)
        cron_schedules.plan(tx, app["app_id"], now)
        functions.renew_catalog_version(tx)
        audit.note(tx, by, now, "celery.remove", name, app["app_id"])
        return True

    return ctx.committer.run_alone(write)


def refresh(ctx: Context, name: str, by: Actor | None = None) -> None:
    """Have the app's workers asked for their tasks in the next seconds. Raises NotFound.

    They are asked every half a minute, and when one starts, without this.
    """
    now = ctx.now()
    with ctx.db.transaction() as tx:
        app = celery_app_names.find(tx, name)
        rows.want_refresh(tx, app["app_id"], now)
        audit.note(tx, by, now, "celery.refresh", name, app["app_id"])


def mark(ctx: Context, app: CeleryApp, error: str | None, detail: str | None) -> None:
    """Note what is wrong with an app's broker; None when it is well again.

    Nothing is noted if the app has another broker by now.
    """
    with ctx.db.transaction() as tx:
        rows.mark_broker(tx, app.app_id, app.broker_url, app.options, error=error, detail=detail)
