"""A watched engine: its functions fail as a test says, and its alerts go to a provider."""

import json
from datetime import timedelta
from typing import Any

from inngest_py.domain.alerts.receivers import Receiver
from inngest_py.domain.alerts.rules import AlertRules
from inngest_py.engine.alerts import receivers, send, watch
from inngest_py.engine.transport.http import Transport
from inngest_py.storage.db.session import Database
from tests.engine.harness import Engine
from tests.factories import reply
from tests.provider import Answer, Provider, Received

RULES = AlertRules(failure_rate=0.5, least_runs=2, backlog=timedelta(minutes=5))


class Watched:
    """An engine whose functions fail as the test says, and a receiver of alerts."""

    def __init__(self, db: Database, provider: Provider) -> None:
        self.fails = True
        self.engine = Engine(db, self._script, retries=0)
        self.received: list[dict[str, Any]] = []
        self.status = 200
        self.provider = provider
        provider.script = self._answer
        self.transport = Transport()
        self.rules = AlertRules(**{**fields_of(RULES), "urls": (f"{provider.url}/hook/s3cret",)})

    def _script(self, *_: Any) -> Any:
        return reply(500, {"message": "no"}) if self.fails else reply(200, None)

    def _answer(self, request: Received) -> Answer:
        self.received.append(json.loads(request.body))
        return Answer(self.status)

    def run(self, count: int = 2, *, fails: bool = True) -> None:
        self.fails = fails
        for _ in range(count):
            self.engine.start()
        self.engine.drain()

    def look(self, **later: float) -> list[tuple[str, str]]:
        """Check and send alerts some time later; return what has been received since."""
        self.engine.now += timedelta(**later or {"seconds": 15})
        self.received.clear()
        self.queue()
        self.send()
        return [(one["alert"], one["state"]) for one in self.received]

    def receivers(self) -> list[Receiver]:
        return receivers.known(self.engine.ctx, self.rules)

    def queue(self) -> None:
        watch.queue_messages(self.engine.ctx, self.rules, self.receivers())

    def send(self) -> None:
        send.send_due(self.engine.ctx, self.rules, self.receivers(), self.transport)


def fields_of(rules: AlertRules) -> dict[str, Any]:
    return {name: getattr(rules, name) for name in AlertRules.__slots__}
