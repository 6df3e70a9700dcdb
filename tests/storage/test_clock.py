"""Machines whose clocks differ go by the database's, and do not take over live leases."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.cli import check as checking
from inngest_py.cli import cli
from inngest_py.engine.runtime.context import Context, Leases
from inngest_py.engine.upkeep import lease_keeping as upkeep
from inngest_py.engine.work import claims
from inngest_py.storage.db.clock import Clock, wall_clock
from inngest_py.storage.db.session import Database
from tests.engine.harness import Engine, opened, sequence
from tests.factories import NOW
from tests.servers import Postgres

MINUTE = timedelta(minutes=1)
SMALL = st.timedeltas(min_value=timedelta(0), max_value=timedelta(milliseconds=400))
SKEWS = st.timedeltas(min_value=-60 * MINUTE, max_value=60 * MINUTE)


@given(SKEWS, SMALL, SMALL)
def test_measured_skew_is_exact_to_the_time_of_the_measurement(
    skew: timedelta, there: timedelta, back: timedelta
) -> None:
    clock = Clock(lambda: NOW)
    clock.compare(NOW, NOW + there + skew, NOW + there + back)
    assert abs(clock.skew - skew) <= there + back + timedelta(milliseconds=100)
    before = clock.skew
    clock.compare(NOW, NOW + there + skew, NOW + there + back)
    assert clock.skew == before, "a measurement that agrees changes nothing"


def test_slow_measurement_is_ignored() -> None:
    clock = Clock(lambda: NOW)
    clock.compare(NOW, NOW + MINUTE, NOW + 3 * MINUTE)
    assert clock.skew == timedelta(0)


@pytest.fixture
def url(postgres: Postgres, migrated_postgres: str) -> Iterator[str]:
    made = postgres.create_database(like=migrated_postgres)
    yield made
    postgres.drop_database(made)


def machine(url: str, off: timedelta) -> Database:
    """Open the database on a machine whose clock is off."""
    db = opened(url)
    db.clock.wall = lambda: wall_clock() + off
    return db


def context(engine: Engine, db: Database) -> Context:
    engine.ctx.db = db
    engine.ctx.clock = db.clock.now
    engine.ctx.leases = Leases()
    return engine.ctx


@pytest.mark.parametrize(("holder", "looker"), [(-MINUTE, MINUTE), (MINUTE, -MINUTE)])
def test_machine_with_another_clock_does_not_take_over_live_leases(
    url: str, holder: timedelta, looker: timedelta
) -> None:
    mine, others = machine(url, holder), machine(url, looker)
    engine = Engine(mine, sequence("a"))
    ctx = context(engine, mine)
    engine.now = mine.clock.now()
    engine.start()
    ((_, item_id),) = engine.hinted.hints
    assert claims.claim(ctx, [item_id])
    assert abs(mine.clock.skew + holder) < timedelta(seconds=5)
    other = context(Engine(others, sequence("a")), others)
    upkeep.Lapsed().run_once(other)
    with mine.reading() as tx:
        state = tx.exec_driver_sql("SELECT state, lease_until FROM queue_items").one()
    assert state.state == "leased"
    left = state.lease_until - wall_clock()
    assert timedelta(0) < left <= ctx.tuning.lease + timedelta(seconds=5)
    for db in (mine, others):
        db.close()


def test_check_reports_a_clock_that_is_off(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "Database", lambda *_, **__: machine(url, -MINUTE))
    done = CliRunner().invoke(cli, ["check", "--dev", "--database-url", url])
    assert "this machine's clock is 60.0 s behind the database's" in done.output
