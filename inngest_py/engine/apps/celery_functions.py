"""The functions of Celery apps' tasks, as rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ...domain.functions import celery_task, task_settings
from ...domain.functions.celery_task import CANVAS, CeleryTask
from ...domain.functions.function_config import FunctionConfig, config_from_json
from ...domain.values import ids
from ...storage.catalog import functions
from ...storage.queries import function_list
from ...storage.queue import timers
from ..flow import limit_changes
from ..intake import cron_schedules


def by_task(tx: Connection, app_id: str) -> dict[str | None, RowMapping]:
    """List the functions of an app by their tasks' names, None for the one of canvases."""
    found: dict[str | None, RowMapping] = {}
    for row in function_list.every(tx, app_id=app_id, archived=False):
        task = config_from_json(row["config"]).celery
        if task is not None:
            found[task.task] = row
    return found


def restore(tx: Connection, app_id: str, now: datetime) -> None:
    """Take the functions of an app that is connected again out of the archive, as they were."""
    restored = functions.restore_functions(tx, app_id)
    if restored:
        timers.hasten_overdue(tx, restored, now)
        cron_schedules.plan(tx, app_id, now)


def put_new(
    tx: Connection, app_id: str, app_name: str, tasks: Sequence[str | None], now: datetime
) -> list[str]:
    """Write the functions of tasks, None for the one of canvases; return the names of new ones.

    Functions that are there stay as they are.
    """
    known, url = by_task(tx, app_id), celery_task.url_of(app_name)
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


def undeclare(tx: Connection, app_id: str, now: datetime) -> list[str]:
    """Leave functions with what was set by hand; return the ids as put_changed() does."""
    changed = {}
    for row in by_task(tx, app_id).values():
        config = config_from_json(row["config"])
        own, declared = task_settings.layers(config)
        if declared:
            changed[row["id"]] = (row["version"] + 1, task_settings.layered(config, own, {}))
    return put_changed(tx, app_id, changed, now) if changed else []


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
