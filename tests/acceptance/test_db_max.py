"""API and worker with few connections to PostgreSQL: all runs end, and never are there more."""

from pathlib import Path

import psycopg2

from tests.endpoint import Endpoint, send, statuses
from tests.processes import Server, Tool, wait_until
from tests.servers import Postgres, Valkey

RUNS = 40
MOST = 2  # of each process


def test_a_process_never_takes_more(postgres: Postgres, valkey: Valkey, tmp_path: Path) -> None:
    url = postgres.create_database()
    env = {"DATABASE_URL": url, "REDIS_URL": valkey.url, "INNGEST_DEV": "1"}
    small = env | {"INNGEST_DATABASE_MAX": str(MOST)}
    api = Server("api", "--db-max", str(MOST), log=tmp_path / "api", env=env)
    looking = psycopg2.connect(url)
    looking.autocommit = True
    seen = set[int]()

    def done() -> bool:
        with looking.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'inngest-py'"
                " AND datname = current_database()"
            )
            seen.add(cursor.fetchone()[0])
        return statuses(api.url) == {"completed": RUNS}

    with Endpoint() as endpoint, api, Tool("worker", log=tmp_path / "w", env=small) as worker:
        api.start()
        endpoint.register(api.url)
        worker.start()
        for _ in range(RUNS):
            send(api.url)
        wait_until(done, 90, "all runs")
    looking.close()
    assert 2 <= max(seen) <= 2 * MOST
    assert "outage" not in (tmp_path / "w").read_text()
