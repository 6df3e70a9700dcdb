"""`python -m tests.sdk.effects.outbox_kills URL SERVER STYLE`: kill senders and relays.

Each pair of a kill and what comes after it has event names of its own; the server is a real one.
The style is the library of the app: sqlalchemy, async or django.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import httpx
import inngest
import sqlalchemy
from django.db import connections, transaction
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from inngest_py.sdk import outbox
from inngest_py.sdk.outbox import claims

from .django_database import configure, execute, watched
from .killing import Points, async_engine_of, engine_of, in_child, killed_at

KEYS = ("a", "a", "b", None, "a")
EFFECT = "INSERT INTO effects VALUES ('{}')"


def events(name: str) -> list[tuple[inngest.Event, str | None]]:
    """Make the events of one transaction, with their keys."""
    return [
        (inngest.Event(name=name, data={"place": place, "key": key}), key)
        for place, key in enumerate(KEYS)
    ]


class Blocking:
    """The app uses SQLAlchemy."""

    def __init__(self, url: str, points: Points) -> None:
        self.database: Any = engine_of(url)
        points.watch(self.database)

    def write(self, name: str) -> None:
        """Write an effect and five events, in one transaction."""
        with Session(self.database) as session, session.begin():
            session.execute(sqlalchemy.text(EFFECT.format(name)))
            for event, key in events(name):
                outbox.send(session, event, key=key)

    def relaying(self, work: Callable[[], None], _relay: outbox.Relay) -> None:
        """Run the rounds of a relay."""
        work()


class Async:
    """The app uses async SQLAlchemy."""

    def __init__(self, url: str, points: Points) -> None:
        self.database: Any = async_engine_of(url)
        self._points = points
        points.watch(self.database.sync_engine)

    def write(self, name: str) -> None:
        """Write an effect and five events, in one transaction."""
        asyncio.run(self._write(name))

    async def _write(self, name: str) -> None:
        async with AsyncSession(self.database) as session, session.begin():
            await session.execute(sqlalchemy.text(EFFECT.format(name)))
            for event, key in events(name):
                await outbox.send(session, event, key=key)

    def relaying(self, work: Callable[[], None], relay: outbox.Relay) -> None:
        """Run the rounds of a relay, which has an engine of its own for its event loop."""
        own: Any = relay._database
        self._points.watch_statements(own._given.sync_engine)
        own.run_here(work)


class Django:
    """The app uses Django."""

    def __init__(self, url: str, points: Points) -> None:
        configure(url)
        self.database: Any = "default"
        self._points = points

    def write(self, name: str) -> None:
        """Write an effect and five events, in one transaction."""
        with watched(self._points), transaction.atomic():
            execute(EFFECT.format(name))
            for event, key in events(name):
                outbox.send("default", event, key=key)
        connections.close_all()

    def relaying(self, work: Callable[[], None], relay: outbox.Relay) -> None:
        """Run the rounds of a relay."""
        own: Any = relay._database
        with watched(self._points):
            own.run_here(work)


class Kills:
    """The work that is killed."""

    def __init__(self, url: str, server: str, style: str) -> None:
        self.plain, self.points, self.style = engine_of(url), Points(), style
        self.app = {"sqlalchemy": Blocking, "async": Async, "django": Django}[style](
            url, self.points
        )
        self.client = inngest.Inngest(
            app_id="tests", is_production=False, event_api_base_url=server
        )
        claims.LEASE_MS = 0  # a lease lapses as soon as its relay is dead
        outbox.create_table(self.plain)
        with self.plain.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE effects (name VARCHAR(99))"))

    def write(self, name: str) -> None:
        """Let the app write an effect and five events, in one transaction."""
        self.app.write(name)
        self.points.passed("end")

    def relay(self) -> None:
        """Send what is in the outbox, by the app's library."""
        relay = outbox.Relay(self.app.database, self.client)
        self.app.relaying(lambda: self._rounds(relay), relay)
        self.points.passed("end")

    def _rounds(self, relay: outbox.Relay) -> None:
        with httpx.Client(timeout=20, verify=False) as http:  # no certificates are read
            self.points.wrap(http, "post", "POST")
            while relay._round(http)[0]:
                self.points.passed("end of a round")

    def left(self, name: str) -> dict[str, Any]:
        """Drain the outbox, and say what there is."""
        self._rounds(outbox.Relay(self.plain, self.client))
        with self.plain.connect() as connection:
            find = sqlalchemy.text("SELECT COUNT(*) FROM effects WHERE name = :n")
            effects = connection.scalar(find, {"n": name})
            rows = connection.scalar(sqlalchemy.text("SELECT COUNT(*) FROM inngest_outbox"))
        return {"name": name, "effects": effects, "rows": rows}

    def kill(self, kind: str, before: Callable[[str], object], work: Callable[[str], Any]) -> None:
        """Kill the work at its first point, its second, and so on, until it passes."""
        for number in range(1, 150):
            name = f"{self.style}-{self.plain.name}-{kind}/{number}"
            in_child(lambda name=name: before(name))
            point = killed_at(number, self.points, lambda name=name: work(name))
            found = in_child(lambda name=name: self.left(name))
            print(json.dumps({"point": point or "", **found}), flush=True)
            if point is None:
                return


if __name__ == "__main__":
    kills = Kills(*sys.argv[1:])
    kills.kill("sender", lambda _: None, kills.write)
    kills.kill("relay", kills.write, lambda _: kills.relay())
