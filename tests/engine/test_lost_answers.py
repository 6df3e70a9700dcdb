"""A connection that is lost during a COMMIT: the write is made once, and its caller gets it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from inngest_py.domain.access.roles import CLAIM
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.runs import metadata
from inngest_py.domain.runs.runs import RunStatus
from inngest_py.engine.admin.rerun import rerun
from inngest_py.engine.intake import invoke, publish
from inngest_py.engine.intake.waits import signal
from inngest_py.engine.runtime.audit import Actor
from inngest_py.engine.work import metadata as annotate
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.commit_outcomes import was_committed
from inngest_py.storage.db.session import Database
from tests.api.conftest import Service
from tests.api.test_endpoints import RUN, add, begin, ran
from tests.databases import copied
from tests.engine.harness import Engine, sequence
from tests.engine.test_checkpoint import App, complete
from tests.engine.waiting import for_signal, waits
from tests.factories import op
from tests.servers import Postgres
from tests.tcp import Wire

BY = Actor("ann")


@dataclass
class Cut:
    """A database behind a wire that is cut once, at the next COMMIT."""

    db: Database
    wire: Wire

    def next_commit(self) -> None:
        self.wire.cuts = b"COMMIT"

    def count(self, table: str) -> int:
        assert self.wire.cuts is None, "nothing was cut"
        with self.db.reading() as tx:
            found = tx.exec_driver_sql(f"SELECT count(*) FROM {table}")
            return int(found.scalar_one())


@pytest.fixture(params=[True, False], ids=["after the commit", "before the commit"])
def cut(request: pytest.FixtureRequest, postgres: Postgres, tmp_path: Path) -> Iterator[Cut]:
    with copied(request, "postgresql", tmp_path) as made, Wire(postgres.port) as wire:
        db = Database(wire.url(made.url.render_as_string(hide_password=False)))
        wire.answered = request.param
        yield Cut(db, wire)
        db.close()


def test_events_are_stored_once(cut: Cut) -> None:
    service = Service(cut.db)
    cut.next_commit()
    sent = service.send({"name": "a/b", "data": {}})
    assert (sent.status_code, len(sent.json["ids"])) == (200, 1)
    assert (cut.count("events"), cut.count("runs")) == (1, 1)


def test_events_of_an_operator_are_stored_once(cut: Cut) -> None:
    service = Service(cut.db)
    cut.next_commit()
    sent = service.client.post(
        "/api/v1/events", json={"name": "a/b", "data": {}}, headers={CLAIM: "ann"}
    )
    assert sent.status_code == 200, sent.text
    assert (cut.count("events"), cut.count("runs"), cut.count("audit")) == (1, 1, 1)


def test_hints_for_an_operators_events_are_sent(cut: Cut) -> None:
    engine = Engine(cut.db, sequence())
    cut.next_commit()
    publish.send(engine.ctx, [engine.event()], BY)
    engine.drain()
    assert cut.count("runs WHERE status = 'completed'") == 1


def test_run_is_rerun_once(cut: Cut) -> None:
    engine = Engine(cut.db, sequence())
    run_id = engine.start()
    cut.next_commit()
    again = rerun(engine.ctx, run_id, by=BY)
    assert (cut.count("runs"), cut.count("audit")) == (2, 1)
    engine.drain()
    assert engine.run(again)["status"] == "completed"


@pytest.mark.parametrize("key", [None, "k"])
def test_a_function_is_invoked_once(cut: Cut, key: str | None) -> None:
    engine = Engine(cut.db, sequence())
    cut.next_commit()
    done = invoke.invoke(engine.ctx, "app-fn", {"data": {}}, 2, idempotency_key=key, by=BY)
    assert done.run_id is not None
    assert (cut.count("runs"), cut.count("events"), cut.count("audit")) == (1, 1, 1)


def test_cancel_says_that_it_cancelled_the_run(cut: Cut) -> None:
    engine = Engine(cut.db, sequence())
    run_id = engine.start()
    cut.next_commit()
    assert cancel(engine.ctx, run_id, BY) is RunStatus.QUEUED
    assert cut.count("audit") == 1
    assert engine.run(run_id)["status"] == "cancelled"


def test_signal_returns_the_run_that_waited(cut: Cut) -> None:
    engine = Engine(cut.db, waits(for_signal()))
    run_id = engine.start()
    engine.drain()
    cut.next_commit()
    assert signal(engine.ctx, "sig", 1) == run_id
    engine.drain()
    assert engine.run(run_id)["status"] == "completed"


def test_a_bulk_cancellation_is_stored_once(cut: Cut) -> None:
    service = Service(cut.db)
    before = service.engine.now - timedelta(minutes=1)
    body = {"app_id": "app", "function_id": "fn", "started_before": before.isoformat()}
    cut.next_commit()
    made = service.client.post("/v1/cancellations", json=body)
    assert made.status_code < 300, made.text
    assert (cut.count("cancellations"), cut.count("audit")) == (1, 1)


def test_number_in_metadata_is_added_once(cut: Cut) -> None:
    engine = Engine(cut.db, sequence())
    run_id = engine.start()
    added = metadata.Update("n", metadata.UpdateOp.ADD, {"x": 1})
    cut.next_commit()
    annotate.annotate(engine.ctx, run_id, [(metadata.Target(), added)])
    assert cut.count("run_metadata WHERE content = '{\"x\":1}'") == 1


def test_a_run_of_an_endpoint_begins_once(cut: Cut) -> None:
    service = Service(cut.db)
    assert begin(service, run_id=RUN[:-1] + "6").status_code == 200  # its function is there now
    cut.next_commit()
    assert begin(service, ran("a")).status_code == 200
    waiting = op("Sleep", "s", name="1h")
    cut.next_commit()
    assert add(service, waiting).status_code == 200
    assert cut.count("runs") == 2


def test_repeated_sync_is_no_error(cut: Cut) -> None:
    engine = Engine(cut.db, sequence())
    cut.next_commit()
    engine.register(retries=5)
    assert cut.count("functions WHERE version = 2") == 1


def test_a_checkpoint_is_stored_once(cut: Cut) -> None:
    def handler(request: dict[str, Any]) -> Reply:
        cut.next_commit()
        app.save(request, ran("a"))
        return complete()

    app = App(cut.db, handler)
    run_id = app.engine.start()
    app.engine.drain()
    run = app.engine.run(run_id)
    assert (run["status"], run["step_count"]) == ("completed", 1)
    assert cut.count("steps") == 1


def test_an_id_that_was_never_given_out_is_no_commit(postgres_url: str) -> None:
    db = Database(postgres_url)
    assert not was_committed(db, str(2**40))
    db.close()
