"""Services of a process run together, and no service waits much longer than its interval."""

import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inngest_py.engine.upkeep.loop import Service, Upkeep
from inngest_py.engine.upkeep.service_ticks import until_wakeup

MOMENTS = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=40))
PHASES = st.timedeltas(min_value=timedelta(0), max_value=timedelta(minutes=1))
SECOND = timedelta(seconds=1)


@given(MOMENTS, PHASES, st.sampled_from([SECOND / 4, SECOND, 10 * SECOND]))
def test_a_wake_up_comes_within_the_interval_and_a_tenth(
    now: timedelta, phase: timedelta, every: timedelta
) -> None:
    wait = until_wakeup(now, every, phase)
    assert every / 10 < wait <= every * 1.1
    assert (now + wait - phase) % every == timedelta(0)


@given(MOMENTS, PHASES)
def test_wake_ups_of_a_second_are_among_those_of_its_quarters(
    now: timedelta, phase: timedelta
) -> None:
    beat = now + until_wakeup(now, SECOND, phase)
    assert (beat - phase) % (SECOND / 4) == timedelta(0)


def test_a_service_runs_at_a_wake_up_of_its_process() -> None:
    ctx: Any = SimpleNamespace(phase=30 * SECOND)
    upkeep = Upkeep(ctx, [])
    wait = upkeep._wait(Service("any", lambda _: False, 10 * SECOND), again=False)
    at = timedelta(seconds=time.monotonic()) + wait
    off = (at - timedelta(seconds=30)) % (10 * SECOND)
    assert min(off, 10 * SECOND - off) < timedelta(seconds=2)
