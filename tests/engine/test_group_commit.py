"""What a group commit promises when writers die, fail, give up, crowd or lose the database."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from gevent import monkey
from sqlalchemy import Connection, text

from inngest_py import observe
from inngest_py.domain.errors import LeaseLost
from inngest_py.engine.runtime import group_commit
from inngest_py.storage.db.outages import NoAnswer
from inngest_py.storage.db.session import Database
from tests.databases import copied
from tests.engine.commits import WAIT, Commits, Gate, Killed, fail_as, kill, once
from tests.engine.test_commit import refuse
from tests.processes import wait_until
from tests.servers import Postgres
from tests.tcp import Wire

FOLLOWERS = ["c", "a", "d", "b"]


def test_writes_of_a_killed_leader_are_made_by_the_next_without_its_own(db: Database) -> None:
    commits = Commits(db)
    commits.acts["leader"] = kill
    with commits.held():
        commits.begin("leader", *FOLLOWERS)
    commits.end()
    assert isinstance(commits.outcomes["leader"], Killed)
    assert commits.done() == commits.stored() == {"first", *FOLLOWERS}
    assert commits.batches == [["first"], ["leader", *FOLLOWERS], FOLLOWERS]


def test_killed_follower_that_still_waits_is_not_written(db: Database) -> None:
    commits, now = Commits(db), Gate()
    with commits.held():
        commits.begin_stopping("killed", now.reached, killed=True)
        commits.begin(*FOLLOWERS)
        now.reached.set()
        wait_until(lambda: "killed" in commits.outcomes, WAIT, "the follower dies")
    commits.end()
    assert commits.done() == commits.stored() == {"first", *FOLLOWERS}
    assert commits.batches == [["first"], FOLLOWERS]


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "out of time"])
def test_follower_that_stops_waiting_in_a_commit_is_written_with_it(
    db: Database, killed: bool
) -> None:
    commits = Commits(db)
    inside = commits.acts["leader"] = Gate()
    with commits.held():
        commits.begin("leader")
        commits.begin_stopping("gone", inside.reached, killed=killed)
        commits.begin("next")
    wait_until(lambda: "gone" in commits.outcomes, WAIT, "the follower stops")
    inside.opened.set()
    commits.end()
    assert isinstance(commits.outcomes["gone"], Killed if killed else NoAnswer)
    assert commits.done() == {"first", "leader", "next"}
    assert commits.stored() == {"first", "leader", "gone", "next"}


def test_lead_passes_over_a_follower_that_has_stopped_waiting(db: Database) -> None:
    """The leader is killed after its follower: nobody is left who could write for that one."""
    commits, inside = Commits(db), Gate()

    def die(tx: Connection) -> None:
        inside(tx)
        raise Killed

    commits.acts["leader"] = die
    with commits.held():
        commits.begin("leader")
        commits.begin_stopping("gone", inside.reached, killed=True)
        commits.begin("next")
    wait_until(lambda: "gone" in commits.outcomes, WAIT, "the follower dies")
    inside.opened.set()
    commits.end()
    assert commits.done() == commits.stored() == {"first", "next"}


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "out of time"])
def test_follower_that_stops_as_the_lead_comes_passes_it_on(db: Database, killed: bool) -> None:
    commits = Commits(db)
    with commits.held():
        commits.begin_stopping("gone", killed=killed)
        commits.begin("next")
    commits.end()
    assert commits.done() == commits.stored() == {"first", "next"}


def test_writer_that_is_out_of_time_leaves_the_others_and_is_not_written(db: Database) -> None:
    commits = Commits(db)
    with commits.held():
        commits.begin("late", within=0.2)
        commits.begin("next")
        wait_until(lambda: "late" in commits.outcomes, WAIT, "the writer gives up")
        assert isinstance(commits.outcomes["late"], NoAnswer)
    commits.end()
    assert commits.done() == commits.stored() == {"first", "next"}


def test_if_one_fails_it_alone_is_told(db: Database) -> None:
    commits = Commits(db)
    commits.acts["bad"] = fail_as(LeaseLost())
    with commits.held():
        commits.begin("c", "bad", "a")
    commits.end()
    assert isinstance(commits.outcomes["bad"], LeaseLost)
    assert commits.done() == commits.stored() == {"first", "c", "a"}
    assert commits.batches == [["first"], ["c", "bad", "a"], ["c"], ["bad"], ["a"]]


def test_if_all_fail_each_is_told_its_own_error_and_later_writers_succeed(db: Database) -> None:
    commits, errors = Commits(db), {name: ValueError(name) for name in FOLLOWERS}
    commits.acts |= {name: fail_as(error) for name, error in errors.items()}
    with commits.held():
        commits.begin(*FOLLOWERS)
    commits.end()
    assert {name: commits.outcomes[name] for name in FOLLOWERS} == errors
    commits.begin("after")
    commits.end()
    assert commits.done() == commits.stored() == {"first", "after"}


def lose_connection(tx: Connection) -> None:
    tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_outage_in_the_middle_of_a_commit_loses_and_doubles_nothing(db: Database) -> None:
    """Each writer waits by itself and tries again, until the database takes writes."""
    commits, tries = Commits(db), []

    def away(tx: Connection) -> None:
        tries.append(1)
        if len(tries) < 8:
            (refuse if db.is_sqlite else lose_connection)(tx)

    commits.acts |= dict.fromkeys(FOLLOWERS, away)
    with commits.held():
        commits.begin(*FOLLOWERS, within=float("inf"))
    commits.end()
    assert commits.done() == commits.stored() == {"first", *FOLLOWERS}
    assert not db.outage.seen, "the outage is over"


@pytest.mark.parametrize("committed", [True, False], ids=["after COMMIT", "before COMMIT"])
def test_connection_that_is_lost_at_commit_loses_and_doubles_nothing(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path: Path, committed: bool
) -> None:
    with copied(request, "postgresql", tmp_path) as made, Wire(postgres.port) as wire:
        db = Database(wire.url(made.url.render_as_string(hide_password=False)))
        wire.answered = committed
        commits = Commits(db, again=True)
        commits.acts["c"] = once(lambda _tx: setattr(wire, "cuts", b"COMMIT"))
        with commits.held():
            commits.begin(*FOLLOWERS, within=float("inf"))
        commits.end()
        assert wire.cuts is None, "the connection was cut"
        assert commits.done() == commits.stored() == {"first", *FOLLOWERS}
        db.close()


@pytest.mark.parametrize("fault", ["none", "killed leader", "failed write"])
def test_writes_of_a_run_are_committed_in_the_order_of_their_arrival(
    db: Database, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(group_commit, "_MOST_TOGETHER", 4)
    commits, arrived = Commits(db), ["g", "c", "a", "f", "b", "e", "d", "h", "i"]
    if fault != "none":
        commits.acts["g"] = kill if fault == "killed leader" else fail_as(LeaseLost())
    with commits.held():
        commits.begin(*arrived)
    commits.end()
    final = {name: number for number, names in enumerate(commits.batches) for name in names}
    places = {name: (final[name], commits.batches[final[name]].index(name)) for name in arrived}
    assert sorted(arrived[1:], key=lambda name: places[name]) == arrived[1:]
    assert commits.done() == commits.stored() == {"first", *arrived[fault != "none" :]}


def test_commit_has_a_bounded_size_and_the_order_of_its_keys(db: Database) -> None:
    commits, names = Commits(db), [f"{number:03}" for number in range(150)]
    with commits.held():
        for name in names[::-1]:
            commits.begin(name, run=name)
    commits.end()
    assert [len(batch) for batch in commits.batches] == [1, 64, 64, 22]
    assert all(batch == sorted(batch) for batch in commits.batches), "one lock order"
    assert commits.done() == commits.stored() == {"first", *names}


@pytest.mark.parametrize(
    ("others", "waiter"), [("small", "small"), ("small", "big"), ("big", "small")]
)
def test_nobody_waits_longer_because_others_keep_coming(
    db: Database, monkeypatch: pytest.MonkeyPatch, others: str, waiter: str
) -> None:
    """Six are ahead and four fit into a commit, so the third commit at the latest is its own."""
    monkeypatch.setattr(group_commit, "_MOST_TOGETHER", 4)
    commits, names = Commits(db), iter(range(1000))

    def crowd(_tx: Connection | None = None) -> None:
        if not any("waiter" in batch for batch in commits.batches):
            come = [str(next(names)) for _ in range(6)]
            commits.acts[come[0]] = commits.acts[come[-1]] = once(crowd)
            commits.begin(*come, kind=others)

    with commits.held(others):
        crowd()
        commits.begin("waiter", kind=waiter)
        crowd()
    commits.end()
    place = next(n for n, batch in enumerate(commits.batches) if "waiter" in batch)
    assert place <= 3, commits.batches
    assert commits.done() == commits.stored() == set(commits.outcomes)


def test_exception_after_the_commit_stops_nobody(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    def listener(name: str, _fields: object) -> None:
        heard.append(name)
        raise RuntimeError("of a listener")

    monkeypatch.setattr(observe, "_watchers", [listener])
    commits = Commits(db)
    commits.acts |= {name: lambda _tx: observe.event("run.ended") for name in FOLLOWERS}
    with commits.held():
        commits.begin(*FOLLOWERS)
    commits.end()
    assert heard.count("run.ended") == len(FOLLOWERS), "each is told once"
    assert commits.done() == commits.stored() == {"first", *FOLLOWERS}


def test_writers_that_wait_end_well_if_the_database_is_closed_meanwhile(db: Database) -> None:
    """A process that stops closes its pool, whatever still has a connection."""
    commits = Commits(db)
    with commits.held():
        commits.begin(*FOLLOWERS)
        db.close()
    commits.end()
    assert commits.done() == commits.stored() == {"first", *FOLLOWERS}


def pytest_under_gevent(arguments: Sequence[str]) -> str:
    code = (
        "from gevent import monkey; monkey.patch_all(); import sys, pytest;"
        " sys.exit(pytest.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-q", "-p", "no:cacheprovider", *arguments],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(monkey.is_module_patched("threading"), reason="these are greenlets already")
def test_all_of_this_holds_for_greenlets() -> None:
    assert " passed, 1 skipped" in pytest_under_gevent([__file__])
