"""One server of each kind and one app of each SDK for all scenarios."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import Server
from tests.servers import Postgres, Valkey

from .app_process import KINDS, SdkApp
from .client import Api
from .connect_worker import CONNECTED, ConnectWorker

SCENARIOS = (
    *("noop", "sequential", "parallel", "sleep", "large", "send"),
    *("retry", "function_retry", "no_retry", "retry_after", "failure", "caught"),
    *("wait", "wait_in_vain", "wait_timeout", "signal", "signal_timeout"),
    *("invoke", "invoke_by_id", "invoke_many", "invoke_fails", "invoke_timeout", "invoke_unknown"),
)


# with each server, one of these two: what they share with the others is tried with both
_COMMAND_OF = {"python-flask-checkpoints": "dev", "python-fastapi-checkpoints": "start"}


@dataclass(frozen=True)
class Sent:
    """An app and the event that each scenario was started with."""

    app: SdkApp | ConnectWorker
    api: Api
    event_ids: dict[str, str]


def _embedded(folder: Path) -> Server:
    args = ("--db", str(folder / "server.db"), "--no-discovery", "--no-poll")
    return Server("dev", *args, "--retry-interval", "1", log=folder / "server.log")


def _several(folder: Path, request: pytest.FixtureRequest) -> Server:
    postgres: Postgres = request.getfixturevalue("postgres")
    valkey: Valkey = request.getfixturevalue("session_valkey")
    urls = ("--database-url", postgres.create_database(), "--broker-url", valkey.url_of(1))
    env = {"INNGEST_RETRY_INTERVAL": "1", "INNGEST_DEV": "1"}
    return Server("start", *urls, "--workers", "2", log=folder / "server.log", env=env)


@pytest.fixture(scope="package", params=["embedded", "several"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server whose retries come after a second.

    Either one process on SQLite, or an API and two workers on PostgreSQL and Valkey.
    """
    folder: Path = tmp_path_factory.mktemp("server")
    made = _embedded(folder) if request.param == "embedded" else _several(folder, request)
    with made as server:
        yield server.start()


@pytest.fixture(scope="package", params=(*KINDS, *CONNECTED))
def app(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SdkApp | ConnectWorker]:
    """One SDK app, registered or connected."""
    kind: str = request.param
    if _COMMAND_OF.get(kind) not in (None, server.command):
        pytest.skip(f"{kind} is tried with the other server")
    if kind in CONNECTED:
        with ConnectWorker(server.url, tmp_path_factory.mktemp(kind), kind=kind).start() as worker:
            yield worker
        return
    with SdkApp(kind, server.url, tmp_path_factory.mktemp(kind)).start() as app:
        reply = app.register()
        assert reply.status_code == 200, f"{reply.text}\n{app.log_tail()}"
        yield app


@pytest.fixture(scope="package")
def sent(app: SdkApp | ConnectWorker, server: Server) -> Sent:
    """All scenarios of this app, started together: their waits overlap."""
    api = Api(server.url)
    events = {name: api.send(f"{app.kind}/{name}", {"n": 1}) for name in SCENARIOS}
    return Sent(app, api, events)
