"""How many connections to PostgreSQL all processes can take, as `check` says it."""

from pathlib import Path

import pytest

from inngest_py.cli.connections_taken import kinds
from inngest_py.config import Settings
from inngest_py.config_checks import pool_errors
from inngest_py.storage.db.pools import PoolSize, pool_size
from inngest_py.storage.operations import workers
from tests.engine.harness import prepared
from tests.pooler import pooled
from tests.servers import Postgres
from tests.unit.test_check import KEYS, checked, run

BROKER = "redis://localhost"


@pytest.mark.parametrize(
    ("slots", "kept", "most", "found"),
    [
        (1, None, None, PoolSize(5, 10)),
        (20, None, None, PoolSize(20, 40)),
        (200, None, None, PoolSize(40, 80)),
        (200, 60, None, PoolSize(60, 120)),
        (200, None, 8, PoolSize(8, 8)),
        (200, 2, 8, PoolSize(2, 8)),
    ],
)
def test_the_size_of_a_pool(
    slots: int, kept: int | None, most: int | None, found: PoolSize
) -> None:
    assert pool_size(slots, kept, most) == found


@pytest.mark.parametrize(
    ("kept", "most", "named"),
    [
        (0, None, "--db-pool"),
        (20_000, None, "--db-pool"),
        (None, 1, "--db-max"),
        (10, 5, "cannot keep 10"),
    ],
)
def test_bad_pools_name_the_flag(kept: int | None, most: int | None, named: str) -> None:
    [error] = pool_errors(kept, most)
    assert named in error
    assert error in Settings(database_pool=kept, database_max=most).errors()


def total(settings: Settings, *alive: tuple[str, int]) -> int:
    return sum(one.connections for one in kinds(settings, alive))


def test_processes_are_counted() -> None:
    settings = Settings(broker_url=BROKER, api_processes=4, workers=2)
    assert total(settings) == (4 + 2) * 80
    assert total(settings, ("gevent", 200), ("gevent", 10), ("threads", 1)) == 4 * 80 + 80 + 20 + 10
    assert total(Settings(broker_url=BROKER)) == 2 * 80
    assert total(Settings(broker_url=BROKER, workers=0)) == 80
    # one pool for each child of prefork, and one for their parent
    assert total(Settings(broker_url=BROKER), ("prefork", 4)) == 80 + 5 * 10
    assert total(Settings()) == 80
    assert total(Settings(broker_url=BROKER, database_max=10), ("prefork", 4)) == 10 + 5 * 10


def test_check_compares_with_the_server(migrated_postgres: str, postgres: Postgres) -> None:
    args = (*KEYS, "--database-url", migrated_postgres)
    fits = checked(*args, "--db-max", "60")
    assert "PostgreSQL lets in 197 connections" in fits.output
    assert "can take up to 60: 1 process with up to 60" in fits.output
    assert "connections are more" not in fits.output
    broker = ("--broker-url", "memory://")
    many = checked(*args, *broker, "--workers", "2", INNGEST_API_PROCESSES="3")
    assert "3 API processes with up to 240, 2 workers with up to 160" in many.output
    assert (
        "warning: 400 connections are more than the 197 of PostgreSQL: give each process at most 39"
    ) in many.output


def test_check_counts_workers_that_are_alive(postgres_url: str) -> None:
    database = prepared(postgres_url)
    now = database.clock.now()
    with database.transaction() as tx:
        for name in ("a", "b", "c"):
            values = {"id": name, "name": name, "host": "h", "pid": 1, "pool": "gevent"}
            values |= {"concurrency": 10, "started_at": now, "heartbeat_at": now}
            workers.put(tx, values | {"faults": None, "version": "1"})
    database.close()
    args = ("--database-url", postgres_url, "--broker-url", "memory://")
    assert "3 workers with up to 60" in checked(*KEYS, *args).output


def test_the_limit_of_the_role_or_the_database_counts(postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    run(postgres_url, f"ALTER DATABASE {name} CONNECTION LIMIT 9")
    said = checked(*KEYS, "--database-url", postgres_url).output
    assert "the database lets in 9 connections" in said
    assert "no schema" in said


def test_a_pooler_decides_for_itself(
    postgres: Postgres, migrated_postgres: str, tmp_path: Path
) -> None:
    with pooled(postgres, tmp_path, 4) as place:
        url = f"postgresql://postgres@{place}/{migrated_postgres.rpartition('/')[2]}"
        said = checked(*KEYS, "--database-url", url)
    assert (said.exit_code, "lets in" in said.output) == (0, False)
