"""What an API process does beside answering requests."""

from celery import Celery
from sqlalchemy.exc import SQLAlchemyError

from .. import observe
from ..config import Settings
from ..engine.apps.discovery import Discovery
from ..engine.connect import beats as gateway_beats
from ..engine.runtime.context import Context
from ..engine.upkeep.loop import Service, Upkeep
from ..metrics import shared as shared_metrics
from ..metrics.shared import SharedMetrics
from ..storage.db.outages import logged
from ..tasks.connected_items import ConnectedItems


class Services:
    """The services of an API process: heartbeats, connected items, discovery of apps.

    `name` is how pages call the process. Of those that share metrics, one alone looks for apps.
    """

    def __init__(
        self,
        settings: Settings,
        celery: Celery,
        ctx: Context,
        name: str,
        shared: SharedMetrics | None = None,
    ) -> None:
        self._settings, self._celery, self._ctx = settings, celery, ctx
        self._gateway = gateway_beats.Beats(name, settings.connect_url)
        beats = [Service("connections", self._gateway.run_once, gateway_beats.EVERY)]
        if shared is not None:
            beats.append(Service("shared_metrics", shared.run_once, shared_metrics.EVERY))
        self._upkeep = Upkeep(ctx, beats)
        self._connected: ConnectedItems | None = None
        self._discovery = Discovery(
            ctx,
            kind=settings.kind,
            # SDKs sync in band only for a signed request of a cloud server
            in_band=not settings.dev and settings.signing_key is not None,
            urls=settings.sdk_urls,
            discover=settings.dev and settings.discovery,
            poll=settings.polls,
            every_seconds=settings.ping_seconds,
            is_to_look=_always if shared is None else shared.is_first,
        )

    def start(self) -> None:
        """Say that this process lives."""
        self._upkeep.start()
        self._ctx.moved.append(self._gateway.run_once)

    def run_connected_items(self) -> None:
        """Run items of connected apps: no worker beside this process does."""
        self._connected = ConnectedItems(
            self._celery, self._ctx, has_broker=not self._settings.embedded
        )
        self._connected.start()

    def end_connected_items(self, deadline: float) -> bool:
        """Wait for calls of connected apps until a time of the monotonic clock.

        Returns whether this process runs their items itself.
        """
        if self._connected is None:
            return False
        self._connected.stop(deadline)
        return True

    def look_for_apps(self) -> None:
        """Begin to ping apps, and to look for new ones if the settings say so."""
        self._discovery.start()

    def look_no_more(self) -> None:
        """Look for no more apps."""
        self._discovery.stop()

    def stop(self) -> None:
        """Say that this process lives no longer."""
        self._upkeep.stop()
        try:
            self._gateway.leave(self._ctx)
        except SQLAlchemyError as error:  # others see that it is silent
            observe.event("connect.status_not_stored", level=30, **logged(error))


def _always() -> bool:
    return True
