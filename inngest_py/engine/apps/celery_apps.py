"""Connect Celery apps: their brokers, their tasks as functions, and the events that start them."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypedDict

from sqlalchemy import Connection, RowMapping

from ... import observe
from ...domain import cel
from ...domain.canvas import interpret, signatures
from ...domain.errors import Conflict, Invalid, NotFound
from ...domain.functions import celery_task
from ...domain.functions.celery_task import (
    CANVAS,
    FAIL,
    OWN_PREFIX,
    RETRY,
    AppSettings,
    CeleryTask,
)
from ...domain.functions.function_config import MAX_RETRIES, FunctionConfig, config_from_json
from ...domain.functions.triggers import Trigger
from ...domain.limits import MAX_WAIT
from ...domain.values import canonical, ids
from ...storage.catalog import celery_apps as rows
from ...storage.catalog import functions
from ...storage.queries import app_list, celery_app_list, function_list
from ..intake import cron_schedules
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context

METHOD = "celery"
_MOST_TASKS = 2000
_EVENT_ONLY = frozenset({"event"})


def add(
    ctx: Context,
    name: str,
    broker_url: str,
    *,
    queue: str = "celery",
    options: dict[str, object] | None = None,
    by: Actor | None = None,
) -> str:
    """Connect a Celery app, or change its broker; return the app's id.

    Raises Invalid for a bad name, URL or queue, and Conflict when an SDK's app has the name.
    """
    celery_task.check_app(AppSettings(name, broker_url, queue))
    app_id = ids.app_id(name)

    def write(tx: Connection) -> None:
        now = ctx.now()
        known = app_list.by_name(tx, name)
        if known is not None and known["method"] != METHOD:
            raise Conflict(f"an app of an SDK is called {name}: choose another name")
        functions.put_app(tx, _app_row(app_id, name, now))
        rows.put(
            tx,
            {
                "app_id": app_id,
                "broker_url": broker_url,
                "options": canonical.dumps(options or {}).decode(),
                "queue": queue,
                "secret": secrets.token_hex(32),
            },
        )
        _put_new(tx, app_id, name, [None], now)
        functions.renew_catalog_version(tx)
        audit.note(tx, by, now, "celery.add", name, app_id)

    ctx.committer.run_alone(write)
    observe.event("celery.added", app=name)
    return app_id


def add_from_settings(ctx: Context, apps: Sequence[AppSettings]) -> None:
    """Connect the apps that the server's settings name, as far as they are not connected so."""
    with ctx.db.reading() as tx:
        known = {row["name"]: row for row in celery_app_list.every(tx)}
    for app in apps:
        row = known.get(app.name)
        if row is None or (row["broker_url"], row["queue"]) != (app.broker_url, app.queue):
            add(ctx, app.name, app.broker_url, queue=app.queue)


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
        known = _by_task(tx, app_id)
    if not set(wanted[:_MOST_TASKS]).difference(known):
        return []

    def write(tx: Connection) -> list[str]:
        app = next((row for row in celery_app_list.every(tx) if row["app_id"] == app_id), None)
        if app is None:
            return []
        new = _put_new(tx, app_id, app["name"], wanted[:_MOST_TASKS], ctx.now())
        functions.renew_catalog_version(tx)
        return new

    new = ctx.committer.run_alone(write)
    if new:
        observe.event("celery.tasks_found", app_id=app_id, tasks=len(new))
    return new


def _by_task(tx: Connection, app_id: str) -> dict[str | None, RowMapping]:
    """List the functions of an app by their tasks' names."""
    found: dict[str | None, RowMapping] = {}
    for row in function_list.every(tx, app_id=app_id, archived=False):
        task = config_from_json(row["config"]).celery
        if task is not None:
            found[task.task] = row
    return found


def _put_new(
    tx: Connection, app_id: str, app_name: str, tasks: Sequence[str | None], now: datetime
) -> list[str]:
    """Write the functions of tasks, None for the one of canvases; return the names of new ones.

    Functions that are there stay as they are.
    """
    known, url = _by_task(tx, app_id), celery_task.url_of(app_name)
    new = []
    for task in tasks:
        if task in known:
            continue
        name = CANVAS if task is None else task
        slug = f"{app_name}-{name}"
        made = FunctionConfig(slug, name, url, retries=0, celery=CeleryTask(task))
        _put(tx, app_id, ids.function_id(slug, url), made, 1, now)
        new.append(name)
    return new


def _put(
    tx: Connection, app_id: str, function_id: str, made: FunctionConfig, version: int, now: datetime
) -> None:
    functions.put_function(
        tx,
        {
            "id": function_id,
            "app_id": app_id,
            "slug": made.slug,
            "name": made.name,
            "url": made.url,
            "version": version,
            "config": made.to_json(),
            "created_at": now,
            "updated_at": now,
            "archived_at": None,
        },
    )


class TaskChanges(TypedDict, total=False):
    """Settings of a task to be changed; those that are left out stay as they are.

    `triggers` are the events and schedules that start it, `args` and `kwargs` expressions over
    `event` that give its arguments. `retries` is how often it is sent again after it has failed
    for good; `timeout`, `on_lost` and `queue` are as CeleryTask has them.
    """

    triggers: Sequence[Trigger]
    args: str | None
    kwargs: str | None
    retries: int
    timeout: timedelta
    on_lost: str
    queue: str | None


_OF_TASK = ("args", "kwargs", "timeout", "on_lost", "queue")


def configure(
    ctx: Context, app_name: str, task: str, changes: TaskChanges, by: Actor | None = None
) -> str:
    """Change the settings of a task; return the slug of its function.

    A task that no worker has registered yet becomes a function at once. Raises NotFound for an
    unknown app, and Invalid for an expression that does not compile or a value out of range.
    """
    _check_changes(changes)

    def write(tx: Connection) -> str:
        now = ctx.now()
        app = celery_app_list.by_name(tx, app_name)
        if app is None:
            raise NotFound(f"no Celery app is called {app_name[:100]!r}: add it first")
        _put_new(tx, app["app_id"], app_name, [task], now)
        row = _by_task(tx, app["app_id"])[task]
        made = _changed(config_from_json(row["config"]), task, changes)
        _put(tx, app["app_id"], row["id"], made, row["version"] + 1, now)
        cron_schedules.plan(tx, app["app_id"], now)
        functions.renew_catalog_version(tx)
        audit.note(tx, by, now, "celery.configure", made.slug, ", ".join(sorted(changes)))
        return made.slug

    return ctx.committer.run_alone(write)


def _changed(config: FunctionConfig, task: str, changes: TaskChanges) -> FunctionConfig:
    given: dict[str, Any] = dict(changes)
    own = {name: given[name] for name in _OF_TASK if name in given}
    return replace(
        config,
        triggers=tuple(given.get("triggers", config.triggers)),
        retries=given.get("retries", config.retries),
        celery=replace(config.celery or CeleryTask(task), **own),
    )


def _check_changes(changes: TaskChanges) -> None:
    for name, text in (("args", changes.get("args")), ("kwargs", changes.get("kwargs"))):
        if text is not None:
            _check_expression(name, text)
    if not 0 <= changes.get("retries", 0) <= MAX_RETRIES:
        raise Invalid(f"retries must be a number from 0 to {MAX_RETRIES}", field="retries")
    if not timedelta(0) < changes.get("timeout", MAX_WAIT) <= MAX_WAIT:
        raise Invalid("timeout must be a duration up to 366 days, such as 30m", field="timeout")
    if changes.get("on_lost", RETRY) not in (RETRY, FAIL):
        raise Invalid(f"on_lost must be {RETRY} or {FAIL}", field="on_lost")
    if changes.get("queue") is not None:
        celery_task.check_queue(changes["queue"] or "")


def _check_expression(name: str, text: str) -> None:
    try:
        cel.check(text, _EVENT_ONLY)
    except Invalid as error:
        raise Invalid(f"{name}: {error.message}", field=name) from error


def slug_of_signature(ctx: Context, app_name: str, signature: dict[str, object]) -> str:
    """Find the function of a signature: its task's, or the app's one for canvases.

    Raises Invalid for a bad signature, and NotFound for an unknown app, or for a task that none of
    its workers has registered.
    """
    wanted = {name for _, _, name in interpret.tasks(signatures.read(signature))}
    with ctx.db.reading() as tx:
        app = celery_app_list.by_name(tx, app_name)
        if app is None:
            raise NotFound(f"no Celery app is called {app_name[:100]!r}: add it first")
        known = _by_task(tx, app["app_id"])
    missing = [name for name in wanted.difference(known) if not name.startswith(OWN_PREFIX)]
    if missing:
        text = f"no worker of {app_name} has registered the task {min(missing)[:255]!r}"
        raise NotFound(f"{text}: start a worker that has it, or check its name")
    task = str(signature["task"])
    return f"{app_name}-{CANVAS}" if task.startswith(OWN_PREFIX) else str(known[task]["slug"])


def remove(ctx: Context, name: str, by: Actor | None = None) -> bool:
    """Disconnect an app and archive its functions; say whether it was there.

    Runs whose tasks are with the app's workers go on; their answers are not read any more.
    """

    def write(tx: Connection) -> bool:
        app = celery_app_list.by_name(tx, name)
        if app is None:
            return False
        now = ctx.now()
        functions.archive_app(tx, app["app_id"], now)
        functions.renew_catalog_version(tx)
        audit.note(tx, by, now, "celery.remove", name, app["app_id"])
        return True

    return ctx.committer.run_alone(write)


def mark(ctx: Context, app_id: str, error: str | None, detail: str | None) -> None:
    """Note what is wrong with the connection to an app's broker; None when it is well again."""
    with ctx.db.transaction() as tx:
        functions.mark_app(tx, app_id, error, detail)
