"""What is stored of a worker's connection is what it is."""

import threading
from typing import Any

import pytest

from inngest_py.api.gateway import session
from inngest_py.api.gateway.load import Load
from inngest_py.domain.connect.actions import Status
from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind
from inngest_py.engine.connect import apps
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import worker_list
from tests.api.raw_workers import frame
from tests.api.test_connect_bounds import Worker
from tests.engine.harness import Engine, sequence
from tests.processes import wait_until

# for the second transaction to overtake the first
_SLOW_SECONDS = 0.5


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
def test_a_slow_transaction_does_not_undo_a_later_status(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of the TypeScript SDK says by itself that it is ready, right after it may."""
    first, second, written = threading.Event(), threading.Event(), list[Status]()

    def note(ctx: Any, connection_id: str, status: Status, reason: str) -> None:
        is_first = not first.is_set()
        first.set()
        if is_first:
            second.wait(_SLOW_SECONDS)
        store(ctx, connection_id, status, reason)
        written.append(status)
        if not is_first:
            second.set()

    store = apps.note_status
    monkeypatch.setattr(session.apps, "note_status", note)
    worker = Worker(Engine(db, sequence()), Load())
    worker.introduced(1, worker_manual_readiness_ack=True)
    assert first.wait(30)
    worker.send(frame(Kind.WORKER_READY))
    wait_until(lambda: len(written) == 2, 30, "both were written")
    with db.reading() as tx:
        assert [row["status"] for row in worker_list.connections(tx)] == [Status.READY.value]
    worker.close()
