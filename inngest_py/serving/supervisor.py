"""Supervise processes: start them, restart one that dies, stop them all.

Each process has one end of a pipe whose other end is here. The kernel closes this end however this
process dies, and a process that sees that stops (tasks/worker/lifeline.py).
"""

import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from .. import observe
from ..config import Settings
from ..config_reading import to_environment
from ..tasks.worker import lifeline

_MOST_DELAY = 30.0
_STEADY_SECONDS = 60.0
# what processes get beyond their own grace time, to give leases back and to end
LATER_SECONDS = 5.0
# the least that requests get which came while the workers' calls ended
LEAST_DRAIN = 5.0
# for who has to give leases back, on a busy machine
CUT_SECONDS = 5.0


class Supervisor(ABC):
    """Keeps processes alive, which are numbered from 1 on."""

    def __init__(self, count: int) -> None:
        self._stopping = threading.Event()
        self._pipe, self._held = os.pipe()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._threads = [
            threading.Thread(target=self._keep, args=(number,), daemon=True)
            for number in range(1, count + 1)
        ]

    @abstractmethod
    def command(self, number: int) -> list[str]:
        """Return the command of a process."""

    @abstractmethod
    def environment(self, number: int) -> dict[str, str]:
        """Return what a process has in its environment beside what this one has."""

    def files(self) -> Sequence[int]:
        """List the descriptors that every process inherits."""
        return ()

    @abstractmethod
    def tell_died(self, number: int, code: int | None, again_in: float) -> None:
        """Log that a process has ended by itself."""

    @abstractmethod
    def tell_not_started(self, number: int, error: OSError) -> None:
        """Log that a process could not be started."""

    def start(self) -> None:
        """Start every process."""
        for thread in self._threads:
            thread.start()

    def send(self, number: signal.Signals) -> None:
        """Send every process a signal."""
        for process in list(self._processes.values()):
            process.send_signal(number)

    def end(self, number: signal.Signals, seconds: float) -> bool:
        """Send every process a signal that ends it, and start none again.

        Waits for so long, and says whether all have ended.
        """
        self._stopping.set()
        self.send(number)
        deadline = time.monotonic() + seconds
        for process in list(self._processes.values()):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return False
        return True

    def kill(self) -> None:
        """Kill every process that has not ended."""
        for process in list(self._processes.values()):
            if process.poll() is None:
                process.kill()
                process.wait()

    def _keep(self, number: int) -> None:
        delay = 1.0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run(number)
            if self._stopping.is_set():
                return
            delay = 1.0 if time.monotonic() - began > _STEADY_SECONDS else delay
            self.tell_died(number, code, delay)
            self._stopping.wait(delay)
            delay = min(delay * 2, _MOST_DELAY)

    def _run(self, number: int) -> int | None:
        """Run a process to its end; return its exit code, or None where it could not be started."""
        pipe = {lifeline.VARIABLE: str(self._pipe)}
        try:
            process = subprocess.Popen(  # noqa: S603 - our own
                self.command(number),
                env=dict(os.environ) | self.environment(number) | pipe,
                pass_fds=[self._pipe, *self.files()],
            )
        except OSError as error:  # too many processes, no memory …
            self.tell_not_started(number, error)
            return None
        self._processes[number] = process
        if self._stopping.is_set():  # it was started while the others were told
            process.terminate()
        return process.wait()


class Workers(Supervisor):
    """Keeps `settings.workers` Celery workers alive."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.workers or 0)
        self._settings = settings

    def stop(self) -> None:
        """Stop every worker: by SIGTERM, and by SIGKILL five seconds after the grace time."""
        self.end(signal.SIGTERM, self._settings.grace_seconds + LATER_SECONDS)
        self.kill()

    def cut(self) -> None:
        """Stop every worker at once: it cuts its calls, or is killed after a moment."""
        self.end(signal.SIGQUIT, CUT_SECONDS)
        self.kill()

    def command(self, number: int) -> list[str]:
        return [
            sys.executable,
            "-m",
            "celery",
            "--quiet",  # no banner in the log
            "-A",
            "inngest_py",
            "worker",
            "-P",
            "gevent",
            "-c",
            str(self._settings.concurrency),
            "-n",
            f"worker{number}-{os.getpid()}@%h",
            "--loglevel",
            "WARNING",
        ]

    def environment(self, number: int) -> dict[str, str]:
        settings, first = self._settings, self._settings.metrics_port
        if first is not None:  # each worker of a machine needs a port of its own
            settings = replace(settings, metrics_port=first + number - 1)
        return to_environment(settings)

    def tell_died(self, number: int, code: int | None, again_in: float) -> None:
        observe.event("worker.died", level=40, worker=number, code=code, again_in=again_in)

    def tell_not_started(self, number: int, error: OSError) -> None:
        observe.event("worker.not_started", level=40, worker=number, error=error.strerror)
