"""Tasks that no worker of a Celery app has had yet: their names may be wrong."""

from collections.abc import Iterable

from sqlalchemy import Connection, RowMapping

from ... import observe
from ...domain.errors import NotFound
from ...domain.functions.celery_task import CANVAS
from ...domain.reports import celery_seen
from ...domain.reports.celery_seen import Seen
from ...storage.queries import celery_app_list
from ..runtime.context import Context
from . import celery_functions

_MOST_SAID = 20


def refuse(tx: Connection, app: RowMapping, names: Iterable[str]) -> None:
    """Raise NotFound if one of the names is of no task, and says which names are near.

    `app` is a row of celery_app_list. Nothing is refused as long as no worker of the app was seen,
    or when it has a function of the task already.
    """
    missing = _missing(celery_seen.from_json(app["seen"]), names)
    missing = [name for name in missing if name not in celery_functions.by_task(tx, app["app_id"])]
    if missing:
        text = unknown(app["name"], missing[0], celery_seen.from_json(app["seen"]).tasks)
        end = "" if text.endswith("?") else "."
        fix = "A task whose workers come later needs --declare (?declare=true)"
        raise NotFound(f"{text}{end} {fix}")


def unknown(app_name: str, task: str, known: Iterable[str]) -> str:
    """Say that no worker has a task, and which names are near."""
    near = celery_seen.did_you_mean(task, known)
    return f"no worker of {app_name[:100]} has {task[:255]!r}{near}"


def warn(ctx: Context, app_id: str) -> None:
    """Log which tasks of an app have settings, although no worker has had them."""
    with ctx.db.reading() as tx:
        app = celery_app_list.by_id(tx, app_id)
        names = [] if app is None else sorted(filter(None, celery_functions.by_task(tx, app_id)))
    if app is None:
        return
    seen = celery_seen.from_json(app["seen"])
    for name in _missing(seen, names)[:_MOST_SAID]:
        text = unknown(app["name"], name, seen.tasks)
        observe.event("celery.unseen_task", level=30, app=app["name"], task=name, problem=text)


def _missing(seen: Seen, names: Iterable[str]) -> list[str]:
    if not seen.tasks or seen.left_out:  # names beyond the limit are not kept
        return []
    had = {CANVAS, *seen.tasks, *(one.name for one in seen.gone)}
    return [name for name in names if name not in had]
