"""Times that an app computed by its own clock follow the server's virtual clock."""

from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.steps.app_times import moved
from inngest_py.domain.steps.opcodes import Op, Opcode

AHEAD = timedelta(days=3, seconds=0.5)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-01-02T03:04:05.250Z", "2026-01-05T03:04:05.750000+00:00"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02", "2026-01-02"),
        ("3 days or so", "3 days or so"),
        ("90s", "90s"),
        ("9999-12-31T23:59:59.9Z", "9999-12-31T23:59:59.9Z"),
    ],
)
def test_a_computed_time_is_moved_and_a_date_is_not(given: str, expected: str) -> None:
    assert moved(Op(Opcode.SLEEP, name=given), AHEAD).name == expected
    for code in (Opcode.WAIT_FOR_EVENT, Opcode.WAIT_FOR_SIGNAL, Opcode.INVOKE_FUNCTION):
        op = moved(Op(code, name=given, opts={"timeout": given, "if": given}), AHEAD)
        assert (op.opts, op.name) == ({"timeout": expected, "if": given}, given)


@pytest.mark.parametrize("opts", [{}, {"duration": 5}, {"duration": None}])
def test_what_is_no_time_stays(opts: dict[str, Any]) -> None:
    assert moved(Op(Opcode.SLEEP, name="1h", opts=opts), AHEAD).opts == opts
    step = Op(Opcode.STEP_RUN, name="2026-01-02T03:04:05.250Z")
    assert moved(step, AHEAD) is step
