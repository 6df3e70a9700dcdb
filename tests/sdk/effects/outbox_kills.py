"""`python -m tests.sdk.effects.outbox_kills URL SERVER`: kill senders and relays at each point.

Each pair of a kill and what comes after it has event names of its own; the server is a real one.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import httpx
import inngest
import sqlalchemy
from sqlalchemy.orm import Session

from inngest_py.sdk import outbox
from inngest_py.sdk.outbox import claims

from .killing import Points, engine_of, in_child, killed_at

KEYS = ("a", "a", "b", None, "a")


class Kills:
    """The work that is killed."""

    def __init__(self, url: str, server: str) -> None:
        self.plain, self.watched, self.points = engine_of(url), engine_of(url), Points()
        self.points.watch(self.watched)
        self.client = inngest.Inngest(
            app_id="tests", is_production=False, event_api_base_url=server
        )
        claims.LEASE_MS = 0  # a lease lapses as soon as its relay is dead
        outbox.create_table(self.plain)
        with self.plain.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE effects (name VARCHAR(99))"))

    def write(self, engine: sqlalchemy.Engine, name: str) -> None:
        """Write an effect and five events, in one transaction."""
        with Session(engine) as session, session.begin():
            session.execute(sqlalchemy.text("INSERT INTO effects VALUES (:n)"), {"n": name})
            for place, key in enumerate(KEYS):
                event = inngest.Event(name=name, data={"place": place, "key": key})
                outbox.send(session, event, key=key)
        self.points.passed("end")

    def relay(self, engine: sqlalchemy.Engine) -> None:
        """Send what is in the outbox."""
        relay = outbox.Relay(engine, self.client)
        with httpx.Client(timeout=20) as http:
            self.points.wrap(http, "post", "POST")
            while relay._round(http)[0]:
                self.points.passed("end of a round")
        self.points.passed("end")

    def left(self, name: str) -> dict[str, Any]:
        """Drain the outbox, and say what there is."""
        self.relay(self.plain)
        with self.plain.connect() as connection:
            find = sqlalchemy.text("SELECT COUNT(*) FROM effects WHERE name = :n")
            effects = connection.scalar(find, {"n": name})
            rows = connection.scalar(sqlalchemy.text("SELECT COUNT(*) FROM inngest_outbox"))
        return {"name": name, "effects": effects, "rows": rows}

    def kill(self, kind: str, before: Callable[[str], object], work: Callable[[str], Any]) -> None:
        """Kill the work at its first point, its second, and so on, until it passes."""
        for number in range(1, 100):
            name = f"{self.plain.name}-{kind}/{number}"
            in_child(lambda name=name: before(name))
            point = killed_at(number, self.points, lambda name=name: work(name))
            found = in_child(lambda name=name: self.left(name))
            print(json.dumps({"point": point or "", **found}), flush=True)
            if point is None:
                return


if __name__ == "__main__":
    kills = Kills(sys.argv[1], sys.argv[2])
    kills.kill("sender", lambda _: None, lambda name: kills.write(kills.watched, name))
    kills.kill(
        "relay",
        lambda name: kills.write(kills.plain, name),
        lambda _: kills.relay(kills.watched),
    )
