"""What `make test` does with tests that hang: each case is a run of pytest in its own process."""

from tests.suite.conftest import Run

_HANGS = """
import threading

def test_before():
    pass

def test_hangs():
    if first("hang") or {always}:
        some_lock = threading.Lock()
        some_lock.acquire()
        try:
            some_lock.acquire()
        except Exception:
            pass

def test_after():
    pass
"""
# stands for a call into C, in which Python's handler of a signal waits for the call to return
_HANGS_IN_C = """
import signal
import time

def test_before():
    pass

def test_hangs():
    if first("hang"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        time.sleep(3600)

def test_after():
    pass
"""


def test_a_test_that_hangs_fails_and_says_where(run: Run) -> None:
    code, lines = run("--timeout=1", test_some=_HANGS.format(always=True))
    assert code == 1
    assert "1 failed, 2 passed in" in lines[-1]
    told = "\n".join(lines)
    assert "Timeout (>1.0s) from pytest-timeout" in told
    assert "some_lock.acquire()" in told


def test_a_test_that_hangs_once_is_flaky(run: Run) -> None:
    code, lines = run("--timeout=1", test_some=_HANGS.format(always=False))
    assert code == 0
    assert "3 passed, 1 flaky in" in lines[-1]
    assert lines[-2].startswith("FLAKY test_some.py::test_hangs")


def test_a_test_that_hangs_where_no_signal_ends_it_ends_its_process(run: Run) -> None:
    code, lines = run("--timeout=1", "--timeout-grace=1", test_some=_HANGS_IN_C)
    assert code == 0
    told = "\n".join(lines)
    assert "3 passed, 1 flaky in" in told
    assert "Timeout (0:00:02)!" in told
    assert "in test_hangs" in told
