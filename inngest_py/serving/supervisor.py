"""Supervise Celery workers: start them, restart one that dies, stop them all.

Each worker has one end of a pipe whose other end is here. The kernel closes this end however this
process dies, and a worker that sees that stops (tasks/worker/lifeline.py).
"""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

from .. import observe
from ..config import Settings
from ..config_reading import to_environment
from ..tasks.worker import lifeline

_MOST_DELAY = 30.0
_STEADY_SECONDS = 60.0
# what workers get beyond their own grace time, to give leases back and to end
LATER_SECONDS = 5.0
# for who has to give leases back, on a busy machine
CUT_SECONDS = 5.0


class Supervisor:
    """Keeps `settings.workers` Celery workers alive."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._pipe, self._held = os.pipe()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._threads = [
            threading.Thread(target=self._keep, args=(number,), daemon=True)
            for number in range(1, (settings.workers or 0) + 1)
        ]

    def start(self) -> None:
        """Start every worker."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop every worker: by SIGTERM, and by SIGKILL five seconds after the grace time."""
        self._stopping.set()
        self._end(signal.SIGTERM, self._settings.grace_seconds + LATER_SECONDS)

    def cut(self) -> None:
        """Stop every worker at once: it cuts its calls, or is killed after a moment."""
        self._stopping.set()
        self._end(signal.SIGQUIT, CUT_SECONDS)

    def _end(self, number: signal.Signals, seconds: float) -> None:
        """Send every worker a signal, and kill those that have not ended in so long."""
        for process in list(self._processes.values()):
            process.send_signal(number)
        deadline = time.monotonic() + seconds
        for process in list(self._processes.values()):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
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
            observe.event("worker.died", level=40, worker=number, code=code, again_in=delay)
            self._stopping.wait(delay)
            delay = min(delay * 2, _MOST_DELAY)

    def _run(self, number: int) -> int | None:
        """Run a worker to its end; return its exit code, or None where it could not be started."""
        try:
            process = subprocess.Popen(  # noqa: S603 - our own worker
                self._command(number), env=self._environment(number), pass_fds=[self._pipe]
            )
        except OSError as error:  # too many processes, no memory …
            observe.event("worker.not_started", level=40, worker=number, error=error.strerror)
            return None
        self._processes[number] = process
        return process.wait()

    def _command(self, number: int) -> list[str]:
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

    def _environment(self, number: int) -> dict[str, str]:
        settings, first = self._settings, self._settings.metrics_port
        if first is not None:  # each worker of a machine needs a port of its own
            settings = replace(settings, metrics_port=first + number - 1)
        pipe = {lifeline.VARIABLE: str(self._pipe)}
        return dict(os.environ) | to_environment(settings) | pipe
