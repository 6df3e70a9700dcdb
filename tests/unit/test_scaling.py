"""How many workers a backlog needs."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.reports.scaling import WITHIN, WorkLoad, advise

IDLE = WorkLoad(
    due=0,
    is_more=False,
    oldest=None,
    in_flight=0,
    per_item=timedelta(seconds=1),
    busy=0.0,
    workers=1,
    slots=100,
)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@st.composite
def loads(draw: st.DrawFn) -> WorkLoad:
    due = draw(st.integers(0, 100_000))
    workers = draw(st.integers(0, 50))
    return WorkLoad(
        due=due,
        is_more=draw(st.booleans()),
        oldest=seconds(draw(st.floats(0, 10_000))) if due else None,
        in_flight=draw(st.integers(0, 5_000)),
        per_item=draw(st.none() | st.floats(0, 7_200).map(seconds)),
        busy=draw(st.floats(0, 5_000)),
        workers=workers,
        slots=workers * draw(st.integers(1, 500)),
    )


EACH = st.integers(1, 1_000)


@given(loads(), EACH)
def test_there_is_a_worker_and_never_a_slot_too_many(load: WorkLoad, each: int) -> None:
    """A slot more than there are items would do nothing; the busy ones are for those that come."""
    found = advise(load, slots_per_worker=each)
    assert found.workers >= 1
    assert (found.workers - 1) * each < max(found.slots, 1)
    assert found.slots <= max(load.busy, load.due + load.in_flight) / 0.8 + 1
    assert found.slots >= load.busy - 1e-3


@given(loads(), EACH, st.integers(0, 10_000), st.floats(0, 1_000))
def test_more_to_do_never_needs_fewer(load: WorkLoad, each: int, more: int, busier: float) -> None:
    def workers(changed: WorkLoad) -> int:
        return advise(changed, slots_per_worker=each).workers

    now = workers(load)
    assert workers(replace(load, due=load.due + more)) >= now
    assert workers(replace(load, busy=load.busy + busier)) >= now
    if load.oldest is not None:
        assert workers(replace(load, oldest=load.oldest + seconds(busier))) >= now
    if load.per_item is not None:
        assert workers(replace(load, per_item=load.per_item + seconds(busier))) >= now


@given(loads(), EACH)
def test_larger_workers_and_more_patience_never_need_more(load: WorkLoad, each: int) -> None:
    found = advise(load, slots_per_worker=each)
    assert advise(load, slots_per_worker=2 * each).workers <= found.workers
    assert advise(load, slots_per_worker=each, within=2 * WITHIN).workers <= found.workers


@given(loads(), EACH)
def test_what_is_due_is_done_in_time(load: WorkLoad, each: int) -> None:
    """Its work fits into the slots that are added to the busy ones, in a quarter of the time."""
    found = advise(load, slots_per_worker=each)
    free = found.workers * each - load.busy
    took = timedelta(seconds=1) if load.per_item is None else load.per_item
    enough = free >= load.due * (took / WITHIN) - 1e-3
    assert enough or found.workers * each >= load.due + load.in_flight


@pytest.mark.parametrize(
    ("load", "workers"),
    [
        (IDLE, 1),
        (replace(IDLE, busy=79.0), 1),
        (replace(IDLE, busy=81.0), 2),
        # 6,000 items of a second in a minute are 100 slots more
        (replace(IDLE, due=6_000, oldest=seconds(0), busy=60.0), 2),
        # half of the minute has gone: 200 slots more
        (replace(IDLE, due=6_000, oldest=seconds(30), busy=60.0), 4),
        # a backlog of an hour asks for four times as much as a new one, not for thousands
        (replace(IDLE, due=6_000, oldest=seconds(3_600), busy=0.0), 5),
        (replace(IDLE, due=6_000, oldest=seconds(0), per_item=None, busy=0.0), 2),
        # one call of two hours needs one slot
        (replace(IDLE, due=1, oldest=seconds(50), per_item=seconds(7_200)), 1),
    ],
)
def test_examples(load: WorkLoad, workers: int) -> None:
    assert advise(load, slots_per_worker=100).workers == workers


def test_the_reason_has_the_figures() -> None:
    load = replace(IDLE, due=6_000, oldest=seconds(30), busy=60.0, in_flight=97)
    assert advise(load, slots_per_worker=100).reason == (
        "60.0 slots are busy; 6000 due items wait, the oldest for 30 s, and should be done"
        " within 30 s, where each keeps a slot for 1 s; with a fifth to spare, that needs 325 slots"
        " of 100 a worker; 1 worker with 100 slots alive now"
    )


def test_free_slots_beside_old_items_are_named() -> None:
    load = replace(IDLE, due=5, oldest=seconds(300))
    assert "most slots are free" in advise(load, slots_per_worker=100).reason
    busy = replace(load, in_flight=90)
    assert "most slots are free" not in advise(busy, slots_per_worker=100).reason


def test_nothing_to_do() -> None:
    load = replace(IDLE, per_item=None, workers=0, slots=0)
    found = advise(load, slots_per_worker=100)
    assert (found.workers, "no item waits" in found.reason) == (1, True)
    assert "0 workers with 0 slots" in found.reason
