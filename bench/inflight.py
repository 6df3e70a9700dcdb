"""What do many calls in flight cost? The memory of the server's processes while they are held.

    python -m bench.inflight [--mode embedded] [--calls 1000]

The endpoint holds every call; once all are there, memory and idle CPU are read, and the calls are
answered. `distributed` has two workers, each with half of the calls.
"""

import argparse
import json
import time
from collections.abc import Callable

from . import load
from .endpoint import FUNCTIONS
from .scenarios import Figures, Incomplete
from .server import MODES, WORKERS, Subject, fetch

_PATIENCE_SECONDS = 120.0
_IDLE_SECONDS = 5.0


def main() -> None:
    """Measure what the arguments say; print JSON."""
    parser = argparse.ArgumentParser(prog="bench.inflight", description=__doc__)
    parser.add_argument("--mode", choices=[*MODES, "both"], default="both")
    parser.add_argument("--calls", type=int, default=1000)
    given = parser.parse_args()
    modes = MODES if given.mode == "both" else (given.mode,)
    print(json.dumps({mode: measure(mode, given.calls) for mode in modes}, indent=1))


def measure(mode: str, calls: int) -> Figures:
    """Hold so many calls; raises Incomplete when they do not all come, or do not all end."""
    workers = 1 if mode == "embedded" else WORKERS
    options = ("--concurrency", str(-(-calls // workers)))
    with Subject(mode, options=options) as subject:
        subject.start(FUNCTIONS)
        empty = subject.memory_mb()
        load.burst(subject.server.port, "held", calls)
        _wait(lambda: len(fetch(f"{subject.app.url}/held")), calls, "calls are held")
        full, cpu = subject.memory_mb(), subject.cpu_seconds()
        time.sleep(_IDLE_SECONDS)
        cpu = subject.cpu_seconds() - cpu
        fetch(f"{subject.app.url}/release")
        _wait(lambda: int(fetch(f"{subject.app.url}/count")["finished"]), calls, "calls ended")
        return {
            "calls": float(calls),
            "before_mb": empty[0],
            "largest_process_mb": full[0],
            "all_processes_mb": sum(full),
            "kb_a_call": (sum(full) - sum(empty)) * 1000 / calls,
            "cpu_percent": 100 * cpu / _IDLE_SECONDS,
        }


def _wait(count: Callable[[], int], wanted: int, told: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (found := count()) < wanted:
        if time.monotonic() > deadline:
            raise Incomplete(f"{found} of {wanted} {told}")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
