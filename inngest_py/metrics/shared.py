"""Metrics of several API processes behind one port: whichever is asked shows those of all.

Prometheus would else see the numbers of another process at each look. Each process counts in files
of a shared folder, which the one that is asked adds up. The files have the number of the process: a
process that follows one that died takes its number and counts on, so no sum ever falls, and there
are no more files than processes. What is no count (memory, open files, subscribers) each process
writes every few seconds; of one that is gone, it counts no longer.

Written against prometheus_client 0.26: metrics are made of `values.ValueClass`; a value is kept in
a file of the folder in PROMETHEUS_MULTIPROC_DIR, named after the process's identifier.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, values
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from ..engine.realtime.hub import Hub
from ..engine.runtime.context import Context
from . import process, realtime

# how old the memory, the open files and the subscribers of another process may be
EVERY = timedelta(seconds=2)
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_LOCK, _ALONE = "process-{}", "lock"
_TRIES = 10
MOST_PROCESSES = 512


class SharedMetrics:
    """The metrics of this process and of those beside it, in a folder; `number` is this one's.

    Make it before the first counter, in the process that counts: it has the number until it ends.
    Raises OSError for a folder that is not ours, or that cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.number, self._held = _enter(folder)
        mark_process_dead(self.number, str(folder))  # type: ignore[no-untyped-call]
        os.environ[_FOLDER] = str(folder)
        number = self.number
        values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
        self._own: _Own | None = None

    def registry(self, hub: Hub) -> CollectorRegistry:
        """Make a registry that shows what all processes have counted."""
        self._own = _Own(hub)
        made = CollectorRegistry()
        made.register(_Fresh(self))
        made.register(process.Build())
        return made

    def run_once(self, ctx: Context) -> bool:
        """Write what is no count; a service of upkeep."""
        if self._own is not None:
            self._own.write()
        return False

    def collect(self) -> Iterable[Metric]:
        """Add up what all processes have written."""
        if self._own is not None:
            self._own.write()
        self._forget_the_dead()
        adding = MultiProcessCollector(None, str(self._folder))  # type: ignore[no-untyped-call]
        found: Iterable[Metric] = adding.collect()  # type: ignore[no-untyped-call]
        return found

    def _forget_the_dead(self) -> None:
        for number in _numbers(self._folder):
            if number != self.number and (lock := _lock(self._folder, number)) is not None:
                mark_process_dead(number, str(self._folder))  # type: ignore[no-untyped-call]
                os.close(lock)

    def is_first(self) -> bool:
        """Say whether this process has the lowest number of those that live."""
        for number in range(1, self.number):
            lock = _lock(self._folder, number)
            if lock is None:
                return False
            os.close(lock)
        return True

    def close(self) -> None:
        """Give the number back. The last process removes the folder."""
        mark_process_dead(self.number, str(self._folder))  # type: ignore[no-untyped-call]
        with _alone(self._folder):
            os.close(self._held)
            locks = [_lock(self._folder, number) for number in _numbers(self._folder)]
            if None not in locks:
                shutil.rmtree(self._folder, ignore_errors=True)
            for lock in locks:
                if lock is not None:
                    os.close(lock)


class _Fresh(Collector):
    """Shows shared metrics. They are read when somebody asks, so registering reads nothing."""

    def __init__(self, shared: SharedMetrics) -> None:
        self._shared = shared

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._shared.collect()


class _Own:
    """What this process writes of itself: counts of others as they grow, and gauges."""

    def __init__(self, hub: Hub) -> None:
        unseen = CollectorRegistry()  # what is shown is read from the files
        self._read = (ProcessCollector(registry=None), realtime.Realtime(hub))
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, tuple[Counter, float]] = {}
        self._unseen = unseen
        Gauge(
            "inngest_api_processes",
            "API processes that share these metrics.",
            registry=unseen,
            multiprocess_mode="livesum",
        ).set(1)

    def write(self) -> None:
        for collector in self._read:
            for metric in collector.collect():
                [sample] = metric.samples
                if metric.type == "counter":
                    self._add(metric, sample.value)
                else:
                    self._set(metric, sample.value)

    def _set(self, metric: Metric, value: float) -> None:
        made = self._gauges.get(metric.name)
        if made is None:
            mode: Literal["livemin", "livesum"] = "livemin" if metric.name in _LEAST else "livesum"
            made = self._gauges[metric.name] = Gauge(
                metric.name, metric.documentation, registry=self._unseen, multiprocess_mode=mode
            )
        made.set(value)

    def _add(self, metric: Metric, value: float) -> None:
        made, before = self._counters.get(metric.name) or (
            Counter(metric.name, metric.documentation, registry=self._unseen),
            0.0,
        )
        made.inc(max(0.0, value - before))
        self._counters[metric.name] = made, value


# of several processes the first start, and the tightest limit
_LEAST = frozenset({"process_start_time_seconds", "process_max_fds"})


def _enter(folder: Path) -> tuple[int, int]:
    """Make the folder and take a number; again if the last process removes it meanwhile."""
    for _ in range(_TRIES):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.is_symlink() or folder.lstat().st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, f"the folder {folder} belongs to another user")
        with suppress(FileNotFoundError), _alone(folder):
            if (folder / _ALONE).exists():
                return _take_number(folder)
    raise OSError(errno.EAGAIN, f"the folder {folder} is removed again and again")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process enters or leaves, which takes a moment."""
    descriptor = os.open(folder / _ALONE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _take_number(folder: Path) -> tuple[int, int]:
    """Take the lowest number that no process has; the kernel frees it however this one ends."""
    for number in range(1, MOST_PROCESSES + 1):
        held = _lock(folder, number)
        if held is not None:
            return number, held
    raise OSError(errno.EAGAIN, f"{MOST_PROCESSES} processes share {folder} already")


def _lock(folder: Path, number: int) -> int | None:
    """Lock the file of a number; None if a process has it."""
    descriptor = os.open(folder / _LOCK.format(number), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _numbers(folder: Path) -> list[int]:
    found = []
    for file in folder.glob(_LOCK.format("*")):
        with suppress(ValueError):
            found.append(int(file.name.rpartition("-")[2]))
    return sorted(found)
