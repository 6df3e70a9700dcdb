"""The worker's consumer, which reconnects within a second of the broker's return.

Celery's own consumer waits two seconds longer after every try, up to half a minute. Then it waits
a second for other workers to say which tasks were revoked; here none ever are.

This is for speed only: `INNGEST_CELERY_PATCHES=off` runs Celery's own consumer. The class is given
to Celery by its setting `worker_consumer`.

Written against Celery 5.7 and kombu 5.7: the consumer asks `ensure_connected()` for each of its
connections, and calls `on_connection_error_…()` when it loses one.
"""

from typing import Any

from celery.worker.consumer import Consumer as CelerysConsumer
from celery.worker.state import maybe_shutdown

CONSUMER = "inngest_py.tasks.kombu.consuming:Consumer"

_PAUSE_SECONDS = 0.5


class Consumer(CelerysConsumer):  # type: ignore[misc]
    """Tries to connect twice a second, without end, and logs it once per outage."""

    def __init__(self, *args: Any, worker_options: Any = None, **kwargs: Any) -> None:
        options = dict(worker_options or {}, without_mingle=True)
        super().__init__(*args, worker_options=options, **kwargs)

    def ensure_connected(self, connection: Any) -> Any:
        """Connect, however long it takes, unless the worker has to stop."""
        connected = connection.ensure_connection(
            lambda error, _interval: self.app.broker.lost(error),
            interval_start=_PAUSE_SECONDS,
            interval_step=0,
            interval_max=_PAUSE_SECONDS,
            callback=maybe_shutdown,
        )
        self.first_connection_attempt = False
        return connected

    def on_connection_error_before_connected(self, error: Exception) -> None:
        """Let workers run items without hints until the broker is back."""
        self.app.broker.lost(error)

    def on_connection_error_after_connected(self, error: Exception) -> None:
        """Let workers run items without hints until the broker is back; close the connection."""
        self.app.broker.lost(error)
        super().on_connection_error_after_connected(error)
