"""The server process: the API on gevent, and in embedded mode a worker beside it.

Written against Celery 5.7: the embedded worker is a `WorkController` that is started after
`setup_worker_optimizations()`, as `celery worker` does; `state.should_terminate` stops it at once.
"""

import errno
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import gevent
from celery.app.trace import setup_worker_optimizations
from celery.worker import state
from gevent.event import Event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from .. import observe, tracing
from ..api import root_path
from ..api.app import create_app
from ..api.gateway.serving import Gateway
from ..api.realtime.sockets import Sockets
from ..config import Settings
from ..dashboard import app as dashboard
from ..dashboard.live.news import Pulse
from ..domain.errors import Conflict, InngestPyError, Invalid
from ..domain.functions import celery_task
from ..engine.apps import declared_apps
from ..engine.apps.discovery import Discovery
from ..engine.clock import kept
from ..engine.clock.mover import Mover
from ..engine.connect import beats as gateway_beats
from ..engine.runtime.context import Context, NoHints
from ..engine.upkeep import lease_keeping
from ..engine.upkeep.loop import Service, Upkeep
from ..metrics.counters import Counters
from ..serving.draining import DrainingServer
from ..serving.listener import listen
from ..serving.supervisor import CUT_SECONDS, Supervisor
from ..storage.db.outages import logged
from ..storage.db.session import sqlite_file
from ..storage.schema.migrate import prepare
from ..tasks.app import create_celery
from ..tasks.connected_items import DRAIN_SECONDS, ConnectedItems, leave_calls
from ..tasks.runtime import Runtime
from ..tasks.unexpected import log_and_count
from ..tasks.worker import garbage
from ..tasks.worker.steps import wait_for_schema
from .databases import unreachable

# the least that requests get which came while the workers' calls ended
LEAST_DRAIN = 5.0
_CLOSE_SECONDS = 3.0
_OTHER_FILES = 300  # that are no connections of workers: databases, brokers, requests, apps
_LOOK_SECONDS = 0.2


def try_to_write(file: Path) -> None:
    """Make the database's file, or end the command: no waiting would make it writable.

    A file that exists is not opened: to close it would drop the locks that SQLite holds on it in
    this process. Another process that has read the database would then take itself for the last
    one, and delete the log that this one goes on to write its commits to.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.touch()
        elif file.is_dir() or not os.access(file, os.W_OK):
            number = errno.EISDIR if file.is_dir() else errno.EACCES
            raise OSError(number, os.strerror(number))
    except OSError as error:
        text = f"the database {file} cannot be written: {error.strerror}"
        raise click.ClickException(f"{text}; use another --db or --database-url") from None


def _leave(gateway: gateway_beats.Beats, ctx: Context) -> None:
    try:
        gateway.leave(ctx)
    except SQLAlchemyError as error:  # others see that it is silent
        observe.event("connect.status_not_stored", level=30, **logged(error))


def raise_file_limit() -> int:
    """Let this process open as many files as the system allows it; return how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


class Server:
    """One process that serves the API; with `with_worker` it runs items, too.

    `workers` supervises the worker processes that it stops before it stops itself.
    """

    def __init__(
        self, settings: Settings, *, with_worker: bool, workers: Supervisor | None = None
    ) -> None:
        self._settings = settings
        self._workers = workers
        self._with_worker = with_worker
        self._stopped = Event()
        self._in_a_hurry = Event()  # not to wait for balancers
        self._waits = True  # for the database: nothing has begun yet, so a stop is immediate
        self._celery = create_celery(settings)
        self._runtime: Runtime = self._celery.runtime
        if settings.embedded and not with_worker:
            # no worker in this process reads the in-process broker: its queues would only grow
            self._runtime.hints = NoHints()
        self._worker: Any = None
        self._failed = False
        self._pulse: Pulse | None = None
        self._counters: Counters | None = None
        self._stop_tracing: Callable[[], None] = lambda: None
        self._http: DrainingServer | None = None
        self._gateway: Gateway | None = None
        self._connected: ConnectedItems | None = None
        self._connect: DrainingServer | None = None
        self._interrupts = 0
        self._mover: Mover | None = None
        self._ctx: Context | None = None

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; exits with 1 when the worker in this process ends."""
        self._heed_signals()
        log_and_count()
        self._runtime.slots = self._settings.concurrency
        file = sqlite_file(make_url(self._settings.database_url))
        if file is not None:
            try_to_write(file)
        ctx = self._ctx = self._runtime.context()
        self._stop_tracing = tracing.start(os.environ)
        self._prepare(ctx)
        wait_for_schema(ctx)
        self._mover = self._virtual_clock(ctx)
        self._waits = False
        self._runtime.read_rows()
        self._connect_celery_apps(ctx)
        http = self._http = self._listen(ctx)
        name = f"{socket.gethostname()}:{self._settings.port}"
        gateway = gateway_beats.Beats(name, self._settings.connect_url)
        beats = Upkeep(ctx, [Service("connections", gateway.run_once, gateway_beats.EVERY)])
        beats.start()
        ctx.moved.append(gateway.run_once)
        if self._with_worker:
            if self._settings.embedded and self._settings.is_sqlite:
                self._recover(ctx)
            self._start_worker()
        else:
            self._connected = ConnectedItems(
                self._celery, ctx, has_broker=not self._settings.embedded
            )
            self._connected.start()
        discovery = self._discovery(ctx)
        discovery.start()
        garbage.freeze_objects()
        self._stopped.wait()
        observe.event("server.stopping")
        self._in_a_hurry.wait(self._settings.drain_delay_seconds)
        discovery.stop()
        self._end_work(http)
        beats.stop()
        _leave(gateway, ctx)
        self._celery.hinter.stop()
        self._runtime.close()
        self._stop_tracing()
        if self._failed:
            raise SystemExit(1)

    def _connect_celery_apps(self, ctx: Context) -> None:
        named = [celery_task.parse_app(entry) for entry in self._settings.celery_apps]
        try:
            declared_apps.connect(ctx, named, self._settings.declared_celery_apps)
        except InngestPyError as error:  # such as a name that an SDK's app has
            raise click.ClickException(f"Celery apps: {error.message}") from None

    def _heed_signals(self) -> None:
        main = gevent.getcurrent()
        gevent.signal_handler(signal.SIGTERM, self._stop, main)
        gevent.signal_handler(signal.SIGINT, self._interrupt, main)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup
            return
        if sys.stdin is not None and sys.stdin.isatty():  # SIGHUP: the terminal has closed
            gevent.signal_handler(signal.SIGHUP, self._stop, main)
        else:
            gevent.signal_handler(signal.SIGHUP, self._refuse_to_reload)

    def _refuse_to_reload(self) -> None:
        text = "SIGHUP changes nothing: restart to have settings read again"
        observe.event("server.not_reloaded", level=30, text=text)

    def _end_work(self, http: DrainingServer) -> None:
        """Wait until calls have ended, then until requests have, all within the grace time.

        Apps report to the API during calls, so the server serves until the last call has ended.
        """
        deadline = time.monotonic() + self._settings.grace_seconds
        least = 0.0 if self._worker is None and self._workers is None else LEAST_DRAIN

        def drain() -> None:
            if self._pulse is not None:
                self._pulse.close()  # open streams would delay the stop
            self._runtime.context().hub.close(_CLOSE_SECONDS)
            if self._gateway is not None:
                self._gateway.stop(_CLOSE_SECONDS)
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
        if self._connected is not None:
            self._connected.stop(deadline)
            return
        leave_at = min(deadline - 1, time.monotonic() + DRAIN_SECONDS)
        while True:
            leave_calls(self._runtime.context(), leave_at)
            gevent.sleep(_LOOK_SECONDS)

    def _stop(self, main: gevent.Greenlet) -> None:
        if self._ctx is not None:
            self._ctx.stopping.set()
        self._stopped.set()
        if self._waits:
            observe.event("server.stopping")
            gevent.get_hub().loop.run_callback(main.throw, SystemExit(0))

    def _interrupt(self, main: gevent.Greenlet) -> None:
        """Stop at the first Ctrl-C, and at once at the second."""
        self._interrupts += 1
        self._in_a_hurry.set()
        if self._interrupts == 1:
            if not self._waits:
                told = "waiting for calls and requests to end; press Ctrl-C again to cut them"
                observe.event("server.interrupted", text=told)
            self._stop(main)
        elif self._interrupts == 2:
            self._cut()

    def _cut(self) -> None:
        """End as if the grace time were over, in a few seconds whatever is in the way."""
        observe.event("server.cut", level=30)
        state.should_terminate = True  # the worker in this process gives its leases back
        if self._http is not None:
            self._http.cut()
        if self._workers is not None:
            self._workers.cut()
        gevent.sleep(CUT_SECONDS)
        os._exit(1)

    def _prepare(self, ctx: Context) -> None:
        try:
            prepare(ctx.db)
            if self._settings.clock == "real":
                kept.refuse_moved(ctx.db)
        except DBAPIError as error:
            raise click.ClickException(unreachable(error)) from None
        except InngestPyError as error:
            raise click.ClickException(error.message) from None

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
        self._counters = Counters(ctx.catalog.slug_of)
        self._counters.connect()
        gateway = self._gateway = Gateway(ctx, self._most_connections())
        settings = self._listen_for_workers(gateway)
        app = create_app(settings, ctx, self._counters, self._mover)
        if settings.ui:
            self._pulse = dashboard.add_to(app, settings, ctx, self._mover)
        try:
            root_path.check(app, settings)
        except Invalid as error:
            raise click.ClickException(error.message) from None
        both = root_path.before(Sockets(ctx).before(gateway.before(app)), settings)
        return listen((settings.host, settings.port), both)

    def _most_connections(self) -> int:
        """Say how many workers may connect; each connection is an open file."""
        asked, files = self._settings.connect_max_connections, raise_file_limit()
        most = max(1, min(asked, files - _OTHER_FILES))
        if most < asked:
            observe.event("connect.few_files", level=20, connections=most, files=files)
        return most

    def _listen_for_workers(self, gateway: Gateway) -> Settings:
        """Listen at the port for workers, if there is one; return the settings as they are then.

        A default port that is taken is done without: workers connect at the API's.
        """
        settings, port = self._settings, self._settings.gateway_port
        if port is None:
            return settings
        try:
            self._connect = listen((settings.host, port), root_path.before(gateway, settings))
        except click.ClickException as error:
            if settings.connect_port is not None:
                raise
            observe.event("connect.port_taken", level=30, port=port, error=error.message)
            return replace(settings, connect_port=settings.port)
        return settings

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
            if not self._stopped.is_set():  # a server must not take events that nothing runs
                observe.event("server.worker_ended", level=50)
                self._failed = True
                self._in_a_hurry.set()
                self._stopped.set()

    def _discovery(self, ctx: Context) -> Discovery:
        settings = self._settings
        return Discovery(
            ctx,
            kind=settings.kind,
            # SDKs sync in band only for a signed request of a cloud server
            in_band=not settings.dev and settings.signing_key is not None,
            urls=settings.sdk_urls,
            discover=settings.dev and settings.discovery,
            poll=settings.polls,
            every_seconds=settings.ping_seconds,
        )
