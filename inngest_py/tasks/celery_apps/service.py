"""Keeps one thread for answers and one watcher for each Celery app, in a worker's main process."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...engine.apps import celery_apps
from ...engine.runtime.celery_apps import CeleryApp
from ...engine.runtime.context import Context
from ...storage.db.outages import outage
from .brokers import UNUSABLE

if TYPE_CHECKING:
    from .answers import Answers
    from .watching import Watcher

_LOOK_SECONDS = 2.0


class CeleryAppsService:
    """Follows the list of apps: what is added begins to be read, what is removed ends."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context
        self._stop = threading.Event()
        self._kept: dict[CeleryApp, tuple[Answers, Watcher]] = {}
        self._refused: set[CeleryApp] = set()
        self._thread = threading.Thread(target=self._run, name="celery-apps", daemon=True)

    def start(self) -> None:
        """Begin to follow the list."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading answers; those that are not committed go to other workers."""
        self._stop.set()
        self._thread.join(timeout=2.0)
        for app in list(self._kept):
            self._end(app)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except SQLAlchemyError as error:
                if not outage(error):
                    observe.event("celery.apps_failed", level=40, exc_info=error)
            except Exception as error:
                observe.event("celery.apps_failed", level=40, exc_info=error)
            self._stop.wait(_LOOK_SECONDS)

    def _follow(self) -> None:
        ctx = self._context()
        wanted = set(ctx.celery_apps.all(ctx.db))
        for app in [kept for kept in self._kept if kept not in wanted]:
            self._end(app)
        self._refused &= wanted
        for app in wanted.difference(self._kept, self._refused):
            try:
                pair = self._pair(app)
            except Exception as error:  # kombu refuses the URL or the options: others go on
                self._refuse(ctx, app, error)
                continue
            for one in pair:
                one.start()
            self._kept[app] = pair

    def _pair(self, app: CeleryApp) -> tuple["Answers", "Watcher"]:
        """Make what an app needs; who has no Celery app loads none of it, nor Redis' packages."""
        from .answers import Answers
        from .watching import Watcher

        return Answers(app, self._context), Watcher(app, self._context)

    def _refuse(self, ctx: Context, app: CeleryApp, error: Exception) -> None:
        """Say that an app's settings cannot be used, without their text; it may hold a password."""
        self._refused.add(app)
        what = type(error).__name__
        observe.event("celery.refused", level=40, app=app.name, error=what)
        celery_apps.mark(ctx, app, "broker_url", f"{UNUSABLE} ({what})")

    def _end(self, app: CeleryApp) -> None:
        for one in self._kept.pop(app):
            one.stop()
