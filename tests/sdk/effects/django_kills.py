"""`python -m tests.sdk.effects.django_kills URL`: kill steps of real SDK requests with Django.

Then what the same app does with an open transaction, with errors and in async code, as JSON lines.
"""

import asyncio
import json
import random
import re
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import inngest
from django.db import connection, connections, transaction
from django.db.backends.signals import connection_created

from inngest_py.sdk import outbox, transactions
from inngest_py.sdk.transactions import sweeping
from tests.processes import ROOT, wait_until

from .django_database import configure, execute, watched
from .killing import Points, every_point
from .receiver import Receiver
from .sdk_calls import App


def set_up(url: str) -> None:
    """Configure Django for the database, and make its tables."""
    configure(url)
    sweeping._ODDS = 0.0  # it would add points
    transactions.create_table("default")
    transactions.create_table("default")
    execute("CREATE TABLE effects (number BIGINT)")
    connections.close_all()


def effects() -> list[int]:
    """Read what the bodies wrote."""
    return [row[0] for row in execute("SELECT number FROM effects")]


def put() -> int:
    """Write a number, and return it."""
    number = random.getrandbits(30)
    execute("INSERT INTO effects (number) VALUES (%s)", number)
    return number


def _go(ctx: Any) -> Any:
    return transactions.transaction(ctx, "put", "default", put)


async def _go_async(ctx: Any) -> Any:
    return await transactions.transaction(ctx, "put", "default", put)


def _reset() -> None:
    execute("DELETE FROM effects")
    execute("DELETE FROM inngest_transactions")


def kill() -> None:
    """Kill the step at each of its points."""
    points, app = Points(), App(_go)

    def call(attempt: int = 0) -> Any:
        with watched(points):
            reply = app.call("run", attempt)
        points.passed("before the answer")
        return reply.result

    def retry() -> Any:
        return {"result": app.call("run", 1).result, "effects": effects()}

    every_point(points, _reset, call, retry)


def _error(reply: Any) -> str:
    found = reply.body if isinstance(reply.body, dict) else reply.step["error"]
    return str(found["message"])


def others() -> None:
    """Report what is refused, and what async code gets."""
    found: dict[str, Any] = {}
    _reset()
    with transaction.atomic():
        found["open"] = _error(App(_go).call("run"))
    found["unknown"] = _error(App(_elsewhere).call("run"))
    found["left"] = effects()
    app = App(_go_async)
    found["async"] = [asyncio.run(app.call_async("run", attempt)).result for attempt in (0, 1)]
    found["effects"] = effects()
    found |= _outbox()
    execute("DROP TABLE inngest_transactions")
    found["missing"] = _error(App(_go).call("run", 1))
    _migrate()
    found["migrated"] = App(_go).call("run", 2).result in effects()
    print(json.dumps(found), flush=True)


def _migrate() -> None:
    """Apply the migration of docs/python.md, with the SQL of this database."""
    text = (ROOT / "docs" / "python.md").read_text()
    code = re.search(r"```python\n(from django.db import migrations.*?)```", text, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {"__name__": "page"}
    exec(code[1].replace('"postgresql"', repr(connection.vendor)), names)
    (operation,) = names["Migration"].operations
    with connection.schema_editor() as editor:
        operation.database_forwards("shop", editor, None, None)


def _outbox() -> dict[str, Any]:
    """Send events in `atomic()`, and relay them in a thread."""
    receiver = Receiver()
    made = inngest.Inngest(app_id="tests", is_production=False, event_api_base_url=receiver.url)
    outbox.create_table("default")
    try:
        outbox.send("default", inngest.Event(name="a", data={"n": 0}))
        told = ""
    except ValueError as error:
        told = str(error)
    opened: list[str] = []

    def note(**_arguments: Any) -> None:
        opened.append(threading.current_thread().name)

    connection_created.connect(note)
    with outbox.Relay("default", made, poll=timedelta(hours=1)) as relay:
        with suppress(KeyError), transaction.atomic():
            outbox.send("default", inngest.Event(name="a", data={"n": 1}), key="k")
            raise KeyError
        with transaction.atomic():
            for n in (2, 3):
                outbox.send("default", inngest.Event(name="a", data={"n": n}), key="k")
        wait_until(lambda: relay.sent == 2, 20, "the events are sent")
    receiver.close()
    connection_created.disconnect(note)
    waiting = outbox.status("default").waiting
    relays = [name for name in opened if name == "inngest-outbox"]
    return {
        "outside": told,
        "sent": receiver.places(),
        "waiting": waiting,
        "connections": len(relays),
    }


def _elsewhere(ctx: Any) -> Any:
    return transactions.transaction(ctx, "put", "replica", put)


if __name__ == "__main__":
    set_up(sys.argv[1])
    kill()
    others()
