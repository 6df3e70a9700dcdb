"""The server process: the API on gevent, and in embedded mode a worker beside it.

Written against Celery 5.7: the embedded worker is a `WorkController` that is started after
`setup_worker_optimizations()`, as `celery worker` does; `state.should_terminate` stops it at once.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import click
import gevent
from celery.app.trace import setup_worker_optimizations
from celery.worker import state

from .. import observe, tracing
from ..api import root_path
from ..api.gateway.serving import Gateway
from ..config import Settings
from ..domain.errors import Conflict, Invalid
from ..engine.clock import kept
from ..engine.clock.mover import Mover
from ..engine.runtime.context import Context, NoHints
from ..engine.upkeep import lease_keeping
from ..metrics.shared import SharedMetrics
from ..serving import preparing, sockets
from ..serving.api_processes import Given
from ..serving.application import Application, most_connections
from ..serving.draining import DrainingServer
from ..serving.listener import listen
from ..serving.services import Services
from ..serving.stopping import Stopping
from ..serving.supervisor import CUT_SECONDS, LEAST_DRAIN, Workers
from ..tasks.app import create_celery
from ..tasks.connected_items import DRAIN_SECONDS, leave_calls
from ..tasks.runtime import Runtime
from ..tasks.unexpected import log_and_count
from ..tasks.worker import garbage, lifeline
from ..tasks.worker.steps import wait_for_schema

_CLOSE_SECONDS = 3.0
_LOOK_SECONDS = 0.2


class Server:
    """One process that serves the API; with `with_worker` it runs items, too.

    `workers` supervises the worker processes that it stops before it stops itself. `given` is what
    the parent of several API processes gave to this one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        with_worker: bool,
        workers: Workers | None = None,
        given: Given | None = None,
    ) -> None:
        self._settings, self._given = settings, given
        self._workers = workers
        self._with_worker = with_worker
        self._stopping = Stopping(self._cut, self._take_no_more)
        self._celery = create_celery(settings)
        self._runtime: Runtime = self._celery.runtime
        if settings.embedded and not with_worker:
            # no worker in this process reads the in-process broker: its queues would only grow
            self._runtime.hints = NoHints()
        self._worker: Any = None
        self._failed = False
        self._stop_tracing: Callable[[], None] = lambda: None
        self._http: DrainingServer | None = None
        self._application: Application | None = None
        self._gateway: Gateway | None = None
        self._services: Services | None = None
        self._connect: DrainingServer | None = None
        self._shared: SharedMetrics | None = None
        self._mover: Mover | None = None
        self._ctx: Context | None = None

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; exits with 1 when the worker in this process ends."""
        self._heed_signals()
        log_and_count()
        self._runtime.slots = self._settings.concurrency
        if self._given is None:
            preparing.make_file(self._settings)
        ctx = self._ctx = self._runtime.context()
        self._stop_tracing = tracing.start(os.environ)
        if self._given is None:
            preparing.bring_up_to_date(ctx, self._settings)
        wait_for_schema(ctx)
        self._mover = self._virtual_clock(ctx)
        self._stopping.waits = False
        self._runtime.read_rows()
        if self._given is None:
            preparing.connect_celery_apps(ctx, self._settings)
        http = self._http = self._listen(ctx)
        name = f"{socket.gethostname()}:{self._settings.port}"
        if self._given is not None:
            name = f"{name}, process {self._given.number}"
        services = self._services = Services(self._settings, self._celery, ctx, name, self._shared)
        services.start()
        if self._with_worker:
            if self._settings.embedded and self._settings.is_sqlite:
                self._recover(ctx)
            self._start_worker()
        else:
            services.run_connected_items()
        services.look_for_apps()
        garbage.freeze_objects()
        self._stopping.stopped.wait()
        observe.event("server.stopping")
        self._stopping.in_a_hurry.wait(self._settings.drain_delay_seconds)
        services.look_no_more()
        self._end_work(http)
        services.stop()
        self._celery.hinter.stop()
        self._runtime.close()
        self._stop_tracing()
        if self._shared is not None:
            self._shared.close()
        if self._failed:
            raise SystemExit(1)

    def _heed_signals(self) -> None:
        if self._given is None:
            self._stopping.heed()
            return
        self._stopping.heed_parent(self._take_no_more)
        lifeline.stop_with_supervisor(dict(os.environ), _tell_orphaned)

    def _take_no_more(self) -> None:
        if self._ctx is not None:
            self._ctx.stopping.set()

    def _end_work(self, http: DrainingServer) -> None:
        """Wait until calls have ended, then until requests have, all within the grace time.

        Apps report to the API during calls, so the server serves until the last call has ended.
        """
        deadline = time.monotonic() + self._settings.grace_seconds
        least = 0.0 if self._worker is None and self._workers is None else LEAST_DRAIN

        def drain() -> None:
            if self._application is not None:
                self._application.close_streams(_CLOSE_SECONDS)
            if self._connect is not None:
                self._connect.drain(0)
            cut = http.drain(max(deadline - time.monotonic(), least))
            if cut:
                observe.event("server.cut_requests", level=30, requests=cut)

        def end_at_once() -> None:
            drain()
            tracing.stop_soon(self._stop_tracing)

        if self._gateway is not None:
            self._gateway.drain()
        leaving = gevent.spawn(self._end_connected, deadline)
        if self._workers is not None:
            self._workers.stop()
        if self._worker is not None:
            self._runtime.before_cut = end_at_once
            self._worker.stop()
            leaving.kill()
        leaving.join()
        drain()

    def _end_connected(self, deadline: float) -> None:
        """Wait for calls of connected workers, and leave the long ones to them.

        A worker in this process waits for its calls itself: then this only leaves them.
        """
        if self._services is not None and self._services.end_connected_items(deadline):
            return
        leave_at = min(deadline - 1, time.monotonic() + DRAIN_SECONDS)
        while True:
            leave_calls(self._runtime.context(), leave_at)
            gevent.sleep(_LOOK_SECONDS)

    def _cut(self) -> None:
        """End as if the grace time were over, in a few seconds whatever is in the way."""
        state.should_terminate = True  # the worker in this process gives its leases back
        if self._http is not None:
            self._http.cut()
        if self._workers is not None:
            self._workers.cut()
        gevent.sleep(CUT_SECONDS)
        os._exit(1)

    def _virtual_clock(self, ctx: Context) -> Mover | None:
        """Give the context a clock that can be moved, if the settings say so."""
        if self._settings.clock != "virtual":
            return None
        try:
            kept.refuse_company(ctx.db)
        except Conflict as error:
            raise click.ClickException(error.message) from None
        clock = kept.load(ctx.db)
        if clock.is_frozen:
            observe.event("clock.stands", now=clock.now().isoformat())
        ctx.clock, ctx.real_clock = clock.now, clock.real
        return Mover(ctx, clock)

    def _recover(self, ctx: Context) -> None:
        """Free the leases of the process before this one: no other process uses this file."""
        freed = lease_keeping.recover(ctx)
        if freed:
            observe.event("server.recovered", items=freed)

    def _listen(self, ctx: Context) -> DrainingServer:
        if self._given is None:
            for_workers, settings = sockets.bind_for_workers(self._settings)
            api, number = sockets.bind(settings.host, settings.port), None
        else:
            settings, number = self._settings, self._given.number
            self._shared = SharedMetrics(self._given.folder)
            api, for_workers = sockets.inherited(self._given)
        gateway = self._gateway = Gateway(ctx, most_connections(settings))
        if for_workers is not None:
            app = root_path.before(gateway, settings)
            self._connect = listen(for_workers, app, process=number)
        try:
            made = Application(settings, ctx, gateway, self._mover, self._shared)
        except Invalid as error:
            raise click.ClickException(error.message) from None
        self._application = made
        return listen(api, made, process=number)

    def _start_worker(self) -> None:
        # what `celery worker` does first: it tells the pool which app's tasks to run
        setup_worker_optimizations(self._celery, "embedded")
        self._worker = self._celery.WorkController(
            app=self._celery,
            hostname="embedded",
            pool_cls="gevent",
            concurrency=self._settings.concurrency,
            task_events=False,  # nobody could read them: the broker is inside this process
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
            quiet=True,
        )
        threading.Thread(target=self._work, name="worker", daemon=True).start()

    def _work(self) -> None:
        try:
            self._worker.start()
        finally:
            if (
                not self._stopping.stopped.is_set()
            ):  # a server must not take events that nothing runs
                observe.event("server.worker_ended", level=50)
                self._failed = True
                self._stopping.in_a_hurry.set()
                self._stopping.stopped.set()


def _tell_orphaned() -> None:
    observe.event("server.process_orphaned", level=30)
