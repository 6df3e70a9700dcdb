"""Change the settings of Celery tasks by hand: by the API, the command line and pages."""

from collections.abc import Mapping

from sqlalchemy import Connection

from ...domain.errors import Conflict, NotFound
from ...domain.functions import celery_task
from ...domain.functions import task_settings as rules
from ...domain.functions.function_config import config_from_json
from ...domain.reports import celery_seen
from ...domain.values.json_types import JsonObject
from ..flow import limit_changes
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context
from . import celery_app_names, celery_functions, unseen_tasks


def configure(
    ctx: Context,
    app_name: str,
    task: str,
    changes: object,
    by: Actor | None = None,
    *,
    declare: bool = False,
) -> str:
    """Change settings of a task, each by its name; null gives one its default again.

    Settings that are left out stay. Return the slug of the task's function; a task becomes one at
    once as long as no worker has been seen, or with `declare`. Raises NotFound for an unknown app,
    or a task that none of its workers has, Invalid for bad settings, and Conflict for a setting of
    the config file, which leads.
    """
    celery_task.check_task(task)
    named = rules.canonical_names(changes)
    relimited: list[str] = []

    def write(tx: Connection) -> str:
        now = ctx.now()
        app = celery_app_names.find(tx, app_name)
        app_id = app["app_id"]
        if not declare:
            unseen_tasks.refuse(tx, app, [task])
        celery_functions.put_new(tx, app_id, app_name, [task], now)
        row = celery_functions.by_task(tx, app_id).get(task)
        if row is None:
            raise Conflict(f"{task[:255]} is a workflow: change it as one")
        config = config_from_json(row["config"])
        own, declared = rules.layers(config)
        refuse_declared(task, named, declared)
        made = rules.layered(config, own | named, declared)
        changed = {row["id"]: (row["version"] + 1, made)}
        relimited[:] = celery_functions.put_changed(tx, app_id, changed, now)
        audit.note(tx, by, now, "celery.configure", made.slug, ", ".join(sorted(named)))
        return made.slug

    slug = ctx.committer.run_alone(write)
    limit_changes.let_in_waiting(ctx, relimited)
    return slug


def show(ctx: Context, app_name: str, task: str) -> JsonObject:
    """Show the settings of a task, each with where it comes from. Raises NotFound."""
    with ctx.db.reading() as tx:
        app = celery_app_names.find(tx, app_name)
        row = celery_functions.by_task(tx, app["app_id"]).get(task)
    if row is None:
        known = celery_seen.from_json(app["seen"]).tasks
        raise NotFound(unseen_tasks.unknown(app_name, task, known))
    return {"function": row["slug"], "settings": rules.shown(config_from_json(row["config"]))}


def refuse_declared(
    task: str, changes: Mapping[str, object], declared: Mapping[str, object]
) -> None:
    """Raise Conflict if a setting of the config file would be changed."""
    for name in sorted(set(changes).intersection(declared)):
        text = f"{name} of {task[:255]} is set in the server's config file, which leads"
        raise Conflict(f"{text}: change it there, and restart the server")
