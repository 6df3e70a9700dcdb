"""What a test talks to: the server, its clock, its runs and its events."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Self, overload

from ..domain.errors import InngestPyError
from ..domain.events import user_events
from ..domain.events.event_record import Event as StoredEvent
from ..domain.functions.triggers import CronTrigger, EventTrigger
from ..engine.admin import replay_check, why_event
from ..engine.intake import cron_schedules, publish, waits
from ..engine.runtime.catalog import Function
from ..engine.transport.gateway import Fetcher
from ..storage.queries import event_list, run_list
from ..storage.queries.event_list import EventQuery
from ..storage.queries.run_filters.run_query import RunQuery
from ..storage.queries.run_list import OLDEST
from . import arguments, events
from .api import Api
from .apps import sdk_patches
from .apps.sdk_requests import SdkRequests
from .apps.served import HELP, Served
from .clock import Clock, moment_of
from .engine import Engine
from .errors import AppError, InngestTestError, NotServed
from .events import Events
from .faults import BEFORE_COMMIT, Faults
from .mocks import Mock, Mocks, check_mock
from .port import Port
from .runs import Run
from .transport import AppCalls

DEFAULT_PATH = "/api/inngest"
_MOST_EVENTS = 100_000


class Inngest:
    """A server for one test, in the test's process; a context manager.

    `app` is served from the start; see serve(). `start` is where the clock stands at first: the
    real time if there is none. Without `crons`, no cron ticks. With `allow_http`, HTTP calls that
    steps let the server make are made.
    """

    def __init__(
        self,
        app: object = None,
        *,
        path: str = DEFAULT_PATH,
        start: datetime | str | None = None,
        crons: bool = True,
        allow_http: bool = False,
    ) -> None:
        arguments.switch("Inngest", "crons", crons)
        arguments.switch("Inngest", "allow_http", allow_http)
        self._app, self._path = app, path
        self._faults, self._mocks = Faults(), Mocks()
        self._calls = AppCalls(self._faults, self._mocks)
        begin = None if start is None else moment_of(start, "start")
        self._engine = Engine(self._calls, begin, Fetcher() if allow_http else None)
        self._crons = crons
        self._calls.crash_after_commit = self._crash_after_commit
        self._api = Api(lambda: self._engine.ctx, self._faults)
        self._sdk = SdkRequests(self._api.call)
        self._calls.calling = self._sdk.calling
        self._engine.is_called = lambda: self._sdk.is_calling
        self._open = ExitStack()
        self.clock = Clock(self._engine)

    def __enter__(self) -> Self:
        try:
            self._open.enter_context(sdk_patches.in_place())
            self._open.enter_context(self._sdk.answered())
            if self._app is not None:
                self.serve(self._app, self._path)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        if error is None:
            self.check()

    def close(self) -> None:
        """Stop the apps and the server."""
        try:
            self._open.close()
        finally:
            self._calls.close()
            self._api.close()
            self._engine.close()

    def check(self) -> None:
        """Raise NeverMet for a mock or a fault that the test has prepared and not met."""
        self._mocks.check()
        self._faults.check()

    def listen(self, port: int = 0) -> str:
        """Open a port of this machine, any free one for 0; return the server's URL.

        Apps of other processes can register there, in dev mode, and are called by HTTP; anybody can
        send events. What is due is done when the test looks or moves the clock.
        """
        opened = Port(self._api, port)
        self._open.callback(opened.close)
        self._calls.call_others()
        return opened.url

    def serve(self, app: object, path: str = DEFAULT_PATH) -> None:
        """Serve an app under test at a path, and register its functions.

        The app is one of WSGI or ASGI, or a pair (client, functions) of the Inngest SDK. Several
        may be served. Raises AppError, which says what is wrong with it.
        """
        if app is None:
            raise AppError(f"there is no app to serve: {HELP}")
        made = Served(app, path, len(self._calls.apps))
        self._open.callback(made.close)
        self._calls.apps.append(made)
        made.register(self._sdk.watch)
        if not self._crons:
            cron_schedules.drop_all(self._engine.ctx)

    @overload
    def send(self, event: list[object]) -> "list[Sent]": ...  # type: ignore[overload-overlap]

    @overload
    def send(self, event: object, *, data: Mapping[str, object] | None = None) -> "Sent": ...

    def send(
        self, event: object, *, data: Mapping[str, object] | None = None
    ) -> "Sent | list[Sent]":
        """Send an event, and do all that is due then; return the event with its runs.

        `event` is a name beside `data`, a dict, or an Event of the SDK; or a list of them, which
        are sent together.
        """
        ctx = self._engine.ctx
        fields = [events.fields_of(one, data, "send") for one in _listed(event)]
        made = [replace(events.made(ctx, one, "send"), fresh=True) for one in fields]
        publish.accept(ctx, made)
        self._engine.settle()
        sent = [Sent(self, one) for one in made]
        return sent if isinstance(event, list) else sent[0]

    def signal(self, name: str, data: object = None) -> Run:
        """Send a signal to the run that waits for it; return the run."""
        arguments.text("signal", "name", name)
        plain = _plain("signal: data", data)
        self._engine.settle()
        run_id = waits.signal(self._engine.ctx, name, plain)
        if run_id is None:
            raise InngestTestError(f"signal: no run waits for the signal {name!r}")
        [found] = [run for run in self.runs() if run.id == run_id]
        return found

    def run(
        self,
        function: object,
        event: object = None,
        *,
        data: Mapping[str, object] | None = None,
    ) -> Run:
        """Run one function, and no other that the event would start; return the run.

        The run goes on until it has ended, or sleeps or waits; the clock moves over the times
        between the attempts of a step that fails. Without an event, the function gets one of its
        first trigger, with `data`. Raises NotServed, or InngestTestError if no run starts.
        """
        if self._sdk.is_calling:
            raise InngestTestError(
                "run: a function that runs cannot run another one in a test: use step.invoke(), or"
                " send an event"
            )
        found = self._function(function)
        made = self._event_for(found, event, data)
        publish.accept(self._engine.ctx, [made])
        self._engine.settle()
        started = [run for run in self._started_by(made.id) if run.function == found.slug]
        if not started:
            reasons = why_event.of_event(self._engine.ctx, made.id).reasons
            told = " ".join(reason.text for reason in reasons)
            raise InngestTestError(
                f"run: {found.slug} has not started. {told} Use inngest.send(), move the clock, and"
                " look at inngest.runs()"
            )
        return started[0].drive()

    def runs(self, function: object = None) -> list[Run]:
        """List the runs of a function, or of all, oldest first."""
        query = RunQuery()
        if function is not None:
            query = RunQuery(function_ids=[self._function(function).id])
        self._engine.settle()
        with self._engine.db.reading() as tx:
            rows = run_list.look(tx, query, OLDEST, limit=None).rows
        return [Run(self._engine, row["id"], row["function_slug"]) for row in rows]

    def check_replay(self, run: Run, app: object = None, *, path: str = DEFAULT_PATH) -> list[str]:
        """Say which steps of a run its code would move now: a sentence for each.

        The app is asked with the results that the run has, as before a deploy. No step runs, and
        the run stays as it is. `app` is new code, asked in place of what is served; see serve().
        """
        if not isinstance(run, Run):
            raise InngestTestError(f"check_replay: give what inngest.run() returned, not {run!r}")
        self._engine.settle()
        try:
            return self._replayed(run, app, path)
        except InngestPyError as error:
            raise InngestTestError(f"check_replay: {error.message}") from None

    def _replayed(self, run: Run, app: object, path: str) -> list[str]:
        if app is None:
            return replay_check.of_run(self._engine.ctx, run.id).sentences()
        made = Served(app, path, len(self._calls.apps))
        self._calls.apps.append(made)
        try:
            made.introduce(self._sdk.watch)
            return replay_check.of_run(self._engine.ctx, run.id, made.url).sentences()
        finally:
            self._calls.apps.remove(made)
            made.close()

    @property
    def events(self) -> Events:
        """All events, those that were sent and the server's own, in the order of their receipt."""
        self._engine.settle()
        query = EventQuery(internal=True)
        with self._engine.db.reading() as tx:
            found = event_list.page(
                tx,
                query,
                event_list.BY_RECEIPT,
                first=_MOST_EVENTS,
                columns=event_list.WITH_PAYLOAD,
            )
        return events.events_of(list(reversed(found.rows)))

    def mock_step(
        self,
        function: object,
        step: str,
        *,
        returns: object = None,
        raises: BaseException | type[BaseException] | None = None,
        times: int | None = None,
    ) -> None:
        """Give a step its result, or an error at each attempt: its own code is not run.

        It may be a step of any kind: a sleep or a wait ends at once. With `times` it answers as
        often, and then the next mock of the step does, or the step is run. A mock that no run has
        met fails the test at its end. The second step of an id is "id:1", as the SDK counts them.
        """
        check_mock(step, returns, raises, times)
        error = arguments.made_error("mock_step", raises)
        slug = self._function(function).slug
        self._mocks.add(Mock(slug, step, _plain("mock_step: returns", returns), error, times))

    def fail_next_call(
        self,
        *,
        status: int | None = None,
        error: str | None = None,
        function: object = None,
        times: int = 1,
    ) -> None:
        """Let the next call of the app fail, before the app gets it.

        With an HTTP `status`, or without an answer: "connection refused", "timed out" or "the
        connection was cut". `function` limits it to calls of one function.
        """
        slug = None if function is None else self._function(function).slug
        self._faults.fail(slug, status, error, times)

    def crash_after_step(self, function: object, step: str, *, when: str = BEFORE_COMMIT) -> None:
        """Let the server die once when the app has executed a step.

        "before commit": the result is lost, and the step is executed again. "after commit": it is
        stored, and is not. "answer lost": the server lives, and the app's answer does not reach it.
        The work of a server that has died goes on when its leases have lapsed, half a minute later
        by the test's clock.
        """
        self._faults.crash(self._function(function).slug, step, when)

    def _crash_after_commit(self) -> None:
        self._engine.committer.crashes_next = True

    def _started_by(self, event_id: str) -> list[Run]:
        self._engine.settle()
        with self._engine.db.reading() as tx:
            rows = run_list.of_event(tx, event_id)
        return [Run(self._engine, row["id"], row["function_slug"]) for row in rows]

    def _functions(self) -> Mapping[str, Function]:
        catalog = self._engine.ctx.catalog
        with self._engine.db.reading() as tx:
            catalog.refresh(tx)
        return catalog.by_slug

    def _function(self, given: object) -> Function:
        """Find a function: given as the SDK's object, by its full id, or by its id alone."""
        known = self._functions()
        name = given if isinstance(given, str) else getattr(given, "id", None)
        if not isinstance(name, str):
            raise NotServed(
                "name a function by its id, or give what client.create_function() made of it, not"
                f" {given!r}"
            )
        found = [one for one in known.values() if name in (one.slug, _local(one))]
        exact = [one for one in found if one.slug == name] or found
        if len(exact) == 1:
            return exact[0]
        if exact:
            several = ", ".join(sorted(one.slug for one in exact))
            raise NotServed(f"several apps have a function {name!r}: name one of {several}")
        served = ", ".join(sorted(known)) or "no function at all: override the fixture inngest_app"
        raise NotServed(
            f"no app of this test serves a function {name!r}; what is served: {served}."
            " Pass it to inngest.serve(...) with the others"
        )

    def _event_for(
        self, function: Function, given: object, data: Mapping[str, object] | None
    ) -> StoredEvent:
        ctx = self._engine.ctx
        if given is None:
            triggers = function.config.triggers
            named = [one.event for one in triggers if isinstance(one, EventTrigger)]
            crons = [one.cron for one in triggers if isinstance(one, CronTrigger)]
            if not named and crons and data is None:
                now = ctx.now()
                new_id = ctx.new_id(now)
                return user_events.scheduled(crons[0], now, now, id=new_id, function_id=function.id)
            given = named[0] if named else "test/run"
        made = events.made(ctx, events.fields_of(given, data, "run"), "run")
        return replace(made, target=function.slug, fresh=True)


class Sent:
    """An event that a test has sent."""

    def __init__(self, inngest: Inngest, event: StoredEvent) -> None:
        self._inngest, self._internal_id = inngest, event.id
        self.id = event.external_id
        self.name = event.name

    @property
    def runs(self) -> list[Run]:
        """The runs that it has started until now, oldest first."""
        return self._inngest._started_by(self._internal_id)

    def __repr__(self) -> str:
        return f"<Sent {self.name} {self.id}>"


def _listed(event: object) -> list[object]:
    return event if isinstance(event, list) else [event]


def _local(function: Function) -> str:
    return function.slug.removeprefix(f"{function.app_name}-")


def _plain(what: str, value: object) -> object:
    """Make JSON of a value. Raises InngestTestError."""
    dump = getattr(value, "model_dump", None)
    value = dump(mode="json") if callable(dump) else value
    try:
        found: object = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InngestTestError(f"{what} must be JSON: {error}") from None
    return found
