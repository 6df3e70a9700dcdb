"""What `inngest-py clock` says while a long move goes on: how far it is, and how to stop it."""

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from inngest_py.cli import clock
from inngest_py.cli.clock import clock as command

TARGET = "2027-01-03T00:00:00.000000Z"


def shown(now: str, *, moving: bool = True, **more: Any) -> dict[str, Any]:
    quiet = {"frozen": False, "next_at": None, "waits_for": None, "moments": 3, "error": None}
    return {"data": quiet | {"now": now, "moving_to": TARGET if moving else None} | more}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the server answers, one by one; half a minute passes between two looks."""
    given: list[Any] = []
    passed: Iterator[int] = iter(range(0, 3000, 30))

    def call(*_: object, **__: object) -> Any:
        answer = given.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(clock, "call", call)
    monkeypatch.setattr("inngest_py.cli.clock.time.monotonic", lambda: next(passed))
    monkeypatch.setattr("inngest_py.cli.clock.time.sleep", lambda _: None)
    return given


def run() -> Result:
    return CliRunner().invoke(command, ["advance", "2d"])


def test_a_long_move_says_how_long_it_may_take(answers: list[Any]) -> None:
    answers += [
        shown("2027-01-01T00:00:00.000000Z"),
        shown("2027-01-01T00:12:00.000000Z", waits_for="the start of run 1"),
        shown(TARGET, moving=False),
    ]
    result = run()
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[:2] == [
        f"at 2027-01-01T00:00:00.000000Z of {TARGET}",
        f"at 2027-01-01T00:12:00.000000Z of {TARGET}, about 3 h 59 min left,"
        " waits for the start of run 1",
    ]


def test_who_stops_waiting_is_told_that_the_clock_moves_on(answers: list[Any]) -> None:
    answers += [shown("2027-01-01T00:00:00.000000Z"), KeyboardInterrupt()]
    result = run()
    assert result.exit_code == 1
    assert f"the clock moves on to {TARGET}: `inngest-py clock freeze` stops it" in result.stderr


def test_a_move_that_was_stopped_has_not_arrived(answers: list[Any]) -> None:
    stopped = shown("2027-01-02T00:00:00.000000Z", moving=False, frozen=True)
    answers += [shown("2027-01-01T00:00:00.000000Z"), stopped]
    result = run()
    assert result.exit_code == 1
    assert "the move was stopped before that (the clock is at 2027-01-02T00:00" in result.stderr
