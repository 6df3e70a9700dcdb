"""The pure rules of flow control, compared with plain simulations."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.errors import Invalid
from inngest_py.domain.flow import batching, debounce, gcra, keys, priority
from inngest_py.domain.flow.gcra import Rate
from inngest_py.domain.functions.function_config import Batch, Debounce, RateLimit, Throttle

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FN = "8a5b0000-0000-4000-a000-000000000000"


def admitted(rate: Rate, at_ms: list[int]) -> list[bool]:
    """Offer one event at each time; say which are admitted."""
    arrival, found = 0, []
    for ms in at_ms:
        now_ns = 10**18 + ms * 10**6
        room = gcra.room(rate, arrival, now_ns, 1)
        arrival = gcra.charge(rate, arrival, now_ns, room)
        found.append(bool(room))
    return found


def leaky(size: int, interval_ms: Fraction, at_ms: list[int]) -> list[bool]:
    """A bucket of `size` tokens that gains one per interval: the textbook's form of GCRA."""
    tokens, last, found = Fraction(size), Fraction(0), []
    for ms in at_ms:
        tokens = min(Fraction(size), tokens + (ms - last) / interval_ms)
        last = Fraction(ms)
        found.append(tokens >= 1)
        if tokens >= 1:
            tokens -= 1
    return found


TIMES = st.lists(st.integers(0, 5000), max_size=60).map(
    lambda gaps: [sum(gaps[: at + 1]) for at in range(len(gaps))]
)
WHOLE = st.sampled_from([1, 2, 4, 5, 8, 10, 20, 25, 40])  # divides the period evenly


@given(WHOLE, st.integers(0, 5), TIMES)
def test_a_throttle_is_a_token_bucket(limit: int, burst: int, times: list[int]) -> None:
    rate = Rate.of_throttle(Throttle(limit, 10 * SECOND, burst))
    assert admitted(rate, times) == leaky(limit + burst, Fraction(10_000, limit), times)


@given(WHOLE, TIMES)
def test_a_rate_limit_is_a_token_bucket(limit: int, times: list[int]) -> None:
    rate = Rate.of_rate_limit(RateLimit(limit, 10 * SECOND))
    assert admitted(rate, times) == leaky(limit // 10 + 1, Fraction(10_000, limit), times)


@given(st.integers(1, 10**9), st.integers(0, 100), st.integers(0, 50), st.integers(0, 10**12))
def test_room_equals_the_events_that_can_be_charged_one_by_one(
    interval: int, burst: int, count: int, late: int
) -> None:
    rate, now = Rate(interval, burst), 10**18
    arrival, taken = now - 10**11 + late, 0
    room = gcra.room(rate, arrival, now, count)
    one_by_one = arrival
    while taken < count and gcra.room(rate, one_by_one, now, 1):
        one_by_one = gcra.charge(rate, one_by_one, now, 1)
        taken += 1
    assert room == taken
    assert gcra.charge(rate, arrival, now, room) == (one_by_one if taken else max(arrival, now))
    after = gcra.charge(rate, arrival, now, room)
    opens = max(now, gcra.opens_ns(rate, after))
    assert gcra.room(rate, after, opens, 1) == 1
    assert room == count or not gcra.room(rate, after, opens - 1, 1)


@pytest.mark.parametrize(
    ("limit", "burst", "at_once"), [(1, 0, 1), (1, 1, 2), (3, 1, 4), (10, 0, 10)]
)
def test_an_idle_throttle_admits_limit_and_burst(limit: int, burst: int, at_once: int) -> None:
    rate = Rate.of_throttle(Throttle(limit, 60 * SECOND, burst))
    assert gcra.room(rate, 0, gcra.to_ns(NOW), 100) == at_once


@pytest.mark.parametrize(("limit", "at_once"), [(1, 1), (5, 1), (9, 1), (10, 2), (20, 3)])
def test_an_idle_rate_limit_admits_a_tenth_and_one(limit: int, at_once: int) -> None:
    rate = Rate.of_rate_limit(RateLimit(limit, 60 * SECOND))
    assert gcra.room(rate, 0, gcra.to_ns(NOW), 100) == at_once


def test_numbers_that_databases_and_clocks_cannot_hold_are_capped() -> None:
    rate = Rate.of_throttle(Throttle(1, timedelta(days=365_000)))
    late = gcra.charge(rate, 0, gcra.to_ns(NOW), 10**9)
    assert late == gcra.LATEST_NS
    assert gcra.to_time(late).year == 2116
    everything = Rate.of_throttle(Throttle(2**31 - 1, timedelta(microseconds=1)))
    assert gcra.room(everything, 0, gcra.to_ns(NOW), 1000) == 1000


def test_times_are_rounded_up() -> None:
    assert gcra.to_time(gcra.to_ns(NOW)) == NOW
    assert gcra.to_time(gcra.to_ns(NOW) + 1) == NOW + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("key", "event", "text", "unless"),
    [
        (None, {}, "", ""),
        ("event.data.id", {"data": {"id": "a"}}, "a", "a"),
        ("event.data.id", {"data": {"id": 1}}, "1", "1"),
        ("event.data.id", {"data": {}}, "false", None),
        ("event.data.id", {"data": {"id": False}}, "false", None),
        ("event.data.id", {"data": {"id": "false"}}, "false", "false"),
        ("int('x')", {}, "<invalid>", Invalid),
    ],
)
def test_keys(key: str | None, event: dict, text: str, unless: object) -> None:
    assert keys.text(key, event, NOW) == text
    if unless is Invalid:
        with pytest.raises(Invalid):
            keys.unless_false(key, event, NOW)
    else:
        assert keys.unless_false(key, event, NOW) == unless


def test_bucket_names() -> None:
    assert keys.function_of(keys.bucket(FN, "a")) == FN
    assert keys.bucket(FN, "a") != keys.bucket(FN, "b")
    assert len(keys.bucket(FN, "x" * 10**6)) < 100
    keys.bucket(FN, "\ud800")


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(-5, 5)), min_size=1, max_size=30),
    st.one_of(st.none(), st.integers(1, 30)),
)
def test_debounce(steps: list[tuple[int, int]], timeout: int | None) -> None:
    """The newest event is always kept; the timer is that of the last event, or the bound."""
    rule = Debounce(10 * SECOND, None, None if timeout is None else timeout * SECOND)
    parked, now, newest, restarted = None, NOW, -1, NOW
    for number, (gap, ts) in enumerate(steps):
        now += gap * SECOND
        parked = debounce.park(parked, str(number), ts, rule, now)
        if newest < 0 or ts >= steps[newest][1]:
            newest, restarted = number, now
    assert parked is not None
    assert parked.event_id == str(newest)
    assert parked.first_at == NOW + steps[0][0] * SECOND
    fires = restarted + rule.period
    assert parked.fires_at == (
        fires if rule.timeout is None else min(fires, parked.first_at + rule.timeout)
    )


def test_batches_are_full_by_number_and_by_size() -> None:
    rule = Batch(3, 5 * SECOND)
    batch = batching.opened("b", rule, NOW)
    assert batch.due_at == NOW + 5 * SECOND
    for _ in range(2):
        batch = batching.added(batch, 10)
        assert not batching.is_full(batch, rule)
    assert batching.is_full(batching.added(batch, 10), rule)
    assert not batching.is_full(batching.added(batch, batching.MAX_BYTES - 20), Batch(9, SECOND))
    assert batching.is_full(batching.added(batch, batching.MAX_BYTES - 19), Batch(9, SECOND))


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("event.data.a", 120),
        ("event.data.plan == 'pro' ? 10 : -10", 10),
        ("600", 600),
        ("100000", 43_200),
        ("-100000", -43_200),
        ("1.5", 0),
        ("'9'", 0),
        ("true", 0),
        ("event.data.none", 0),
        ("int('x')", 0),
    ],
)
def test_priority(expression: str, seconds: int) -> None:
    event = {"data": {"a": 120.0, "plan": "pro"}}
    assert priority.seconds(expression, event, NOW) == seconds


def test_ranks() -> None:
    assert priority.rank_us(NOW, 10) == priority.rank_us(NOW - 10 * SECOND, 0)


@given(
    st.integers(0, 10**15),
    st.integers(0, 10**15),
    st.integers(1, 10**12),
    st.integers(1, 10**12),
)
def test_a_bucket_of_a_changed_rate_is_as_many_events_ahead(
    now: int, ahead: int, before: int, after: int
) -> None:
    old, new = Rate(before, 3), Rate(after, 3)
    moved = gcra.rescaled(now + ahead, now, old, new)
    assert now <= moved <= gcra.LATEST_NS
    if moved < gcra.LATEST_NS:
        assert (moved - now) == min(ahead * after // before, 4 * after)
        assert gcra.rescaled(now + ahead, now, None, new) == now + min(ahead, 4 * after)
    assert gcra.rescaled(now - ahead, now, old, new) == now - ahead
    assert gcra.rescaled_all({"k": now - ahead}, now, old, new) == {}
