"""An outage of PostgreSQL is logged in the driver's own words, without a secret of the URL."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests

from tests.processes import LOOPBACK, Process, Server, Tool, wait_until
from tests.servers import Postgres, Valkey
from tests.tls import TlsFront, certificate

PASSWORD = "s3cret-of-the-url"
CONNECTIONS = 12


class Refused:
    """A PostgreSQL that is stopped."""

    words = "Connection refused"

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        self.postgres = postgres
        self.url = f"postgresql://postgres:{PASSWORD}@{LOOPBACK}:{postgres.port}/postgres"

    def begin(self) -> None:
        self.postgres.stop()

    def keep_up(self) -> bool:
        """Keep the outage up, and return True; called repeatedly while it lasts."""
        return True

    def end(self) -> None:
        self.postgres.start()


class WrongPassword(Refused):
    """A PostgreSQL whose password is not the one in the URL."""

    words = "password authentication failed for user"

    def begin(self) -> None:
        wait_until(self._demands, 20, "a free connection")

    def _demands(self) -> bool:
        try:
            self.postgres.demand("another password")
        except psycopg2.OperationalError:  # the server has all connections just now
            return False
        return True

    def end(self) -> None:
        self.postgres.demand(None)


class Crowded(Refused):
    """A PostgreSQL without free connections."""

    words = "too many clients already"

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        super().__init__(postgres, folder)
        self._held: list[Any] = []

    def begin(self) -> None:
        self.keep_up()

    def keep_up(self) -> bool:
        """Take all free connections, and cut off those of others."""
        with suppress(psycopg2.OperationalError):
            while len(self._held) < CONNECTIONS:
                self._held.append(psycopg2.connect(self.postgres.url()))
                self._held[-1].autocommit = True
        if not self._held:  # the server was quicker; another try comes
            return True
        with self._held[0].cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'inngest-py'"
            )
        return True

    def end(self) -> None:
        while self._held:
            self._held.pop().close()


class Untrusted(Refused):
    """A PostgreSQL whose certificate is not signed by a trusted authority."""

    words = "certificate verify failed"

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        super().__init__(postgres, folder)
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        self._trusted, self._other = (certificate(folder, name) for name in ("trusted", "other"))
        self._front = TlsFront(postgres.port, self._trusted).__enter__()
        self.url = (
            f"postgresql://postgres:{PASSWORD}@{LOOPBACK}:{self._front.port}/postgres"
            f"?sslmode=verify-full&sslrootcert={folder / 'trusted.crt'}"
        )

    def begin(self) -> None:
        self._front.show(self._other)

    def end(self) -> None:
        self._front.show(self._trusted)


@pytest.fixture(params=[Refused, WrongPassword, Crowded, Untrusted])
def outage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Refused]:
    postgres = Postgres(max_connections=CONNECTIONS, durable=False).start()
    try:
        yield request.param(postgres, tmp_path)
    finally:
        postgres.close()


def errors(process: Process, since: int = 0) -> list[tuple[str, str]]:
    """List the log events with an error of a process, each with its text."""
    lines = [json.loads(line) for line in process.log.read_text().splitlines()[since:]]
    return [(line["event"], str(line["error"])) for line in lines if "error" in line]


def lines(process: Process) -> int:
    return len(process.log.read_text().splitlines())


def tells(outage: Refused, process: Process, *events: str, since: int = 0) -> Callable[[], bool]:
    """Make the condition that one of the events was logged with the driver's words."""

    def told() -> bool:
        found = [error for event, error in errors(process, since) if event in events]
        return outage.keep_up() and any(outage.words in error for error in found)

    return told


def test_outage_is_logged_in_the_words_of_the_driver(
    outage: Refused, valkey: Valkey, tmp_path: Path
) -> None:
    """Slow: two processes start, and look for their database only every few seconds."""
    env = {
        "DATABASE_URL": outage.url,
        "REDIS_URL": valkey.url,
        "INNGEST_DEV": "1",
        "INNGEST_JSON_LOGS": "1",
        "INNGEST_CONCURRENCY": "2",
    }
    api, worker = (
        Server("api", log=tmp_path / "api", env=env),
        Tool("worker", log=tmp_path / "worker", env=env),
    )
    with ExitStack() as stack:
        outage.begin()
        for process in (api, worker):
            stack.enter_context(process)
            Process.start(process)
        for process in (api, worker):
            process.wait_ready(tells(outage, process, "database.wait"))
        outage.end()
        api.wait_ready(lambda: api.healthy)
        worker.wait_ready(lambda: "worker.ready" in worker.log.read_text())
        before = {process: lines(process) for process in (api, worker)}
        outage.begin()
        assert_refused(outage, api)
        for event in ("api.database", "database.away"):
            wait_until(tells(outage, api, event, since=before[api]), 30, f"the API's {event}")
        told = tells(outage, worker, "database.away", "upkeep.away", since=before[worker])
        wait_until(told, 40, f"the worker's line\n{worker.log_tail()}")
        outage.end()
        wait_until(lambda: api.healthy, 40, "health")
        for process in (api, worker):
            assert PASSWORD not in process.log.read_text()
            named = [each for each in errors(process) if each[1].endswith("Error")]
            assert not named, "a class's name says nothing"


def assert_refused(outage: Refused, api: Server) -> None:
    """Send events until one gets its 503, which has neither the driver's words nor a secret."""

    def refused() -> str:
        outage.keep_up()
        answer = requests.post(f"{api.url}/e/key", json={"name": "a/b"}, timeout=30)
        return answer.text if answer.status_code == 503 else ""

    said = wait_until(refused, 40, "a 503")
    assert "try again" in said
    assert PASSWORD not in said
    assert LOOPBACK not in said
