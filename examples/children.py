"""Start the processes of an example together, and stop them together, whatever ends first."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

Children = list[subprocess.Popen[bytes]]
_START_SECONDS = 30.0
# a little longer than the server's own grace for calls in flight
_STOP_SECONDS = 35.0


def heed_signals() -> None:
    """Let SIGTERM and SIGHUP end the example as Ctrl-C does, by KeyboardInterrupt."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def start(*args: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a Python program with more variables."""
    return start_program(sys.executable, *args, env=env)


def start_program(*argv: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program with more variables.

    It gets a session of its own: a terminal's Ctrl-C then reaches the example alone, and each
    child is asked to stop exactly once.
    """
    return subprocess.Popen(argv, env={**os.environ, **env}, start_new_session=True)


def alive(children: Children) -> bool:
    """Say whether all of them run."""
    return all(child.poll() is None for child in children)


def get(url: str) -> bytes | None:
    """Read a URL; None when nothing answers there."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            found: bytes = reply.read()
            return found
    except (urllib.error.URLError, OSError):
        return None


def wait(done: Callable[[], bool], children: Children) -> bool:
    """Wait until it is done; give up when a child ends or it takes too long."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and alive(children):
        if done():
            return True
        time.sleep(0.1)
    return False


def watch(children: Children) -> int:
    """Wait until one of them ends; return the exit code that says so."""
    while alive(children):
        time.sleep(0.2)
    print("One of them ended; stopping the others.", flush=True)
    return 1


def stop(children: Children) -> None:
    """Ask each to stop, then make sure that nothing of its group is left."""
    # a second Ctrl-C may not cut the cleaning short
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"{child.args!r} did not stop; killing it.", flush=True)
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
