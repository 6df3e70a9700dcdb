"""Which frames of a stack are the app's own, and at which step a run failed."""

import time

import pytest

from inngest_py.domain.reports.error_groups import FailedStep, failure
from inngest_py.domain.reports.stack_frames import own_frames

PYTHON = """Traceback (most recent call last):
  File "/app/.venv/lib/python3.11/site-packages/inngest/_internal/x.py", line 1, in call
    x
  File "/srv/r17/app/shop/orders.py", line 12, in place
    y
  File "/srv/r17/app/shop/stock.py", line 44, in reserve
    y
  File "/srv/r17/app/shop/stock.py", line 44, in reserve
    y
  File "/usr/lib/python3.11/socket.py", line 5, in connect
OutOfStock: x"""
TYPESCRIPT = """Error: boom
    at reserve (/app/src/orders.ts:12:5)
    at async Object.fn (file:///app/src/fns.ts:3:1)
    at /app/src/anon.ts:3:1
    at async InngestFn.x (/app/node_modules/inngest/x.js:1:1)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)"""
GO = """goroutine 1 [running]:
runtime/debug.Stack()
\t/usr/local/go/src/runtime/debug/stack.go:24 +0x65
main.reserve(0x1, {0x2})
\t/app/main.go:12 +0x1d
github.com/acme/shop.(*Orders).Get(...)
\t/app/shop/orders.go:30
"""


@pytest.mark.parametrize(
    ("stack", "frames"),
    [
        (PYTHON, ("shop/stock.py:reserve", "shop/orders.py:place")),
        (
            TYPESCRIPT,
            ("src/orders.ts:reserve", "src/fns.ts:Object.fn", "src/anon.ts:<anonymous>"),
        ),
        (GO, ("app/main.go:main.reserve", "shop/orders.go:shop.(*Orders).Get")),
        ("at line 1", ()),
        ("", ()),
    ],
)
def test_own_frames_come_without_lines_and_innermost_first(
    stack: str, frames: tuple[str, ...]
) -> None:
    assert own_frames(stack) == frames


def test_a_long_stack_costs_little() -> None:
    for odd in ("a" * 100_000, "a(" * 60_000, "at (" * 50_000, "(\n\t" * 50_000, "  at x" * 20_000):
        before = time.process_time()
        own_frames(odd)
        assert time.process_time() - before < 0.5


RUN = '{"message":"no funds","name":"StepError"}'
STEP = '{"message":"no funds","name":"Declined"}'


@pytest.mark.parametrize(
    ("steps", "step", "name"),
    [
        ([FailedStep("pay-3", STEP, is_last=False)], "pay", "Declined"),  # another one ended later
        ([FailedStep("pay", '{"message":"x","name":"X"}', is_last=True)], "pay", "StepError"),
        ([FailedStep("pay", '{"message":"x","name":"X"}', is_last=False)], None, "StepError"),
        ([], None, "StepError"),
    ],
)
def test_a_run_failed_at_the_step_whose_error_it_raised(
    steps: list[FailedStep], step: str | None, name: str
) -> None:
    found = failure(RUN, steps)
    assert (found.step, found.name, found.message) == (step, name, "no funds")


def test_an_error_that_is_cut_off_has_its_name_and_message() -> None:
    found = failure('{"message":"no \\"tea\\"\\nleft","name":"Gone","stack":"abc', [])
    assert (found.name, found.message) == ("Gone", 'no "tea"\nleft')
    assert failure(None, []).message
