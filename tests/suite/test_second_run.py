"""What `make test` does with tests that fail: each case is a run of pytest in its own process."""

from pathlib import Path

from tests.second_run import MOST
from tests.suite.conftest import Run


def test_a_test_that_then_passes_is_listed_last_and_its_first_output_kept(
    run: Run, tmp_path: Path
) -> None:
    code, lines = run(
        test_some="""
def test_good():
    pass

def test_once():
    print("said the first time")
    assert not first("once"), "the reason"
"""
    )
    assert code == 0
    assert "2 passed, 1 flaky in" in lines[-1]
    kept = Path("build/flaky/test_some.py_test_once.txt")
    assert lines[-2] == f"FLAKY test_some.py::test_once ({kept})"
    assert not any(line.startswith(("FAILED", "ERROR")) for line in lines)
    text = (tmp_path / kept).read_text()
    assert "said the first time" in text and "AssertionError: the reason" in text


def test_a_test_that_fails_twice_fails_the_run_and_shows_both_failures(
    run: Run, tmp_path: Path
) -> None:
    code, lines = run(
        test_some="""
def test_good():
    pass

def test_twice():
    assert False, "first reason" if first("twice") else "second reason"

def test_once():
    assert not first("once")
"""
    )
    assert code == 1
    assert "1 failed, 2 passed, 1 flaky in" in lines[-1]
    assert lines[-2].startswith("FLAKY test_some.py::test_once")
    told = "\n".join(lines)
    assert "AssertionError: first reason" in told and "AssertionError: second reason" in told
    assert [p.name for p in (tmp_path / "build/flaky").glob("test_*")] == [
        "test_some.py_test_once.txt"
    ]


def test_a_failing_teardown_is_run_again_too(run: Run) -> None:
    code, lines = run(
        test_some="""
import pytest

@pytest.fixture
def once():
    yield
    assert not first("teardown")

@pytest.fixture
def twice():
    yield
    assert False

def test_once(once):
    pass

def test_twice(twice):
    pass
"""
    )
    assert code == 1
    assert "2 passed, 1 error, 1 flaky in" in lines[-1].replace(
        "1 flaky, 1 error", "1 error, 1 flaky"
    )
    assert lines[-2].startswith("FLAKY test_some.py::test_once")


def test_a_test_that_is_skipped_the_second_time_has_not_passed(run: Run) -> None:
    code, lines = run(
        test_some="""
import pytest

def test_some():
    if not first("some"):
        pytest.skip("not now")
    assert False
"""
    )
    assert code == 1
    assert "1 failed in" in lines[-1]


_CRASHES = """
import os

def test_before():
    pass

def test_crashes():
    {condition}os.kill(os.getpid(), 9)

def test_after():
    pass
"""


def test_a_test_that_crashes_its_worker_once_is_flaky(run: Run) -> None:
    code, lines = run(
        test_some=_CRASHES.format(condition="if first('crash'): "), test_other="def test_a(): pass"
    )
    assert code == 0
    assert "4 passed, 1 flaky in" in lines[-1]
    assert lines[-2].startswith("FLAKY test_some.py::test_crashes")


def test_a_test_that_crashes_its_worker_always_fails_alone(run: Run) -> None:
    again = "\ndef test_once():\n    assert not first('once')\n"
    code, lines = run(
        test_some=_CRASHES.format(condition="") + again, test_other="def test_a(): pass"
    )
    assert code == 1
    # it took one worker the first time and one the second, and nobody else with it
    assert "1 failed, 4 passed, 1 flaky in" in lines[-1]
    assert sum("replacing crashed worker" in line for line in lines) == 1
    assert any("FAILED test_some.py::test_crashes" in line for line in lines)


def test_tests_that_were_left_out_after_too_many_crashes_fail_the_run(run: Run) -> None:
    code, lines = run(
        "--max-worker-restart=0",
        "-n1",
        test_some=_CRASHES.format(condition="if first('crash'): "),
    )
    assert code == 1
    assert any(line == "1 tests were not run" for line in lines)


_SESSION = """
import pytest

@pytest.fixture(scope="session")
def server():
    assert {condition}
    return 1

def test_a(server):
    pass

def test_b(server):
    pass

def test_c():
    pass
"""


def test_a_session_fixture_that_fails_once_is_made_anew(run: Run) -> None:
    code, lines = run(test_some=_SESSION.format(condition="not first('server')"))
    assert code == 0
    assert "3 passed, 2 flaky in" in lines[-1]


def test_a_session_fixture_that_always_fails_fails_its_tests(run: Run) -> None:
    code, lines = run(test_some=_SESSION.format(condition="False"))
    assert code == 1
    assert "1 passed, 2 errors in" in lines[-1]


def test_a_collection_error_fails_the_run_whatever_passes_the_second_time(run: Run) -> None:
    code, lines = run(
        test_broken="import there_is_no_such_module",
        test_some="def test_once():\n    assert not first('once')\n",
    )
    assert code == 1
    assert "1 error" in lines[-1]
    assert any("ERROR test_broken.py" in line for line in lines)


def test_what_is_broken_all_over_is_not_run_again(run: Run) -> None:
    code, lines = run(
        test_some=f"""
import pytest

@pytest.mark.parametrize("n", range({MOST + 1}))
def test_some(n):
    assert not first(f"some{{n}}")
"""
    )
    assert code == 1
    assert f"{MOST + 1} failed in" in lines[-1]
    assert lines[-2] == f"{MOST + 1} tests failed, over {MOST}: not run once more"


def test_an_interrupted_run_is_not_run_again(run: Run) -> None:
    code, lines = run("-x", test_some="def test_once():\n    assert not first('once')\n")
    assert code != 0
    assert not any("FLAKY" in line for line in lines)


def test_outputs_of_an_older_run_are_gone(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "build/flaky"
    kept.mkdir(parents=True)
    (kept / "test_old.txt").write_text("old")
    assert run(test_some="def test_good(): pass")[0] == 0
    assert list(kept.iterdir()) == []


def test_the_slowest_are_listed_and_the_long_say_why(run: Run) -> None:
    tests = "".join(f"\ndef test_{n}():\n    'Slow: it waits.'\n" for n in range(25))
    code, lines = run(
        "--slow-after=0",
        test_some=tests + "\ndef test_silent():\n    'It is Slow: without a line of its own.'\n",
    )
    assert code == 0
    assert any("slowest 20 tests" in line for line in lines)
    assert sum(" s test_some.py::" in line for line in lines) == 20
    told = [line for line in lines if line.startswith("SLOW ")]
    assert len(told) == 1 and "test_some.py::test_silent" in told[0] and "Slow: why" in told[0]
    assert "26 passed in" in lines[-1]
