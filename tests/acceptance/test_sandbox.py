"""What the units of systemd and the pods of Kubernetes forbid is not needed.

Server and worker run on a file system that they cannot write, except for one folder, without
capabilities, memory that is writable and executable, and the system calls that the units leave out.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.endpoint import STEPS, Endpoint, send, statuses
from tests.processes import ROOT, Process, Server, wait_until
from tests.servers import Valkey

UNITS = ROOT / "docker" / "systemd"
_READ_ONLY = (
    'set -e; mount --make-rprivate /; mount --bind "$1" "$1"; mount -o remount,bind,ro /;'
    ' shift; exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"'
)
_CHANGES_TOO_MUCH = "import os, sys; open('/etc/probe', 'w') if sys.argv[1:] else os.nice(1)"

Shut = Callable[..., list[str]]


@pytest.fixture
def shut_in(tmp_path: Path) -> Shut:
    """Return what writes a command that runs another, as its unit would."""

    def made(unit: str, *command: str) -> list[str]:
        inside = ["unshare", "--mount", "sh", "-c", _READ_ONLY, "sh", str(tmp_path)]
        return [*inside, sys.executable, "-m", "tests.shut_in", str(UNITS / unit), *command]

    if not all(map(shutil.which, ("unshare", "setpriv", "systemd-analyze"))):
        pytest.skip("unshare, setpriv or systemd-analyze is not installed")
    for given, refused in ((("file",), "Read-only file system"), ((), "Operation not permitted")):
        probe = made("inngest-server.service", sys.executable, "-c", _CHANGES_TOO_MUCH, *given)
        done = subprocess.run(probe, capture_output=True, text=True, check=False, cwd=ROOT)
        if refused not in done.stderr:
            pytest.skip(f"this machine does not let us: {done.stderr[-200:]}")
    return made


def run_one(url: str, endpoint: Endpoint) -> None:
    endpoint.register(url)
    send(url)
    wait_until(lambda: statuses(url) == {"completed": 1}, 60, "the run")
    assert len(endpoint.calls) == STEPS + 1


def test_a_server_with_sqlite(shut_in: Shut, tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    server = Server("start", "--dev", log=tmp_path / "log", env=env)
    server.argv = shut_in("inngest-server.service", *server.argv)
    with Endpoint() as endpoint, server.start():
        run_one(server.url, endpoint)
        assert server.terminate() == 0
    assert "Traceback" not in server.log.read_text()


def test_api_processes_and_a_worker(
    shut_in: Shut, tmp_path: Path, postgres_url: str, valkey: Valkey
) -> None:
    env = {"INNGEST_DEV": "1", "DATABASE_URL": postgres_url, "REDIS_URL": valkey.url}
    nowhere = Server("api", "--processes", "2", log=tmp_path / "nowhere", env=env)
    command = shut_in("inngest-api.service", *nowhere.argv)
    with Process(command, nowhere.log, env).start() as ends:
        wait_until(lambda: not ends.running, 60, "it ends")
        assert "name a folder in TMPDIR that can be written" in ends.log_tail()
        assert "Traceback" not in ends.log_tail()
    env["TMPDIR"] = str(tmp_path)
    api = Server("api", "--processes", "2", log=tmp_path / "api", env=env)
    api.argv = shut_in("inngest-api.service", *api.argv)
    celery = [sys.executable, "-m", "celery", "-A", "inngest_py", "worker", "-P", "gevent"]
    command = shut_in("inngest-worker@.service", *celery, "-c", "20")
    with Endpoint() as endpoint, api.start(), Process(command, tmp_path / "w", env) as worker:
        worker.start()
        run_one(api.url, endpoint)
        assert worker.terminate() == 0
        assert api.terminate() == 0
    assert "Traceback" not in (tmp_path / "api").read_text() + (tmp_path / "w").read_text()
