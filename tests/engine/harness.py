"""An engine over a real database, with a scripted SDK and a clock that tests move."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping
from sqlalchemy import Engine as SqlEngine

from inngest_py.domain.events.user_events import Event, parse_event
from inngest_py.domain.functions.registration import parse_registration
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.runs.runs import LIVE
from inngest_py.engine.apps import register
from inngest_py.engine.intake import publish
from inngest_py.engine.runtime.context import Context, Hint, Tuning, new_ulid
from inngest_py.engine.runtime.group_commit import Committer
from inngest_py.engine.upkeep import lease_keeping
from inngest_py.engine.work import run_item
from inngest_py.storage.db.session import Database
from inngest_py.storage.operations import stranded
from inngest_py.storage.queries import event_list, run_list, run_lookups, timeline_rows
from inngest_py.storage.queries.event_list import EventQuery
from inngest_py.storage.queries.run_columns import COLUMNS
from inngest_py.storage.queries.run_filters.run_query import RunQuery
from inngest_py.storage.queue import backlog
from inngest_py.storage.runs import steps
from inngest_py.storage.schema import migrate
from tests.factories import NOW, op, reply, step

Script = Callable[[dict[str, Any], str], Reply]


class Sdk:
    """A transport whose answers a test scripts; it keeps the requests that it got."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.pinged = Reply(unreachable="connection refused")
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: Any = None
    ) -> Reply:
        if method != "POST":  # a ping or a probe
            return self.pinged
        request = orjson.loads(body)
        with self._lock:
            self.requests.append(request)
        return self.script(request, headers["X-Inngest-Step-ID"])

    def close(self) -> None:
        pass


class Sent:
    """Hints that were sent, for a test to run."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []

    def send(self, hints: Sequence[Hint]) -> None:
        self.hints.extend(hints)

    def ask(self) -> None:
        pass

    def reachable(self) -> bool:
        return True


def stored_events(
    tx: Connection, name: str | None = None, *, internal: bool = True
) -> Sequence[RowMapping]:
    """List events, newest first, with the server's own unless they are not wanted."""
    query = EventQuery(names=None if name is None else [name], internal=internal)
    columns = event_list.WITH_PAYLOAD
    return event_list.page(tx, query, first=1000, columns=columns).rows


def stored_runs(tx: Connection) -> Sequence[RowMapping]:
    """List runs, newest first."""
    return run_list.page(tx, RunQuery(), first=1000, columns=tuple(COLUMNS)).rows


class Engine:
    """A context with its hints, its SDK and its clock."""

    language_and_version = "js:v4.0.0"

    def __init__(self, db: Database, script: Script, *, retries: int = 2, **config: Any) -> None:
        self.now = NOW
        self.hinted = Sent()
        self.sdk = Sdk(script)
        self.ctx = Context(
            db=db,
            transport=self.sdk,  # type: ignore[arg-type]
            committer=Committer(db, shared=False),
            hints=self.hinted,
            tuning=Tuning(linear_retry=timedelta(seconds=5)),
            worker_id="w1",
            clock=lambda: self.now,
        )
        self.register(retries, **config)

    def register(self, retries: int = 2, **config: Any) -> None:
        url = "http://localhost:1/api/inngest?fnId=app-fn&stepId=step"
        step = {"runtime": {"type": "http", "url": url}, "retries": {"attempts": retries}}
        function = {
            "id": "app-fn",
            "name": "fn",
            "triggers": [{"event": "a/b"}],
            "steps": {"step": {"id": "step", "name": "step", **step}},
            **config,
        }
        payload = {
            "appName": "app",
            "url": "http://localhost:1/api/inngest",
            "sdk": self.language_and_version,
            "functions": [function],
        }
        register.register(self.ctx, parse_registration(payload))

    def event(self, name: str = "a/b", **fields: Any) -> Event:
        ms = int(self.now.timestamp() * 1000)
        payload = {"name": name} | fields
        event = parse_event(payload, len(orjson.dumps(payload)), ms, new_ulid(self.now))
        return replace(event, fresh=True)

    def start(self, **fields: Any) -> str:
        """Accept an event; return the run it started."""
        event = self.event(**fields)
        publish.accept(self.ctx, [event])
        with self.ctx.db.reading() as tx:
            return str(run_list.of_event(tx, event.id)[0]["id"])

    def drain(self) -> None:
        """Run all hinted items, and what they hint at; afterwards no run may be stranded."""
        while self.hinted.hints:
            hints, self.hinted.hints = self.hinted.hints, []
            for _, item_id in hints:
                run_item.work(self.ctx, [item_id])
        assert not self.stranded()

    def stranded(self) -> list[str]:
        """List the runs that have not ended and that nothing will continue."""
        with self.ctx.db.reading() as tx:
            return [run for status in LIVE for run in stranded.scan(tx, status, "", 10_000)[0]]

    def advance(self, **delta: float) -> None:
        """Move the clock, send hints for items that have become due, and run them."""
        self.now += timedelta(**delta)
        with self.ctx.db.transaction() as tx:
            found = backlog.due(tx, self.now, 1000, again_at=self.now + timedelta(seconds=2))
        self.hinted.send([(kind, item_id) for item_id, kind in found])
        self.drain()

    def lapse(self) -> None:
        """Let leases lapse whose time is over, and run what follows."""
        self.now += self.ctx.tuning.lease + timedelta(seconds=1)
        lease_keeping.free_lapsed(self.ctx, self.now)
        self.advance()

    def run(self, run_id: str) -> dict[str, Any]:
        with self.ctx.db.reading() as tx:
            row = run_lookups.get(tx, run_id, tuple(COLUMNS))
            assert row is not None
            return dict(row)

    def memo(self, run_id: str) -> dict[str, Any]:
        with self.ctx.db.reading() as tx:
            return {k: orjson.loads(v) for k, v in steps.memo(tx, [run_id])[run_id].items()}

    def queued(self, run_id: str) -> list[Any]:
        with self.ctx.db.reading() as tx:
            return timeline_rows.queued_for(tx, run_id)


_PREPARED: dict[str, SqlEngine] = {}


def opened(url: str) -> Database:
    """Open a database whose schema is up to date.

    It shares what SQLAlchemy has compiled for the first one that was prepared: for a database that
    lives for one test, to compile its statements took a quarter of the time.
    """
    made = Database(url, synchronous="NORMAL")
    if first := _PREPARED.get(made.url.drivername):
        made.engine.dialect = first.dialect  # a part of the cache's keys
        made.engine._compiled_cache = first._compiled_cache
    return made


def prepared(url: str) -> Database:
    """Open a database and bring its schema up to date."""
    db = opened(url)
    migrate.upgrade(db)
    _PREPARED.setdefault(db.url.drivername, db.engine)
    return db


def sequence(*names: str, version: str = "2") -> Script:
    """Script a function that runs steps one after another and returns their count."""

    def script(request: dict[str, Any], target: str) -> Reply:
        done = len(request["steps"])
        if done == len(names):
            return reply(200, {"done": done})
        return reply(206, [op("StepRun", names[done], data=done)], x_inngest_req_version=version)

    return script


def parallel(*names: str, version: str = "2") -> Script:
    """Script a function that runs steps side by side and returns their count."""

    def script(request: dict[str, Any], target: str) -> Reply:
        headers = {"x_inngest_req_version": version}
        for name in names:
            if target == step(name):
                return reply(206, [op("StepRun", name, data=name)], **headers)
        left = [name for name in names if step(name) not in request["steps"]]
        if not left:
            return reply(200, {"done": len(names)})
        return reply(206, [op("StepPlanned", name) for name in left], **headers)

    return script
