"""What apps import: no part of the server comes with it, and frames of all kinds are read."""

import subprocess
import sys

import pytest

from inngest_py.sdk.realtime import messages

_HEAVY = ("flask", "sqlalchemy", "gevent", "celery", "kombu", "redis", "inngest_py.engine")


def test_import_loads_no_part_of_the_server() -> None:
    code = f"import sys, inngest_py.sdk.realtime; print([m for m in {_HEAVY} if m in sys.modules])"
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
