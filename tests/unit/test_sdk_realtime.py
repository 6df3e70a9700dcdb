"""What apps import: no part of the server comes with it, and frames of all kinds are read."""

import subprocess
import sys
from typing import Any

import inngest
import pytest

from inngest_py.sdk import realtime
from inngest_py.sdk.realtime import messages

_SERVER = ("gevent", "celery", "kombu", "redis", "inngest_py.engine")
_HEAVY = ("flask", "sqlalchemy", "django", *_SERVER)


@pytest.fixture(scope="module")
def client() -> inngest.Inngest:
    """A client of a server that nobody asks."""
    return inngest.Inngest(app_id="tests", is_production=False)


def test_import_loads_no_part_of_the_server() -> None:
    modules = "checkpointing, outbox, realtime, steps, transactions"
    code = f"import sys; from inngest_py.sdk import {modules};"
    code += f"checkpointing(); print([m for m in {_HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "frame",
    ['{"kind": "closing"}', '{"kind": "ping"}', '{"kind": "sub"}', "[]", "3", "no JSON", b"\xff"],
)
def test_what_is_not_for_users_is_left_out(frame: str | bytes) -> None:
    assert messages.read(frame) is None


def test_message_without_most_fields() -> None:
    found = messages.read('{"kind": "run", "created_at": "yesterday"}')
    assert found == messages.Message("run", "", "", None, None, None, None)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda client: realtime.publish(client, "", "status", 1), "channel: a name must"),
        (lambda client: realtime.publish(client, "a", 3, 1), "topic: a name must"),
        (lambda client: realtime.publish(client, "a", "b", {1, 2}), "data must be JSON"),
        (lambda client: realtime.publish(client, "a", "b", float("nan")), "data must be JSON"),
        (lambda client: realtime.token(client, "a", "status"), "topics must be a list"),
        (lambda client: realtime.token(client, "a", []), "topics must have"),
        (lambda client: realtime.subscribe(client, "a", ["b", ""]), "topics: a name must"),
    ],
)
def test_names_and_data_are_checked(client: inngest.Inngest, call: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        call(client)
