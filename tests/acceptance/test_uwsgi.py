"""The API in uWSGI, which loads it before it forks."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests

from tests.metrics import value
from tests.processes import LOOPBACK, ROOT, Server, wait_until
from tests.servers import Valkey

# not imported: that would make a server of the tests' process
pytestmark = pytest.mark.skipif(not find_spec("pyuwsgi"), reason="pyuwsgi is not installed")
RUN = "import sys, pyuwsgi; pyuwsgi.run()"
ARGS = ("--master", "--processes", "2", "--need-app", "--module", "inngest_py.wsgi:app")
STOP = ("--hook-master-start", "unix_signal:15 gracefully_kill_them_all")


def uwsgi(*args: str, log: Path, env: dict[str, str]) -> Server:
    """Prepare the API as uWSGI serves it."""
    made = Server("api", log=log, env=env | {"PYTHONPATH": str(ROOT)})
    where = ("--http-socket", f"{LOOPBACK}:{made.port}")
    made.argv = [sys.executable, "-c", RUN, *where, *ARGS, *args]
    return made


def test_it_serves_in_threads(tmp_path: Path, postgres_url: str, valkey: Valkey) -> None:
    env = {"INNGEST_DEV": "1", "DATABASE_URL": postgres_url, "REDIS_URL": valkey.url}
    with uwsgi("--threads", "4", *STOP, log=tmp_path / "log", env=env).start() as server:

        def metric(name: str) -> float | None:
            return value(requests.get(f"{server.url}/metrics", timeout=10).text, name)

        wait_until(lambda: metric("inngest_api_processes") == 2, 30, "both processes")
        for _ in range(8):
            assert requests.post(f"{server.url}/e/key", json={"name": "a"}, timeout=10).ok
        assert {metric("inngest_events_accepted_total") for _ in range(6)} == {8}
        asked = {"Upgrade": "websocket", "Connection": "Upgrade"}
        refused = requests.get(f"{server.url}/v0/connect", headers=asked, timeout=10)
        assert (refused.status_code, "worker class gevent" in refused.text) == (501, True)
        server.terminate()
        assert server.log.read_text().count("server.stopping") == 2


def test_without_threads_it_says_so(tmp_path: Path) -> None:
    env = {"INNGEST_DEV": "1", "REDIS_URL": "redis://localhost"}
    server = uwsgi(log=tmp_path / "log", env=env)
    super(Server, server).start()
    wait_until(lambda: not server.running, 30, "it ends")
    assert "start it with --threads N" in server.log.read_text()
