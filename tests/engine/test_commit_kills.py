"""Greenlets that are killed while they lead a commit, follow or wait: the others continue."""

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import Connection

from inngest_py.engine.runtime import group_commit
from inngest_py.storage.db.session import Database
from tests.processes import wait_until


def test_killed_writers_wedge_nobody(db: Database) -> None:
    url = db.url.render_as_string(hide_password=False).replace("postgresql+psycopg2", "postgresql")
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.killed_commits", url],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Killed(BaseException):
    """What greenlets are killed with is no Exception either."""


class KilledWhenCalled(threading.Event):
    """The wait of somebody who is killed at the moment that the lead comes."""

    def wait(self, timeout: float | None = None) -> bool:
        assert super().wait(60), "the lead never came"
        raise Killed


def test_who_is_killed_as_its_turn_to_lead_comes_hands_it_on(db: Database) -> None:
    committer, go_on, began = group_commit.Committer(db), threading.Event(), threading.Event()
    done: list[str] = []

    def write_all(tx: Connection, keys: Sequence[str]) -> Sequence[str]:
        began.set()
        assert go_on.wait(60)
        return keys

    def write(key: str) -> None:
        done.append(committer.run(key, write_all, key))

    def be_killed() -> None:
        entry = group_commit._Entry("killed", write_all, "killed")
        entry.called = KilledWhenCalled()
        with pytest.raises(Killed):
            committer._join(entry)
        done.append("killed")

    threads: list[threading.Thread] = []

    def begin(work: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()

    begin(lambda: write("leader"))
    assert began.wait(60)
    begin(be_killed)
    wait_until(lambda: len(committer._waiting) == 1, 60)
    begin(lambda: write("next"))
    wait_until(lambda: len(committer._waiting) == 2, 60)
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == ["killed", "leader", "next"]
