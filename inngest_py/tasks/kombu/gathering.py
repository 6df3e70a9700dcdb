"""Task events for Flower that leave together, where Celery would publish each on its own.

Celery gathers them only where its own event loop runs. Under gevent, two publishes stood between a
hint and its task: half a millisecond.
"""

import threading
from typing import Any

from celery import Celery, bootsteps

_SECONDS = 0.25


def gather_events(app: Celery) -> None:
    """Have the workers of the app gather their task events."""
    app.steps["consumer"].add(GatherEvents)


class GatherEvents(bootsteps.StartStopStep):  # type: ignore[misc]
    """Makes the dispatcher of events keep those of tasks for a moment."""

    requires = ("celery.worker.consumer.events:Events",)

    def start(self, consumer: Any) -> None:
        """Take over a new connection's dispatcher; there is none where nothing is sent."""
        dispatcher, waiting = consumer.event_dispatcher, threading.Event()
        if consumer.hub is not None or dispatcher is None:
            return

        def flush() -> None:
            waiting.clear()
            dispatcher.flush(errors=False)

        def flush_soon() -> None:
            if not waiting.is_set():
                waiting.set()
                consumer.timer.call_after(_SECONDS, flush)

        dispatcher.buffer_group = frozenset({"task"})
        dispatcher.on_send_buffered = flush_soon
