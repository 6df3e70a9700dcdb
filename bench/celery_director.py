"""celery-director under measurement: its worker of two processes, its database, its chains of five.

It runs in an environment of its own: version 0.10.0, its last, wants exactly Celery 5.5.1 and
SQLAlchemy 1.4, and Python 3.11 at most (it imports `imp`). `make bench-celery` makes it.
"""

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Self

from tests.processes import ROOT, Process
from tests.servers import Valkey

HOME = ROOT / ".venv" / "director"
KINDS = ("director", "awake")  # as it is, and without the sleep of its workflows' last tasks
_PATIENCE_SECONDS = 180.0
_WORKFLOWS = "bench.CHAIN:\n  tasks: [NOOP, NOOP, NOOP, NOOP, NOOP]\n"
# The last task of every workflow sleeps for half a second in a worker's process, so that two
# processes end four workflows a second at most. Without it, the rest can be compared.
_TASKS = """
import os
from director import task
from director.tasks import workflows

if os.environ.get("BENCH_AWAKE"):
    class Awake:
        sleep = staticmethod(lambda seconds: None)
    workflows.time = Awake

@task(name="NOOP")
def noop(*args, **kwargs):
    return None
"""


def installed() -> bool:
    """Whether its environment is there."""
    return (HOME / "bin" / "director").exists()


class Director:
    """A worker, and a process that starts workflows, of a kind (KINDS)."""

    def __init__(self, valkey: Valkey, folder: Path, kind: str, database_url: str) -> None:
        home, databases = folder / kind, 4 + 2 * KINDS.index(kind)
        (home / "tasks").mkdir(parents=True)
        (home / "workflows.yml").write_text(_WORKFLOWS)
        (home / "tasks" / "noop.py").write_text(_TASKS)
        self._log = home / "chains.log"
        self._env = {
            "DIRECTOR_HOME": str(home),
            "DIRECTOR_DATABASE_URI": database_url,
            "DIRECTOR_BROKER_URI": valkey.url_of(databases),
            "DIRECTOR_RESULT_BACKEND_URI": valkey.url_of(databases + 1),
            "BENCH_AWAKE": "1" if kind == "awake" else "",
            "PATH": f"{HOME}/bin:{os.environ['PATH']}",
            "PYTHONWARNINGS": "ignore",
        }
        argv = [str(HOME / "bin" / "director"), "celery", "worker", "-c", "2", "-l", "WARNING"]
        self._worker = Process(argv, home / "worker.log", self._env)
        self._chains: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Make its tables, start both, and wait until a workflow has run."""
        env = os.environ | self._env
        command = [str(HOME / "bin" / "director"), "db", "upgrade"]
        subprocess.run(command, env=env, check=True, capture_output=True, timeout=120)
        self._worker.start()
        with self._log.open("w") as errors:
            self._chains = subprocess.Popen(
                [str(HOME / "bin" / "python"), str(ROOT / "bench" / "director_chains.py")],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.chains(1)
        return self

    def chains(self, count: int) -> float:
        """Run so many chains at once; return how many a second. Raises RuntimeError."""
        process = self._chains
        assert process is not None
        assert process.stdin is not None and process.stdout is not None
        patience = threading.Timer(_PATIENCE_SECONDS, process.kill)
        patience.start()
        try:
            process.stdin.write(f"{count}\n")
            process.stdin.flush()
            for line in process.stdout:
                if line.startswith("{"):
                    return float(json.loads(line)["chains_s"])
        except BrokenPipeError:
            pass
        finally:
            patience.cancel()
        raise RuntimeError(f"celery-director did not answer: {self._log.read_text()[-2000:]}")

    def close(self) -> None:
        """Stop both."""
        self._worker.kill9()
        if self._chains is not None:
            self._chains.kill()
            self._chains.communicate()
