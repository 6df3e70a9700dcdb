"""Times are read in all the formats that SDKs and people write."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.errors import Invalid
from inngest_py.domain.values import times

NOW = datetime(2024, 6, 1, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2024-06-01T10:00:00Z",
        "2024-06-01T10:00:00",
        "2024-06-01T10:00:00.000Z",
        "2024-06-01T10:00:00.000000+00:00",
        "2024-06-01T12:00:00+02:00",
        "2024-06-01T12:00:00+0200",
        "2024-06-01T05:30:00-04:30",
        "2024-06-01 10:00:00",
        "2024-06-01 10:00:00 +0000 UTC",
        "2024-06-01 12:00:00 +0200 CEST",
        "2024-06-01 13:00:00 +0300 +03",
        "Sat, 01 Jun 2024 10:00:00 GMT",
        "Sat, 1 Jun 2024 10:00:00 UTC",
        "Sat, 01 Jun 2024 12:00:00 +0200",
        "01 Jun 24 10:00 UTC",
        "01 Jun 24 12:00 +0200",
        "Saturday, 01-Jun-24 10:00:00 UTC",
        "Sat Jun  1 10:00:00 2024",
        "Sat Jun  1 10:00:00 UTC 2024",
        "Sat Jun 01 12:00:00 +0200 2024",
    ],
)
def test_parse_time(text):
    assert times.parse_time(text) == NOW
    assert times.parse_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-06-01", datetime(2024, 6, 1, tzinfo=UTC)),
        ("2024-06-01T10:00:00.123456789Z", NOW.replace(microsecond=123456)),
        ("2024-06-01T10:00:00.5Z", NOW.replace(microsecond=500_000)),
        ("Mon, 02 Jan 2006 15:04:05 MST", datetime(2006, 1, 2, 15, 4, 5, tzinfo=UTC)),
        ("02 Jan 69 15:04 MST", datetime(1969, 1, 2, 15, 4, tzinfo=UTC)),
        ("Jun  1 10:00:00", datetime(1, 6, 1, 10, tzinfo=UTC)),
        ("Jun  1 10:00:00.000", datetime(1, 6, 1, 10, tzinfo=UTC)),
    ],
)
def test_parse_time_of_other_moments(text, expected):
    assert times.parse_time(text) == expected


def test_read_time_keeps_the_offset():
    assert times.read_time("2024-06-01T12:00:00+02:00").utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "2024-13-01",
        "2024-02-30T00:00:00Z",
        "2024-06-01T25:00:00Z",
        "0000-01-01",
        "2024-06-01T10:00:00+99:00",
        "0001-01-01T00:00:00+01:00",
        "20240601",
        "1717200000",
        "now",
        "2024-06-01T10:00:00Z\n",
        " 2024-06-01",
        "Foo, 01 Jun 2024 10:00:00 GMT",
        "٢024-06-01",
    ],
)
def test_text_that_is_not_a_time_is_invalid(text):
    with pytest.raises(Invalid, match="is not a time"):
        times.parse_time(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0),
        ("0", 0),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("-5m", 0),
        ("1w2d3h4m5s", 788645),
        ("2024-06-01T11:00:00Z", 3600),
        ("2024-06-01T10:00:01.499Z", 1),
        ("2024-06-01T10:00:01.500Z", 2),
        ("2024-06-02", 14 * 3600),
        ("2020-01-01T00:00:00Z", 0),
        ("Sat, 01 Jun 2024 10:00:09 GMT", 9),
    ],
)
def test_delay(text, seconds):
    assert times.delay(text, NOW) == timedelta(seconds=seconds)


def test_a_sleep_until_a_whole_second_ends_at_it():
    now = NOW + timedelta(milliseconds=400)
    assert now + times.delay("2024-06-01T11:00:00Z", now) == NOW + timedelta(hours=1)


@pytest.mark.parametrize("text", ["5", "abc", "1 h", "tomorrow morning", "2024-06-1"])
def test_text_that_is_not_a_sleep_is_invalid(text):
    with pytest.raises(Invalid):
        times.delay(text, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("0", 1),
        ("-5", 1),
        ("9999999", 86400),
        ("2024-06-01T10:00:30Z", 30),
        ("2024-06-01T10:00:30.250000+00:00", 30.25),
        ("Sat, 01 Jun 2024 10:02:00 GMT", 120),
        ("2020-01-01T00:00:00Z", 1),
        ("2030-01-01T00:00:00Z", 86400),
    ],
)
def test_parse_retry_after(text, seconds):
    assert times.parse_retry_after(text, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "12345678", "1.5", "30s"])
def test_a_retry_after_that_is_not_valid(text):
    assert times.parse_retry_after(text, NOW) is None


@given(st.text(max_size=40) | st.text("0123456789-:T+.Z JanMonGMT,", max_size=40))
def test_any_text_raises_only_invalid(text):
    times.parse_retry_after(text, NOW)
    for call in (times.parse_time, times.read_time, lambda text: times.delay(text, NOW)):
        try:
            call(text)
        except Invalid:
            continue


@given(st.datetimes(timezones=st.just(UTC)))
def test_iso_text_is_read_back(moment):
    assert times.parse_time(moment.isoformat()) == moment
