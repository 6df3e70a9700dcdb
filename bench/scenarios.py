"""What is measured: each scenario returns figures by name."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from . import load
from .server import Subject, fetch

Figures = dict[str, float]
RATE = 20.0
IDLE_SECONDS = 5.0
DBOS_RUNS = 300
_PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.02
_SINGLE_CONNECTIONS = 16


@dataclass(frozen=True)
class Size:
    """How many runs each scenario makes."""

    noop: int = 2000
    seq5: int = 1000
    par10: int = 200
    sleep: int = 500
    steady: int = 300
    accept: int = 1000

    def scaled(self, runs: int) -> "Size":
        """The same with `runs` for every burst."""
        return Size(runs, runs, runs, runs, self.steady, runs)


SHORT = Size(noop=500, seq5=300, par10=60, sleep=200, steady=100, accept=400)


class Incomplete(Exception):
    """Not every run finished in time."""


def _finish(subject: Subject, count: int) -> dict[str, Any]:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        seen = fetch(f"{subject.app.url}/count")
        if seen["finished"] >= count:
            return dict(fetch(f"{subject.app.url}/stats"))
        if time.monotonic() > deadline:
            raise Incomplete(f"{seen['finished']} of {count} runs finished")
        time.sleep(_POLL_SECONDS)


def _percentiles(prefix: str, seconds: Sequence[float]) -> Figures:
    cuts = quantiles(seconds, n=100, method="inclusive")
    return {f"{prefix}_p{at}_ms": cuts[at - 1] * 1000 for at in (50, 95, 99)}


def _measured(subject: Subject, send: Callable[[], load.Sent], count: int) -> Figures:
    """Send, wait for every run, and say what it took."""
    fetch(f"{subject.app.url}/reset")
    size = subject.database_bytes()
    cpu, store = subject.cpu_seconds(), subject.store_cpu_seconds()
    sent = send()
    seen = _finish(subject, count)
    if sent.refused:
        raise Incomplete(f"{sent.refused} events refused")
    runs = seen["runs"]
    seconds = max(run[2] for run in runs) - min(sent.at)
    # the last commits follow the last answers
    time.sleep(0.3)
    figures = {
        "runs": float(count),
        "events_s": count / sent.seconds,
        "runs_s": count / seconds,
        "calls_s": seen["calls"] / seconds,
        "cpu_ms_run": (subject.cpu_seconds() - cpu) * 1000 / count,
        "store_cpu_ms_run": (subject.store_cpu_seconds() - store) * 1000 / count,
        "database_bytes_run": (subject.database_bytes() - size) / count,
        "ended_twice": float(seen["repeated"]),
        "peak_mb": subject.peak_mb(),
    }
    figures |= _percentiles("first", [first - sent.at[index] for index, first, _ in runs])
    return figures | _percentiles("finished", [end - sent.at[index] for index, _, end in runs])


def _burst(name: str) -> Callable[[Subject, Size], Figures]:
    def measure(subject: Subject, size: Size) -> Figures:
        count = getattr(size, name)
        port = subject.server.port
        return _measured(subject, lambda: load.burst(port, name, count), count)

    return measure


def _sleep(subject: Subject, size: Size) -> Figures:
    figures = _burst("sleep")(subject, size)
    late = [end - first - 1.0 for _, first, end in fetch(f"{subject.app.url}/stats")["runs"]]
    return figures | _percentiles("late", late)


def _steady(subject: Subject, size: Size) -> Figures:
    port, count = subject.server.port, size.steady
    return _measured(subject, lambda: load.steady(port, "seq5", count, RATE), count)


def _accept(subject: Subject, size: Size) -> Figures:
    """Rates at which events are committed together with their runs, while those runs work."""
    port, count = subject.server.port, size.accept
    single = _measured(
        subject,
        lambda: load.burst(port, "noop", count, connections=_SINGLE_CONNECTIONS, size=1),
        count,
    )
    many = count * 5
    batched = _measured(subject, lambda: load.burst(port, "noop", many), many)
    return {
        "single_events_s": single["events_s"],
        "batch_events_s": batched["events_s"],
        "single_cpu_ms_run": single["cpu_ms_run"],
        "batch_cpu_ms_run": batched["cpu_ms_run"],
    }


def _idle(subject: Subject, size: Size) -> Figures:
    cpu, began = subject.cpu_seconds(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    used = (subject.cpu_seconds() - cpu) / (time.monotonic() - began)
    memory = subject.memory_mb()
    return {
        "cpu_percent": used * 100,
        "largest_process_mb": memory[0],
        "all_processes_mb": sum(memory),
        "processes": float(len(memory)),
        "start_seconds": subject.start_seconds,
    }


def _dbos(subject: Subject, size: Size) -> Figures:
    return dict(subject.dbos(DBOS_RUNS))


SCENARIOS: dict[str, Callable[[Subject, Size], Figures]] = {
    "idle": _idle,
    "steady": _steady,
    "noop": _burst("noop"),
    "seq5": _burst("seq5"),
    "dbos_seq5": _dbos,
    "par10": _burst("par10"),
    "sleep": _sleep,
    "accept": _accept,
}


def warm_up(subject: Subject) -> None:
    """Run a few of each kind: imports, connections and caches are not what is measured."""
    for name in ("noop", "seq5", "par10"):
        _measured(subject, lambda name=name: load.burst(subject.server.port, name, 10), 10)
