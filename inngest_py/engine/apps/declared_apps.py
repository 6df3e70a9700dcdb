"""Connect the Celery apps that settings and the config file name, and set what the file says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from ... import observe
from ...domain.errors import Invalid
from ...domain.functions import task_settings as rules
from ...domain.functions.celery_task import DEFAULT_QUEUE, AppSettings
from ...domain.functions.declared_apps import DeclaredApp
from ...domain.functions.function_config import FunctionConfig, config_from_json
from ...domain.values import canonical, ids
from ...storage.queries import celery_app_list
from ..flow import limit_changes
from ..runtime.context import Context
from . import celery_apps, celery_functions, unseen_tasks, workflows


def connect(
    ctx: Context, named: Sequence[AppSettings], declared: Sequence[DeclaredApp] = ()
) -> None:
    """Connect apps as far as they are not connected so; what is declared leads.

    A broker that a flag or the environment names goes before the file's. Apps that are named no
    longer stay connected. Raises Conflict when an SDK's app has the name.
    """
    by_name = {app.name: app for app in named}
    for app in declared:
        _declare(ctx, _with_broker(app, by_name.pop(app.name, None)))
    for settings in by_name.values():
        with ctx.db.reading() as tx:
            row = celery_app_list.by_name(tx, settings.name)
        wanted = (settings.broker_url, settings.queue, None)
        if row is None or (row["broker_url"], row["queue"], row["file"]) != wanted:
            celery_apps.connect(ctx, settings)


def _with_broker(app: DeclaredApp, settings: AppSettings | None) -> DeclaredApp:
    if settings is None:
        return app
    queue = app.queue if settings.queue == DEFAULT_QUEUE else settings.queue
    return replace(app, broker_url=settings.broker_url, queue=queue)


def _declare(ctx: Context, app: DeclaredApp) -> None:
    """Connect an app of a file, and write the functions whose settings it changes."""
    settings = AppSettings(app.name, app.broker_url or "", app.queue)
    with ctx.db.reading() as tx:
        row = celery_app_list.by_name(tx, app.name)
    names = ("broker_url", "queue", "options", "file")
    wanted = (settings.broker_url, app.queue, canonical.dumps(app.options).decode(), app.file)
    if row is None or tuple(row[name] for name in names) != wanted:
        celery_apps.connect(ctx, settings, options=app.options, file=app.file)
    app_id = ids.app_id(app.name)
    relimited: list[str] = []

    def write(tx: Connection) -> None:
        relimited[:] = _write(tx, app_id, app, ctx.now())

    ctx.committer.run_alone(write)
    limit_changes.let_in_waiting(ctx, relimited)
    if relimited:
        observe.event("celery.declared", app=app.name, file=app.file, functions=len(relimited))
    unseen_tasks.warn(ctx, app_id)


def _write(tx: Connection, app_id: str, app: DeclaredApp, now: datetime) -> list[str]:
    celery_functions.put_new(tx, app_id, app.name, sorted(app.tasks), now)
    changed = {}
    for task, row in celery_functions.by_task(tx, app_id).items():
        before = config_from_json(row["config"])
        made = _declared(before, app.tasks.get(task, {}))
        if made != before:
            changed[row["id"]] = (row["version"] + 1, made)
    relimited = celery_functions.put_changed(tx, app_id, changed, now) if changed else []
    return relimited + workflows.declare(tx, app_id, app.name, app.workflows, now)


def _declared(before: FunctionConfig, settings: Mapping[str, object]) -> FunctionConfig:
    """Make a configuration of what the file says now; what was set by hand fills the rest."""
    own, declared = rules.layers(before)
    if not settings and not declared:
        return before
    try:
        return rules.layered(before, own, settings)
    except Invalid as error:  # the two do not go together: the file alone counts
        observe.event(
            "celery.settings_ignored", level=30, function=before.slug, error=error.message
        )
        return rules.layered(before, own, settings, alone=True)
