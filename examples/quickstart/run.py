"""Start the server and the demo app together, say what to do next, and stop both on Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

# the variables that the server and app.py read themselves
SERVER = f"http://127.0.0.1:{os.environ.get('INNGEST_PORT', '8288')}"
APP = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}/api/inngest"
_START_SECONDS = 30.0
# a little longer than the server's own grace for calls in flight
_STOP_SECONDS = 35.0

_NEXT = f"""
The server is at {SERVER}, the demo app at {APP}. Send an event:

  curl -X POST {SERVER}/e/dev -H 'Content-Type: application/json' \\
    -d '{{"name": "shop/order.placed", "data": {{"order": "A-1"}}}}'

and watch its run (one step fails twice before it succeeds):

  {SERVER}/runs

Ctrl-C stops both.
"""

_NOT_YET = "\nThe demo app has not registered yet; the server keeps trying.\n"


def main() -> int:
    """Run both until one ends or somebody stops us; say how it went as an exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    children: list[subprocess.Popen[bytes]] = []
    try:
        children.append(_start(str(Path(__file__).with_name("app.py"))))
        # the server would otherwise find nobody there and look again a while later
        _wait(lambda: _get(APP) is not None, children)
        # the default waits of 15 s and more before a retry would make a dull demo
        children.append(_start("-m", "inngest_py", "dev", "-u", APP, "--retry-interval", "2"))
        registered = _wait(_registered, children)
        if _alive(children):
            print(_NEXT if registered else _NOT_YET + _NEXT, flush=True)
        while _alive(children):
            time.sleep(0.2)
        print("One of the two ended; stopping the other.", flush=True)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(children)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _start(*args: str) -> subprocess.Popen[bytes]:
    # a session of its own: a terminal's Ctrl-C then reaches us alone, and each child is asked
    # to stop exactly once
    env = {**os.environ, "INNGEST_DEV": SERVER}
    return subprocess.Popen([sys.executable, *args], env=env, start_new_session=True)


def _alive(children: list[subprocess.Popen[bytes]]) -> bool:
    return all(child.poll() is None for child in children)


def _registered() -> bool:
    return _get(f"{SERVER}/v1/apps/quickstart/functions") not in (None, b"[]", b"[]\n")


def _get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            found: bytes = reply.read()
            return found
    except (urllib.error.URLError, OSError):
        return None


def _wait(done: Callable[[], bool], children: list[subprocess.Popen[bytes]]) -> bool:
    """Wait until it is done; give up when a child ends or it takes too long."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and _alive(children):
        if done():
            return True
        time.sleep(0.1)
    return False


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
