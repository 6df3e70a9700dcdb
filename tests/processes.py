"""Real processes for tests, each in a group of its own, watched with deadlines, killed whole."""

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.02
# A look at a server takes CPU from what is waited for: the pause after it is so many times as long.
_REST, _LONGEST_REST = 4.0, 0.25
START_SECONDS = 90.0  # machines are shared: a server has been seen to take 30

# below the kernel's, which begin at 32768 on Linux and higher elsewhere; browsers call no 10080
_PORTS = range(10_100, 32_000)
_numbers = itertools.count(random.randrange(len(_PORTS)))

T = TypeVar("T")


class NotInTimeError(AssertionError):
    """What was waited for did not come true before the deadline."""


def wait_until(predicate: Callable[[], T], timeout: float = 10.0, what: str = "the condition") -> T:
    """Poll until the predicate is truthy; return what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        looked = time.monotonic()
        if value := predicate():
            return value
        now = time.monotonic()
        if now > deadline:
            raise NotInTimeError(f"{what}: not within {timeout} s")
        rest = min(_REST * (now - looked), _LONGEST_REST)
        time.sleep(max(rest, _POLL_SECONDS))


def free_port() -> int:
    """Find a port that nobody listens on right now, and that this process has not used yet.

    The kernel gives none of these to clients. One that it gave and took back may be given at once
    to the server of another test, and get the calls that are meant for a server that has gone.
    """
    for number in _numbers:
        port = _PORTS[number % len(_PORTS)]
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise AssertionError("the numbers have no end")


def answers(url: str) -> bool:
    """Whether the URL answers with a 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            status: int = reply.status
    except (urllib.error.URLError, OSError):
        return False
    return 200 <= status < 300


class Process:
    """One subprocess tree in its own process group, its output in a log file."""

    def __init__(
        self, argv: Sequence[str], log: Path, env: Mapping[str, str | None] | None = None
    ) -> None:
        """Prepare it; `env` adds to our own environment, None takes a variable away."""
        self.argv = list(argv)
        self.log = log
        self.env = dict(env or {})
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the process, which is also the id of its group."""
        assert self._popen is not None, "not started"
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the process itself (not its children) is alive."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """How it ended, None while it runs."""
        return None if self._popen is None else self._popen.poll()

    def start(self) -> Self:
        """Start it, appending to the log."""
        assert not self.running, "already running"
        env = {**os.environ, "PYTHONUNBUFFERED": "1", **self.env}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self._popen = subprocess.Popen(
                self.argv,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env={name: value for name, value in env.items() if value is not None},
                start_new_session=True,
            )
        return self

    def wait_ready(self, ready: Callable[[], bool], timeout: float = START_SECONDS) -> Self:
        """Wait for the predicate, failing at once with the log when the process ends."""

        def ready_or_dead() -> bool:
            return not self.running or ready()

        try:
            wait_until(ready_or_dead, timeout, f"{self.argv} ready")
        except NotInTimeError as late:
            raise NotInTimeError(f"{late}\n{self.log_tail()}") from None
        if not self.running:
            raise NotInTimeError(f"{self.argv} ended with {self.returncode}\n{self.log_tail()}")
        return self

    def kill9(self) -> None:
        """Kill the whole group, as a power cut would."""
        self._signal(signal.SIGKILL)
        if self._popen is not None:
            self._popen.wait(10)

    def terminate(self, timeout: float = 40.0) -> int:
        """Ask the process alone to stop, as a supervisor would, and return its exit code.

        Whatever of its group outlives it is killed.
        """
        assert self._popen is not None, "not started"
        if self.running:
            self._popen.terminate()
        try:
            return self._popen.wait(timeout)
        finally:
            self.kill9()

    def interrupt(self, timeout: float = 40.0) -> int:
        """Send Ctrl-C to the whole group, as a terminal does, and return the exit code."""
        assert self._popen is not None, "not started"
        self._signal(signal.SIGINT)
        try:
            return self._popen.wait(timeout)
        finally:
            self.kill9()

    def suspend(self) -> None:
        """Stop the whole group's clock, as a virtual machine or a closed lid does."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the group go on."""
        self._signal(signal.SIGCONT)

    def log_tail(self, lines: int = 60) -> str:
        """The end of the log, for messages of failed tests."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self._popen is None:
            return
        try:
            os.killpg(self._popen.pid, number)
        except ProcessLookupError:
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill9()


class Server(Process):
    """`python -m inngest_py ARGS` as users start it; the port outlives a kill and a restart."""

    def __init__(
        self,
        *args: str,
        log: Path,
        env: Mapping[str, str | None] | None = None,
        port: int | None = None,
    ) -> None:
        self.port = free_port() if port is None else port
        self.command = args[0]
        self._workers = int(args[args.index("--workers") + 1]) if "--workers" in args else 0
        where = ("--port", str(self.port), "--host", LOOPBACK)
        super().__init__([sys.executable, "-m", "inngest_py", args[0], *where, *args[1:]], log, env)

    @property
    def url(self) -> str:
        """The base of its API."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def healthy(self) -> bool:
        """Whether it says that it can take work, and its workers live."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as reply:
                return int(json.loads(reply.read())["workers"]) >= self._workers
        except (urllib.error.URLError, OSError):
            return False

    def start(
        self, ready: Callable[[], bool] | None = None, timeout: float = START_SECONDS
    ) -> Self:
        """Start it and wait for GET /health, or for the given predicate."""
        super().start()
        return self.wait_ready(ready or (lambda: self.healthy), timeout)


class Tool(Process):
    """Another command of the package that needs no port, such as `worker`."""

    def __init__(self, *args: str, log: Path, env: Mapping[str, str | None] | None = None) -> None:
        super().__init__([sys.executable, "-m", "inngest_py", *args], log, env)
