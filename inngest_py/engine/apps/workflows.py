"""Workflows of Celery apps: each is a function; its versions stay for the runs that have them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ... import observe
from ...domain.canvas import workflows as canvas
from ...domain.errors import Invalid
from ...domain.functions import task_settings, workflow_settings
from ...domain.functions.function_config import FunctionConfig, config_from_json
from ...domain.functions.workflow_settings import MOST_JSON_LEVELS, TASKS
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ...storage.catalog import functions
from ...storage.runs import workflows as rows
from ..flow import limit_changes
from ..intake import cron_schedules
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context
from . import celery_app_names, celery_functions, unseen_tasks
from .task_settings import refuse_declared


def configure(
    ctx: Context,
    app_name: str,
    name: str,
    changes: Mapping[str, object],
    by: Actor | None = None,
    *,
    declare: bool = False,
) -> str:
    """Make a workflow, or change settings of one, each by its name; null gives one its default.

    Settings that are left out stay; `tasks` are its entries. Return the slug of its function.
    Raises NotFound for an unknown app, and for a task that no worker has without `declare`,
    Invalid for bad settings, and Conflict for a setting of the config file, which leads, or for the
    name of a task.
    """
    workflow_settings.check_name(name)
    named = workflow_settings.canonical_names(dict(changes))
    text, uses = named.get(TASKS), set[str]()
    if isinstance(text, str) and not declare:
        uses = canvas.uses(canonical.loads(text, MOST_JSON_LEVELS))
    relimited: list[str] = []

    def write(tx: Connection) -> str:
        now = ctx.now()
        app = celery_app_names.find(tx, app_name)
        unseen_tasks.refuse(tx, app, sorted(uses))
        row = celery_functions.put_workflow(tx, app["app_id"], app_name, name, now)
        own, declared = task_settings.layers(config_from_json(row["config"]))
        refuse_declared(name, named, declared)
        version, made = changed(tx, row, own | named, declared)
        relimited[:] = celery_functions.put_changed(
            tx, app["app_id"], {row["id"]: (version, made)}, now
        )
        audit.note(tx, by, now, "celery.configure", made.slug, ", ".join(sorted(named)))
        return made.slug

    slug = ctx.committer.run_alone(write)
    limit_changes.let_in_waiting(ctx, relimited)
    return slug


def declare(
    tx: Connection, app_id: str, app_name: str, wanted: Mapping[str, JsonObject], now: datetime
) -> list[str]:
    """Make the workflows of an app what the config file says, by name; what was set by hand stays.

    A workflow that the file no longer has, and that was not made by hand, is archived. Return ids
    as put_changed() does. Raises Conflict for the name of a task.
    """
    for name in wanted:
        celery_functions.put_workflow(tx, app_id, app_name, name, now)
    changes, gone = {}, []
    for key, row in celery_functions.by_workflow(tx, app_id).items():
        own, declared = task_settings.layers(config_from_json(row["config"]))
        settings = wanted.get(key or "", {})
        if settings == declared:
            continue
        if settings or TASKS in own:
            changes[row["id"]] = _declared(tx, row, own, settings)
        else:
            gone.append(row)
    if gone:
        archive(tx, app_id, gone, now)
    return celery_functions.put_changed(tx, app_id, changes, now) if changes else []


def _declared(
    tx: Connection, row: RowMapping, own: JsonObject, declared: JsonObject
) -> tuple[int, FunctionConfig]:
    try:
        return changed(tx, row, own, declared)
    except Invalid as error:  # the two do not go together: the file alone counts
        text = error.message
        observe.event("celery.settings_ignored", level=30, function=row["slug"], error=text)
        return changed(tx, row, own, declared, alone=True)


def changed(
    tx: Connection,
    row: RowMapping,
    own: Mapping[str, object],
    declared: Mapping[str, object],
    *,
    alone: bool = False,
) -> tuple[int, FunctionConfig]:
    """Make a workflow's next version of its two layers, and store its tasks if they are new.

    `alone` leaves what was set by hand without effect. Raises Invalid.
    """
    config = config_from_json(row["config"])
    made = task_settings.layered(config, own, declared, alone=alone)
    tasks = {**own, **declared}.get(TASKS)
    if not isinstance(tasks, str):
        raise Invalid("tasks is missing: write the tasks that the workflow runs", field=TASKS)
    version: int = row["version"] + 1
    if tasks != rows.latest(tx, row["id"]):
        rows.put(tx, row["id"], version, tasks)
    return version, made


def remove(ctx: Context, app_name: str, name: str, by: Actor | None = None) -> bool:
    """Archive a workflow and forget its settings; say whether it was there.

    Its runs go on. Raises NotFound for an unknown app, and Conflict for one of the config file.
    """

    def write(tx: Connection) -> bool:
        app_id, now = celery_app_names.find(tx, app_name)["app_id"], ctx.now()
        functions.lock_app(tx, app_id)
        row = celery_functions.by_workflow(tx, app_id).get(name)
        if row is None:
            return False
        config = config_from_json(row["config"])
        _, declared = task_settings.layers(config)
        refuse_declared(name, declared, declared)
        archive(tx, app_id, [row], now)
        audit.note(tx, by, now, "celery.remove_workflow", config.slug, row["id"])
        return True

    return ctx.committer.run_alone(write)


def archive(tx: Connection, app_id: str, gone: list[RowMapping], now: datetime) -> None:
    """Archive workflows of an app, without settings: connecting the app again leaves them out."""
    changes = {}
    for row in gone:
        bare = replace(config_from_json(row["config"]), triggers=())
        changes[row["id"]] = (row["version"] + 1, task_settings.layered(bare, {}, {}))
    celery_functions.put_changed(tx, app_id, changes, now)
    celery_functions.archive(tx, app_id, changes, now)
    cron_schedules.plan(tx, app_id, now)


def shown(ctx: Context, app_name: str) -> list[JsonObject]:
    """List the workflows of an app with their settings. Raises NotFound for an unknown app."""
    with ctx.db.reading() as tx:
        found = celery_functions.by_workflow(tx, celery_app_names.find(tx, app_name)["app_id"])
    return [_shown(str(name), row) for name, row in sorted(found.items(), key=str)]


def _shown(name: str, row: RowMapping) -> JsonObject:
    settings = task_settings.shown(config_from_json(row["config"]))
    return {
        "name": name,
        "function": row["slug"],
        "version": row["version"],
        "settings": workflow_settings.with_tasks(settings),
    }
