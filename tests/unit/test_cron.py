"""Schedules follow the protocol's vectors and the local time of their zone."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.errors import Invalid
from inngest_py.domain.functions import cron

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "vectors-cron.json").read_text())
BASE = datetime.fromisoformat(VECTORS["base"])


def ticks(text, after, count):
    found = []
    while len(found) < count and (after := cron.next_after(text, after)) is not None:
        found.append(after)
    return found


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["cron"])
def test_schedules_follow_the_vectors(case):
    if case["valid_at_sync"]:
        cron.validate(case["cron"])
    else:
        with pytest.raises(Invalid):
            cron.validate(case["cron"])
    if "next_utc" in case:
        expected = [datetime.fromisoformat(tick) for tick in case["next_utc"]]
        assert ticks(case["cron"], BASE, 3) == expected
    else:
        with pytest.raises(Invalid):
            cron.next_after(case["cron"], BASE)


def test_a_time_that_the_zone_skips_is_skipped():
    found = ticks("TZ=Europe/Paris 30 2 * * *", utc("2024-03-30T00:00"), 2)
    assert found == [utc("2024-03-30T01:30"), utc("2024-04-01T00:30")]


def test_a_time_that_the_zone_repeats_is_due_twice():
    found = ticks("TZ=Europe/Paris 30 2 * * *", utc("2024-10-26T12:00"), 3)
    assert found == [utc("2024-10-27T00:30"), utc("2024-10-27T01:30"), utc("2024-10-28T01:30")]


def test_every_minute_is_due_through_a_change_of_clocks():
    start = utc("2024-10-27T00:30")
    found = ticks("TZ=Europe/Paris * * * * *", start, 120)
    assert found == [start + timedelta(minutes=minute) for minute in range(1, 121)]


def test_a_day_whose_midnight_is_skipped_still_counts():
    found = ticks("TZ=America/Sao_Paulo 30 1 * * *", utc("2018-11-03T12:00"), 2)
    assert found == [utc("2018-11-04T03:30"), utc("2018-11-05T03:30")]


def test_a_leap_day_may_be_eight_years_away():
    assert cron.next_after("0 0 29 2 *", utc("2096-03-01T00:00")) == utc("2104-02-29T00:00")


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("0 0 2 2 &4", "2023-11-14T22:00", "2034-02-02T00:00"),
        ("0 0 29 2 &3", "2288-03-01T00:00", "2328-02-29T00:00"),
    ],
)
def test_a_date_on_a_given_weekday_may_be_forty_years_away(text, after, expected):
    assert cron.next_after(text, utc(after)) == utc(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@hourly", "2024-03-08T10:00"),
        ("TZ=Europe/Paris @daily", "2024-03-08T23:00"),
        ("@weekly", "2024-03-10T00:00"),
        ("@yearly", "2025-01-01T00:00"),
        ("@every 1m30s", "2024-03-08T10:00"),
        ("0 0 */2 * 1", "2024-03-09T00:00"),
        ("0 0 */2 * *", "2024-03-09T00:00"),
        ("0  0\t1 jAn *", "2025-01-01T00:00"),
        ("0 0 * * fri-sat", "2024-03-09T00:00"),
        ("59 9 * * *", "2024-03-08T09:59"),
        ("58 9 * * *", "2024-03-09T09:58"),
    ],
)
def test_next_after(text, expected):
    assert cron.next_after(text, BASE) == utc(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "TZ=UTC",
        "TZ= * * * * *",
        "TZ=../etc * * * * *",
        "TZ=Europe * * * * *",
        "*/0 * * * *",
        "5-1 * * * *",
        "1,,2 * * * *",
        "1- * * * *",
        "-1 * * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * foo *",
        "0 0 * * 1#2",
        "0 0 15W * *",
        "٣ * * * *",
        "* 24 * * *",
        "@never",
        "@every x",
        "* " * 200,
        "* * * * *" + " " * 300,
    ],
)
def test_text_that_is_not_a_schedule_is_invalid(text):
    with pytest.raises(Invalid):
        cron.validate(text)


def test_there_is_no_tick_after_the_last_year():
    assert cron.next_after("0 0 1 1 *", utc("9999-12-31T23:59")) is None
    assert cron.next_after("@every 48h", utc("9999-12-31T23:59")) is None


FIELD = st.sampled_from(["*", "?", "*/7", "1", "2-5", "3/2", "1,4"])


@given(
    st.tuples(FIELD, FIELD, FIELD, FIELD, FIELD).map(" ".join),
    st.integers(946_684_800, 3_786_912_000),
    st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe"]),
)
def test_the_next_tick_is_later_and_matches(fields, after, zone):
    after = datetime.fromtimestamp(after, UTC)
    found = cron.next_after(f"TZ={zone} {fields}", after)
    assert found is not None
    assert found > after
    assert (found.second, found.microsecond) == (0, 0)
    local = found.astimezone(ZoneInfo(zone))
    at = f"TZ={zone} {local.minute} {local.hour} {local.day} {local.month} *"
    assert cron.next_after(at, found - timedelta(minutes=1)) == found


@given(st.text(max_size=40) | st.text("TZ=@every0123456789*/?,- ", max_size=40))
def test_any_text_raises_only_invalid(text):
    for call in (cron.validate, lambda text: cron.next_after(text, BASE)):
        try:
            call(text)
        except Invalid:
            continue


@given(st.integers(1, 300), st.text(max_size=9), st.integers(0, 4_000_000_000))
def test_jitter_is_bounded_and_steady(seconds, function_id, tick):
    most, tick = timedelta(seconds=seconds), datetime.fromtimestamp(tick, UTC)
    delay = cron.jitter(most, function_id, tick)
    assert timedelta(seconds=1) <= delay < max(most, timedelta(seconds=1.001))
    assert delay == cron.jitter(most, function_id, tick)


def test_no_jitter_gives_no_delay():
    assert cron.jitter(timedelta(0), "f", BASE) == timedelta(0)


@pytest.mark.parametrize(
    ("text", "first", "last", "most", "expected"),
    [
        ("* * * * *", "10:00", "10:02", 9, ["10:00", "10:01", "10:02"]),
        ("* * * * *", "10:00", "10:02", 2, ["10:01", "10:02"]),
        ("*/30 * * * *", "08:00", "10:59", 2, ["10:00", "10:30"]),
        ("0 0 * * *", "00:01", "23:59", 5, []),
    ],
)
def test_ticks_are_the_newest_of_a_span(text, first, last, most, expected):
    found = cron.ticks(text, utc(f"2024-03-08T{first}"), utc(f"2024-03-08T{last}"), most)
    assert [f"{tick:%H:%M}" for tick in found] == expected


def test_ticks_of_years_are_found_from_the_end():
    found = cron.ticks("0 0 1 1 *", utc("1990-01-01T00:00"), utc("2024-06-01T00:00"), 3)
    assert found == [utc(f"{year}-01-01T00:00") for year in (2022, 2023, 2024)]
