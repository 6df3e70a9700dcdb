"""Another process writes SQLite's file for long: greenlets and threads wait, hubs do not."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from inngest_py.storage.db import deadlines, sqlite_writer
from inngest_py.storage.db.outages import Fault, NoAnswer, fault, outage, public_message
from inngest_py.storage.db.session import Database
from tests.processes import ROOT

GREENLETS = """
from gevent import monkey
monkey.patch_all()
import sys, time, gevent
from sqlalchemy import text
from inngest_py.storage.db.session import Database

def write():
    with db.transaction() as tx:
        tx.execute(text("INSERT INTO numbers VALUES (1)"))

def read():
    with db.reading() as tx:
        return tx.execute(text("SELECT count(*) FROM numbers")).scalar_one()

def ticks():
    while True:
        seen.append(time.monotonic())
        gevent.sleep(0.02)

seen = []
db = Database(sys.argv[1])
read()
gevent.spawn(ticks)
writers = [gevent.spawn(write) for _ in range(3)]
while len(seen) < 50:
    gevent.sleep(0.02)
    assert read() == 0, "readers do not wait"
assert not any(writer.ready() for writer in writers)
assert max(b - a for a, b in zip(seen, seen[1:])) < 0.9, "no greenlet is blocked"
print("waits", flush=True)
gevent.joinall(writers, raise_error=True)
assert read() == 3
print("done", flush=True)
"""


def test_greenlets_keep_running_while_another_process_writes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    other = Database(url)
    with other.transaction() as tx:
        tx.execute(text("CREATE TABLE numbers (n int)"))
    with subprocess.Popen(
        [sys.executable, "-c", GREENLETS, url], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        with other.transaction():
            assert child.stdout.readline().strip() == "waits"
        assert child.stdout.readline().strip() == "done"
        assert child.wait(30) == 0
    other.close()


def test_writer_that_waits_too_long_fails_as_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "_BUSY_SECONDS", 0.1)
    url = f"sqlite:///{tmp_path / 'x.db'}"
    holder, other = Database(url), Database(url)
    with holder.transaction():
        with pytest.raises(OperationalError) as caught, other.transaction():
            pass
        assert fault(caught.value) is Fault.BUSY
    with other.transaction():
        pass
    for db in (holder, other):
        db.close()


def test_request_gives_up_at_its_deadline_behind_another_writer(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'x.db'}")
    inside, over = threading.Event(), threading.Event()

    def write() -> None:
        with db.transaction():
            inside.set()
            assert over.wait(30)

    worker = threading.Thread(target=write)
    worker.start()
    assert inside.wait(30)
    try:
        with pytest.raises(NoAnswer) as caught, deadlines.within(0.2), db.transaction():
            pass
    finally:
        over.set()
        worker.join()
    assert outage(caught.value)
    assert public_message(caught.value) == "the database does not answer in time"
    with deadlines.within(30), db.transaction():
        pass
    db.close()
