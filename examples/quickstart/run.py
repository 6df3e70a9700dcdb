"""Start the server and the demo app together, say what to do next, and stop both on Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

SERVER = "http://127.0.0.1:8288"
APP = "http://127.0.0.1:8000/api/inngest"
_START_SECONDS = 30.0
# a little longer than the server's own grace for calls in flight
_STOP_SECONDS = 35.0

_NEXT = f"""
The server is at {SERVER}, the demo app at {APP}. Send an event:

  curl -X POST {SERVER}/e/dev -H 'Content-Type: application/json' \\
    -d '{{"name": "shop/order.placed", "data": {{"order": "A-1"}}}}'

and watch its run (one step fails twice before it succeeds):

  {SERVER}/api/v1/runs

Ctrl-C stops both.
"""


def main() -> int:
    """Run both until one ends or somebody stops us; say how it went as an exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    children: list[subprocess.Popen[bytes]] = []
    try:
        children.append(_start(str(Path(__file__).with_name("app.py"))))
        # the default waits of 15 s and more before a retry would make a dull demo
        children.append(_start("-m", "inngest_py", "dev", "-u", APP, "--retry-interval", "2"))
        if _wait_healthy(children):
            print(_NEXT, flush=True)
        while all(child.poll() is None for child in children):
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


def _wait_healthy(children: list[subprocess.Popen[bytes]]) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and all(child.poll() is None for child in children):
        try:
            urllib.request.urlopen(f"{SERVER}/health", timeout=2).close()
            return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
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
            print(f"{child.args} did not stop; killing it.", flush=True)
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    sys.exit(main())
