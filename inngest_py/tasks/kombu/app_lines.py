"""Tells the processes that hold connections of workers which apps have got waiting items.

One message for all of them: whoever has room lets items in, and the database decides who gets
which. A message that is lost costs five seconds: see engine/upkeep/app_lines.py.
"""

from collections.abc import Callable

import orjson
from celery import Celery

from ...domain.runs.items import ItemKind
from .fanout import fanout, publish

LINES = fanout("inngest.connected")


class LinePublisher:
    """Sends the ids of apps whose lines have got items; one message for many."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def __call__(self, _kind: ItemKind, app_ids: list[str]) -> None:
        """Send one message; raises what the transport raises."""
        publish(self._app, LINES, orjson.dumps(sorted(set(app_ids))).decode())


def note_lines(note: Callable[[str], None]) -> Callable[[str | bytes], None]:
    """Make what takes these messages, and notes each app."""

    def take(body: str | bytes) -> None:
        found = orjson.loads(body)
        for app_id in found if isinstance(found, list) else ():
            if isinstance(app_id, str):
                note(app_id)

    return take
