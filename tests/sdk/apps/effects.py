"""The effects log: one JSON line for each time a step's body ran, whoever ran it."""

import json
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any


def written(log: Path) -> list[dict[str, Any]]:
    """Read the log, without a line that is being written; empty while there is none.

    Only LF ends a line: JavaScript's JSON has U+2028 as it is, which `splitlines` takes for an end.
    """
    if not log.exists():
        return []
    whole = log.read_text().split("\n")[:-1]
    return [json.loads(line) for line in whole]


class Effects:
    """Writes the log and knows how often each body ran in this process."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._count: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def note(self, run_id: str, step: str, attempt: int, **more: Any) -> int:
        """Log one execution and say how many of this step this run has had."""
        line = json.dumps({"run_id": run_id, "step": step, "attempt": attempt, **more})
        # one write to an appending file: lines of threads and processes do not mix
        out = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(out, line.encode() + b"\n")
        finally:
            os.close(out)
        with self._lock:
            self._count[run_id, step] += 1
            return self._count[run_id, step]
