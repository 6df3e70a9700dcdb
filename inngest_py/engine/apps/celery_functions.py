"""The functions of Celery apps' tasks, as rows."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ...domain.errors import Conflict
from ...domain.functions import celery_task, task_settings
from ...domain.functions.celery_task import CANVAS, CeleryTask
from ...domain.functions.function_config import FunctionConfig, config_from_json
from ...domain.values import ids
from ...storage.catalog import functions
from ...storage.queries import function_list
from ...storage.queue import timers
from ..flow import limit_changes
from ..intake import cron_schedules


def by_task(tx: Connection, app_id: str) -> dict[str, RowMapping]:
    """List the functions of an app by their tasks' names, CANVAS for the one of canvases."""
    return _by_name(tx, app_id, workflow=False)


def by_workflow(tx: Connection, app_id: str) -> dict[str, RowMapping]:
    """List the functions of an app that are workflows, by their names."""
    return _by_name(tx, app_id, workflow=True)


def names(tx: Connection, app_id: str) -> set[str]:
    """List the names of an app's tasks and workflows; CANVAS is the function of canvases."""
    return {task.task or CANVAS for _, task in _tasks(tx, app_id)}


def _by_name(tx: Connection, app_id: str, *, workflow: bool) -> dict[str, RowMapping]:
    return {
        task.task or CANVAS: row for row, task in _tasks(tx, app_id) if task.workflow is workflow
    }


def _tasks(tx: Connection, app_id: str) -> Iterator[tuple[RowMapping, CeleryTask]]:
    for row in function_list.every(tx, app_id=app_id, archived=False):
        task = config_from_json(row["config"]).celery
        if task is not None:
            yield row, task


def archive(tx: Connection, app_id: str, gone: Collection[str], now: datetime) -> None:
    """Archive functions of an app, by their ids."""
    if gone:
        rows = function_list.every(tx, app_id=app_id, archived=False)
        kept = [row["id"] for row in rows if row["id"] not in gone]
        functions.archive_others(tx, app_id, kept, now)


def _is_removed(config: FunctionConfig) -> bool:
    """Say whether a workflow was removed: it has no settings any more, not even tasks."""
    own, declared = task_settings.layers(config)
    return not (own or declared)


def restore(tx: Connection, app_id: str, now: datetime) -> None:
    """Take the functions of an app that is connected again out of the archive, as they were."""
    restored = functions.restore_functions(tx, app_id)
    found = by_workflow(tx, app_id).values()
    archive(
        tx,
        app_id,
        [row["id"] for row in found if _is_removed(config_from_json(row["config"]))],
        now,
    )
    if restored:
        timers.hasten_overdue(tx, restored, now)
        cron_schedules.plan(tx, app_id, now)


def put_new(
    tx: Connection, app_id: str, app_name: str, tasks: Sequence[str], now: datetime
) -> list[str]:
    """Write the functions of tasks, CANVAS for the one of canvases; return the names of new ones.

    Functions that are there stay as they are; so does a workflow of the name. Locks the app's row:
    what is read of its functions after this may be changed and written.
    """
    functions.lock_app(tx, app_id)
    known, url = names(tx, app_id), celery_task.url_of(app_name)
    new = []
    for task in tasks:
        if task in known:
            continue
        slug = f"{app_name}-{task}"
        celery = CeleryTask(None if task == CANVAS else task)
        made = FunctionConfig(slug, task, url, retries=0, celery=celery)
        _put(tx, app_id, ids.function_id(slug, url), made, 1, now)
        new.append(task)
    return new


def undeclare(tx: Connection, app_id: str, now: datetime) -> list[str]:
    """Leave functions with what was set by hand; return the ids as put_changed() does."""
    changed = {}
    for row in by_task(tx, app_id).values():
        config = config_from_json(row["config"])
        own, declared = task_settings.layers(config)
        if declared:
            changed[row["id"]] = (row["version"] + 1, task_settings.layered(config, own, {}))
    return put_changed(tx, app_id, changed, now) if changed else []


def put_workflow(
    tx: Connection, app_id: str, app_name: str, name: str, now: datetime
) -> RowMapping:
    """Return the function of a workflow; one that is new, or was removed, has no settings.

    Locks as put_new() does. Raises Conflict for the name of a task.
    """
    functions.lock_app(tx, app_id)
    if name in by_task(tx, app_id):
        raise Conflict(f"{app_name} has a task called {name}: give the workflow another name")
    known = by_workflow(tx, app_id).get(name)
    if known is not None:
        return known
    url, slug = celery_task.url_of(app_name), f"{app_name}-{name}"
    function_id = ids.function_id(slug, url)
    before = function_list.get(tx, function_id)
    made = FunctionConfig(slug, name, url, retries=0, celery=CeleryTask(name, workflow=True))
    _put(tx, app_id, function_id, made, 0 if before is None else before["version"], now)
    return by_workflow(tx, app_id)[name]


def put_changed(
    tx: Connection, app_id: str, changed: Mapping[str, tuple[int, FunctionConfig]], now: datetime
) -> list[str]:
    """Write new configurations of functions, by id with their versions; plan their schedules.

    Return the ids of all, for limit_changes.let_in_waiting() after the commit.
    """
    held = limit_changes.lock(tx, changed, now)
    for function_id, (version, made) in changed.items():
        _put(tx, app_id, function_id, made, version, now)
    limit_changes.rescale(tx, held, now)
    cron_schedules.plan(tx, app_id, now)
    functions.renew_catalog_version(tx)
    return sorted(changed)


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
