"""DBOS under measurement: a process that is started once, and runs its workflow when asked."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.processes import ROOT

_PATIENCE_SECONDS = 180.0


class Dbos:
    """A process of `bench.dbos_seq5` on a database of its own."""

    def __init__(self, url: str, log: Path) -> None:
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.dbos_seq5", url],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def measure(self, runs: int) -> dict[str, float]:
        """Run so many at once; return runs/s and CPU a run. Raises RuntimeError when it cannot."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        patience = threading.Timer(_PATIENCE_SECONDS, self._process.kill)
        patience.start()
        try:
            self._process.stdin.write(f"{runs}\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                if line.startswith("{"):
                    found: dict[str, float] = json.loads(line)
                    return found
        except BrokenPipeError:
            pass
        finally:
            patience.cancel()
        raise RuntimeError(f"DBOS did not answer: {self._log.read_text()[-2000:]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
