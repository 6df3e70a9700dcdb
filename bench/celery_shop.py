"""`python -m bench.celery_shop`: tasks of a Celery app through this server, against Celery alone.

Both are measured in turns, in changing order, on the same Valkey, each with its own worker of two
processes (see bench/shop.py). Figures are medians of the rounds, and ratios are medians of each
round's ratio: the machine's speed of the hour falls out of them. Celery alone is a `group` of
no-ops, and `chain`s of five that are started at once, awaited through a Redis result backend. The
same goes through the server as canvases, and as one event for each task. Then single tasks, 20 a
second. CPU is that of the server and its workers, without the app's worker.

Where celery-director is installed (`make bench-celery`), the same chains run through it, on a
database of the same kind: as it is, and without its sleep (see bench/celery_director.py).
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.servers import Valkey

from . import celery_director, neighbours
from .celery_director import Director
from .server import MODES, WORKERS
from .shop import STEPS, Bare, Ours

RATE = 20.0
_SETTLE_SECONDS = 1.0
Figures = dict[str, float]


@dataclass(frozen=True)
class Size:
    """How many tasks, chains and single tasks each round has."""

    tasks: int = 2000
    chains: int = 300
    singles: int = 100
    directors: int = 20  # chains of celery-director, which is slower by far


SHORT = Size(500, 75, 40, 10)


@dataclass(frozen=True)
class Mark:
    """What a figure is to be: at least so much, or at most."""

    figure: str
    title: str
    mark: float
    unit: str
    at_least: bool = True

    def line(self, found: Figures) -> str:
        """Word it with what was found."""
        value, word = found[self.figure], "at least" if self.at_least else "at most"
        good = value >= self.mark if self.at_least else value <= self.mark
        verdict = "" if good else "  MISSED"
        return f"{self.title:<58}{value:8.2f}{self.unit:<4} ({word} {self.mark:g}){verdict}"


MARKS = (
    Mark("events_ratio", "single tasks by events against Celery's group", 0.75, " x"),
    Mark("group_ratio", "a group as one canvas against Celery's group", 0.75, " x"),
    Mark("chains_ratio", "chains of five, each step stored, against Celery's", 0.6, " x"),
    Mark("event_added_ms", "p50 added to one task at 20 a second, by event", 8, " ms", False),
    Mark("rest_added_ms", "p50 added to one task at 20 a second, by REST", 8, " ms", False),
    Mark("director_ratio", "chains of five against celery-director's", 2, " x"),
    Mark("awake_ratio", "the same, its sleep taken out", 2, " x"),
    Mark("events_cpu_ms", "CPU a task, by events", 1, " ms", False),
    Mark("group_cpu_ms", "CPU a task, of a group", 1, " ms", False),
    Mark("chains_cpu_ms", "CPU a task, of chains", 1, " ms", False),
)


def _alternately(first: Callable[[], None], second: Callable[[], None], turn: int) -> None:
    for work in (first, second) if turn % 2 == 0 else (second, first):
        work()
        time.sleep(_SETTLE_SECONDS)


def _ours(found: Figures, name: str, count: int, work: Callable[[], float], ours: Ours) -> None:
    """Measure the rate of `count` tasks, and the CPU of each."""
    before = ours.cpu_seconds()
    found[f"{name}_s"] = count / work()
    time.sleep(_SETTLE_SECONDS)  # what is written a moment later belongs to it
    found[f"{name}_cpu_ms"] = (ours.cpu_seconds() - before) * 1000 / count


def _steadily(count: int, one: Callable[[int], float]) -> float:
    """Run single tasks at RATE; return the median in ms."""
    began, taken = time.monotonic(), []
    for number in range(count):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        taken.append(one(number))
    return median(taken) * 1000


def _directed(directors: dict[str, Director], size: Size, found: Figures) -> None:
    """Run chains through celery-director; those without its sleep are more, as they take less."""
    for name, director in directors.items():
        chains = director.chains(size.directors * (3 if name == "awake" else 1))
        found[f"{name}_chains_s"] = chains
        found[f"{name}_ratio"] = found["chains_s"] / chains
        time.sleep(_SETTLE_SECONDS)


def _round(bare: Bare, ours: Ours, size: Size, turn: int) -> Figures:
    found: Figures = {}
    tasks, chains = size.tasks, size.chains

    def celerys_group() -> None:
        found["celery_group_s"] = tasks / bare.group(tasks)

    def our_tasks() -> None:
        _ours(found, "events", tasks, lambda: ours.events(tasks), ours)
        _ours(found, "group", tasks, lambda: ours.group(tasks), ours)

    def celerys_chains() -> None:
        found["celery_chains_s"] = chains / bare.chains(chains)

    def our_chains() -> None:
        _ours(found, "chains", chains * STEPS, lambda: ours.chains(chains), ours)
        found["chains_s"] /= STEPS

    def celerys_single() -> None:
        found["celery_one_ms"] = _steadily(size.singles, bare.one)

    def our_single() -> None:
        found["event_one_ms"] = _steadily(size.singles, ours.one_by_event)
        found["rest_one_ms"] = _steadily(size.singles, ours.one_by_rest)

    _alternately(celerys_group, our_tasks, turn)
    _alternately(celerys_chains, our_chains, turn)
    _alternately(celerys_single, our_single, turn)
    found["events_ratio"] = found["events_s"] / found["celery_group_s"]
    found["group_ratio"] = found["group_s"] / found["celery_group_s"]
    found["chains_ratio"] = found["chains_s"] / found["celery_chains_s"]
    for name in ("event", "rest"):
        found[f"{name}_added_ms"] = found[f"{name}_one_ms"] - found["celery_one_ms"]
    return found


def _rounds(mode: str, valkey: Valkey, workers: int, size: Size, rounds: int) -> Iterator[Figures]:
    folder = Path(tempfile.mkdtemp(prefix="inngest-py-bench-"))
    valkey.flush()
    bare, ours = Bare(valkey, folder), Ours(valkey, mode, workers)
    directors: dict[str, Director] = {}
    if celery_director.installed():
        directors = {
            kind: Director(valkey, folder, kind, ours.subject.another_database(kind))
            for kind in celery_director.KINDS
        }
    try:
        for part in (bare, ours, *directors.values()):
            part.start()
        _round(bare, ours, Size(200, 20, 10), 0)  # warms both up
        before = neighbours.look(ours.subject)
        for turn in range(rounds):
            found = _round(bare, ours, size, turn)
            _directed(directors, size, found)
            print(f"{mode}, round {turn + 1}: {_worded(found)}", file=sys.stderr, flush=True)
            yield found
        others = neighbours.look(ours.subject).share_of_others(before)
        print(f"{mode}: others used {others:.0%} of the machine meanwhile", file=sys.stderr)
    finally:
        for part in (ours, bare, *directors.values()):
            part.close()


def _worded(found: Figures) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in found.items())


_ROWS = (
    ("Celery alone: tasks/s of a group", "celery_group_s"),
    ("ours: tasks/s of a group, one canvas", "group_s"),
    ("ours: tasks/s by events, a run each", "events_s"),
    ("Celery alone: chains/s", "celery_chains_s"),
    ("ours: chains/s", "chains_s"),
    ("celery-director: chains/s", "director_chains_s"),
    ("celery-director without its sleep: chains/s", "awake_chains_s"),
    ("Celery alone: one task, p50 ms", "celery_one_ms"),
    ("ours: one task by event, p50 ms", "event_one_ms"),
    ("ours: one task by REST, p50 ms", "rest_one_ms"),
)


def main() -> None:
    """Measure, print the figures, and the ratios last."""
    parser = argparse.ArgumentParser(prog="bench.celery_shop", description=__doc__)
    parser.add_argument("--mode", choices=[*MODES, "both"], default="embedded")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", action="store_true", help="a quarter of the tasks")
    parser.add_argument("--workers", type=int, default=WORKERS, help="of the distributed mode")
    given = parser.parse_args()
    size = SHORT if given.short else Size()
    # one for all modes: the Celery app of this process keeps its connections
    valkey = Valkey().start()
    try:
        for mode in MODES if given.mode == "both" else (given.mode,):
            rounds = list(_rounds(mode, valkey, given.workers, size, given.rounds))
            _show(mode, rounds)
    finally:
        valkey.close()


def _show(mode: str, rounds: list[Figures]) -> None:
    found = {name: median(one[name] for one in rounds) for name in rounds[0]}
    print(f"== {mode}, {len(rounds)} rounds, load average {os.getloadavg()[0]:.1f}")
    for title, name in _ROWS:
        if name in found:
            print(f"{title:<58}{found[name]:8.1f}")
    for mark in MARKS:
        if mark.figure in found:
            print(mark.line(found))
    if not celery_director.installed():
        print("celery-director is not installed: see bench/celery_director.py")


if __name__ == "__main__":
    main()
