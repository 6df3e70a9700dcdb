"""What is measured: each scenario returns figures by name."""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import quantiles
from typing import Any

from . import load
from .asleep import put_to_sleep
from .connected import PREFIX
from .python_sdk import FRAMEWORKS, measure
from .server import Subject, fetch
from .waiting import put_to_wait, stop_waiting

Figures = dict[str, float]
RATE = 20.0
# what came before leaves connections to close, and timers that look more often
SETTLE_SECONDS = 6.0
IDLE_SECONDS = 15.0
WAKE_SECONDS = 30.0
DBOS_RUNS = 300
_PATIENCE_SECONDS = 240.0
_POLL_SECONDS = 0.02
_SINGLE_CONNECTIONS = 16
_CONNECTIONS = 64
LATER_SECONDS = 3600.0
_BETWEEN_SECONDS = 0.1


@dataclass(frozen=True)
class Size:
    """How many runs each scenario makes."""

    noop: int = 2000
    seq5: int = 1000
    par10: int = 200
    sleep: int = 500
    steady: int = 300
    accept: int = 1000
    asleep: int = 100_000
    waking: int = 1000
    held: int = 50
    checkpoints: int = 100
    few: int = 1000
    many: int = 100_000
    limited: int = 1000
    backlog: int = 10_000
    resumed: int = 200
    gathered: int = 10_000
    workers: int = 1000
    python: int = 300
    long: int = 3000  # steps of one run

    def scaled(self, runs: int) -> "Size":
        """The same with `runs` for every burst."""
        return replace(
            self, limited=runs, noop=runs, seq5=runs, par10=runs, sleep=runs, accept=runs
        )


SHORT = Size(
    noop=500,
    seq5=300,
    par10=60,
    sleep=200,
    steady=100,
    accept=400,
    asleep=10_000,
    waking=300,
    held=20,
    checkpoints=50,
    many=10_000,
    resumed=100,
    python=100,
    long=1200,
)


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


def _burst(name: str, prefix: str = "") -> Callable[[Subject, Size], Figures]:
    """Measure a burst of runs; with connected.PREFIX, over the connection of one worker."""

    def measure(subject: Subject, size: Size) -> Figures:
        count, port = getattr(size, name), subject.server.port
        return _measured(subject, lambda: load.burst(port, prefix + name, count), count)

    return measure


def _sleep(subject: Subject, size: Size) -> Figures:
    figures = _burst("sleep")(subject, size)
    late = [end - first - 1.0 for _, first, end in fetch(f"{subject.app.url}/stats")["runs"]]
    return figures | _percentiles("late", late)


def _asleep(subject: Subject, size: Size) -> Figures:
    """Wake some runs on time while many more sleep on."""
    before = max(subject.memory_mb())
    begin, spread = timedelta(seconds=WAKE_SECONDS), timedelta(seconds=WAKE_SECONDS)
    fetch(f"{subject.app.url}/reset")
    due = put_to_sleep(subject.database_url, size.asleep, size.waking, begin, spread)
    idle = _idle(subject, size)
    seen = _finish(subject, size.waking)
    late = [max(end - due[index], 0.0) for index, _, end in seen["runs"]]
    figures = {
        "asleep": float(size.asleep),
        "woken": float(size.waking),
        "idle_cpu_percent": idle["cpu_percent"],
        "before_mb": before,
        "peak_mb": subject.peak_mb(),
    }
    return figures | _percentiles("late", late)


def _waiters(subject: Subject, size: Size) -> Figures:
    """Wake runs by events, one event a run, among few that wait for that event, and among many.

    Among few a second time afterwards: what differs from the first is the machine's doing.
    """
    port, count, url = subject.server.port, size.resumed, subject.database_url
    figures: Figures = {"resumed": float(count)}
    written = 0
    for name, total in (("few", size.few), ("many", size.many), ("few_again", size.few)):
        if total < written:
            stop_waiting(url)
            written = 0
        put_to_wait(url, range(count))
        put_to_wait(url, range(count + written, total))
        written = total - count
        found = _measured(subject, lambda: load.steady(port, "go", count, RATE), count)
        figures[f"{name}_waiting"] = float(total)
        for figure in ("first_p50_ms", "first_p99_ms", "cpu_ms_run", "store_cpu_ms_run"):
            figures[f"{name}_{figure}"] = found[figure]
    return figures


def _resume(subject: Subject, size: Size) -> Figures:
    """Wake as many waiting runs as sleep in `sleep`, by one burst of events."""
    put_to_wait(subject.database_url, range(size.sleep))
    return _measured(subject, lambda: load.burst(subject.server.port, "go", size.sleep), size.sleep)


def _steady(subject: Subject, size: Size) -> Figures:
    port, count = subject.server.port, size.steady
    return _measured(subject, lambda: load.steady(port, "seq5", count, RATE), count)


def _accept(subject: Subject, size: Size) -> Figures:
    """Rates at which events are committed with their runs: due later, and while those run."""
    port, count = subject.server.port, size.accept
    many, figures = count * 5, Figures()
    for name, total, chunk in (("single", count, 1), ("batch", many, load.BATCH)):
        cpu = subject.cpu_seconds()
        later = load.burst(port, "noop", total, _CONNECTIONS, chunk, after_seconds=LATER_SECONDS)
        figures[f"later_{name}_events_s"] = total / later.seconds
        figures[f"later_{name}_cpu_ms_event"] = (subject.cpu_seconds() - cpu) * 1000 / total
        sent = functools.partial(load.burst, port, "noop", total, _CONNECTIONS, chunk)
        found = _measured(subject, sent, total)
        figures[f"{name}_events_s"] = found["events_s"]
        figures[f"{name}_cpu_ms_run"] = found["cpu_ms_run"]
    return figures


def _checkpoint(subject: Subject, size: Size) -> Figures:
    """What one checkpointed step costs: runs whose requests are held, a step a call."""
    fetch(f"{subject.app.url}/reset")
    load.burst(subject.server.port, "held", size.held)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(contexts := fetch(f"{subject.app.url}/held")) < size.held:
        if time.monotonic() > deadline:
            raise Incomplete(f"{len(contexts)} of {size.held} requests are held")
        time.sleep(_POLL_SECONDS)
    cpu, store = subject.cpu_seconds(), subject.store_cpu_seconds()
    sent = load.checkpoints(
        subject.server.port, contexts, size.checkpoints, connections=_SINGLE_CONNECTIONS
    )
    count = size.held * size.checkpoints
    figures = {
        "checkpoints": float(count),
        "checkpoints_s": count / sent.seconds,
        "cpu_ms_checkpoint": (subject.cpu_seconds() - cpu) * 1000 / count,
        "store_cpu_ms_checkpoint": (subject.store_cpu_seconds() - store) * 1000 / count,
    }
    fetch(f"{subject.app.url}/release")
    if sent.refused:
        raise Incomplete(f"{sent.refused} checkpoints refused")
    return figures | _percentiles("checkpoint", sent.at)


def _idle(subject: Subject, size: Size) -> Figures:
    time.sleep(SETTLE_SECONDS)
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
    with subject.dbos() as dbos:
        return dbos.measure(DBOS_RUNS)


def _gathered(name: str, events_a_run: int | None) -> Callable[[Subject, Size], Figures]:
    """Measure events that gather in one bucket, for one run or for runs of so many each."""

    def measure(subject: Subject, size: Size) -> Figures:
        events = size.gathered
        fetch(f"{subject.app.url}/reset")
        bytes_before = subject.database_bytes()
        cpu, store = subject.cpu_seconds(), subject.store_cpu_seconds()
        sent = load.burst(subject.server.port, name, events)
        accepted_cpu = subject.cpu_seconds() - cpu
        wanted = events // events_a_run if events_a_run else 1
        seen = _finish(subject, wanted)
        if sent.refused or len(seen["runs"]) != wanted:
            raise Incomplete(f"{sent.refused} events refused, {len(seen['runs'])} runs")
        time.sleep(0.3)
        return {
            "gathered": float(events),
            "gathered_runs": float(wanted),
            "gathered_events_s": events / sent.seconds,
            "seconds": max(run[2] for run in seen["runs"]) - min(sent.at),
            "cpu_ms_event": (subject.cpu_seconds() - cpu) * 1000 / events,
            "accepting_cpu_ms_event": accepted_cpu * 1000 / events,
            "store_cpu_ms_event": (subject.store_cpu_seconds() - store) * 1000 / events,
            "bytes_event": (subject.database_bytes() - bytes_before) / events,
        }

    return measure


def _connected(subject: Subject, size: Size) -> Figures:
    """Say what idle connected workers cost: memory and CPU beside those without them."""
    before = _idle(subject, size)
    subject.app.connect(subject.server.url, size.workers)
    idle = _idle(subject, size)
    return {
        "workers": float(size.workers),
        "more_mb": idle["all_processes_mb"] - before["all_processes_mb"],
        "more_cpu_percent": idle["cpu_percent"] - before["cpu_percent"],
    }


def _fair(subject: Subject, size: Size) -> Figures:
    """See how long others wait for a first call behind one tenant's backlog of the same limit."""
    port, others = subject.server.port, 20
    fetch(f"{subject.app.url}/reset")
    load.burst(port, "fair", size.backlog)
    sent = {}
    for number in range(1, others + 1):
        sent[-number] = time.time()
        fetch(f"http://127.0.0.1:{port}/e/bench", load.body("fair", -number))
        time.sleep(_BETWEEN_SECONDS)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        seen = fetch(f"{subject.app.url}/stats")["runs"]
        first = [called - sent[index] for index, called, _ in seen if index < 0]
        if len(first) == others:
            break
        if time.monotonic() > deadline:
            raise Incomplete(f"{len(first)} of {others} other tenants had a call")
        time.sleep(_POLL_SECONDS)
    left = size.backlog - sum(1 for index, _, _ in seen if index >= 0)
    # ten at a time, the rest of the backlog would take minutes and show nothing more
    limits = f"http://127.0.0.1:{port}/v1/functions/bench-fair/limits"
    fetch(limits, {"concurrency": None}, "PUT")
    _finish(subject, size.backlog + others)
    return {"backlog_left": float(left)} | _percentiles("other", first)


def _python(subject: Subject, size: Size) -> Figures:
    """See what checkpointing does for apps of the real Python SDK."""
    return {
        f"{framework}_{name}": value
        for framework in FRAMEWORKS
        for name, value in measure(subject, framework, size.python, size.long).items()
    }


SCENARIOS: dict[str, Callable[[Subject, Size], Figures]] = {
    "idle": _idle,
    "steady": _steady,
    "noop": _burst("noop"),
    "seq5": _burst("seq5"),
    "dbos_seq5": _dbos,
    "par10": _burst("par10"),
    "connect-noop": _burst("noop", PREFIX),
    "connect-seq5": _burst("seq5", PREFIX),
    "connect-par10": _burst("par10", PREFIX),
    "limited": _burst("limited"),
    "fair": _fair,
    "sleep": _sleep,
    "resume": _resume,
    "waiters": _waiters,
    "asleep": _asleep,
    "accept": _accept,
    "checkpoint": _checkpoint,
    "debounce": _gathered("debounce", None),
    "batch": _gathered("batch", 100),
    "connected": _connected,
    "python-seq5": _python,
}


def warm_up(subject: Subject, prefix: str = "") -> None:
    """Run a few of each kind: imports, connections and caches are not what is measured."""
    for name in ("noop", "seq5", "par10"):
        port, function = subject.server.port, prefix + name
        _measured(subject, lambda port=port, name=function: load.burst(port, name, 10), 10)
