"""Beat entries as cron triggers: their ticks are those that Celery's own beat would have."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import crontab, schedule, solar
from hypothesis import assume, given
from hypothesis import strategies as st

from inngest_py.cli.celery.beat import entries_of
from inngest_py.domain.errors import Invalid
from inngest_py.domain.functions import beat_schedules, cron


def beat_app(zone: str | None = "UTC", **entries: dict[str, Any]) -> Celery:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.timezone = zone
    app.conf.beat_schedule = {
        name: {"task": "shop.note", **entry} for name, entry in entries.items()
    }
    return app


def trigger_of(when: object, zone: str | None = "UTC", **more: Any) -> dict[str, object]:
    [entry], refused = entries_of(beat_app(zone, one={"schedule": when, **more}))
    assert not refused
    return entry.trigger


def text_of(when: object, zone: str | None = "UTC", **more: Any) -> str:
    name, _, rest = str(trigger_of(when, zone, **more)["cron"]).rpartition(" #")
    assert rest == "one"
    return name


@pytest.mark.parametrize(
    ("when", "zone", "wanted"),
    [
        (crontab(), "UTC", "* * * * *"),
        (crontab(minute="*/15", hour="8-18"), "UTC", "*/15 8-18 * * *"),
        (crontab(minute=30, hour=3), "Europe/Paris", "TZ=Europe/Paris 30 3 * * *"),
        (crontab(0, 9, day_of_week="mon-fri"), "UTC", "0 9 * * 1-5"),
        (crontab(0, 0, day_of_week="sat-mon"), "UTC", "0 0 * * 0-1,6"),
        (crontab(0, 0, day_of_month="1-7", day_of_week="mon"), "UTC", "0 0 1-7 * &1"),
        (crontab(0, 22, month_of_year="*/3"), "UTC", "0 22 * */3 *"),
        (90, "UTC", "every 90s"),
        (timedelta(minutes=7), "Europe/Paris", "every 7m"),
        (timedelta(days=1), "Europe/Paris", "TZ=Europe/Paris every 24h"),
        (schedule(90, relative=True), "UTC", "every 1m"),
        (schedule(timedelta(hours=5, minutes=3), relative=True), "UTC", "every 5h"),
        (schedule(timedelta(hours=50), relative=True), "Asia/Tokyo", "TZ=Asia/Tokyo every 48h"),
    ],
)
def test_entry_is_written_as_a_schedule(when: object, zone: str, wanted: str) -> None:
    assert text_of(when, zone) == wanted


def test_relative_is_read_beside_the_schedule() -> None:
    assert text_of(timedelta(seconds=150), relative=True) == "every 2m"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"schedule": solar.__new__(solar)}, "follows the sun"),
        ({}, "it has no schedule"),
        ({"schedule": 0.5}, "no whole number of seconds"),
        ({"schedule": 60, "task": "celery.backend_cleanup"}, "one of Celery's own"),
        ({"schedule": crontab(nowfun=datetime.now)}, "clock of its own"),
        ({"schedule": type("Own", (schedule,), {})(60)}, "only beat knows when its Own is due"),
        ({"schedule": 60, "options": {"expires": datetime.now(UTC)}}, "one moment"),
        ({"schedule": 60, "args": [{1, 2}]}, "its args cannot be written as JSON"),
        ({"schedule": 60, "kwargs": {"n": float("nan")}}, "its kwargs cannot be written as JSON"),
    ],
)
def test_entry_that_cannot_be_kept_is_refused_with_the_reason(
    entry: dict[str, Any], reason: str
) -> None:
    found, refused = entries_of(beat_app(bad=entry, good={"schedule": 60}))
    assert [one.name for one in found] == ["good"]
    assert reason in refused["bad"]


def test_entry_of_another_type_is_refused() -> None:
    app = beat_app(good={"schedule": 60})
    app.conf.beat_schedule["bad"] = "every minute"
    assert "write it as a dictionary" in entries_of(app)[1]["bad"]


def test_zone_of_the_host_has_to_be_named() -> None:
    app = beat_app(None, one={"schedule": crontab()})
    app.conf.enable_utc = False
    assert "--timezone" in entries_of(app)[1]["one"]
    [entry], _ = entries_of(app, "Europe/Rome")
    assert str(entry.trigger["cron"]).startswith("TZ=Europe/Rome ")


def test_arguments_and_options_are_kept() -> None:
    options = {"queue": "slow", "priority": 3, "expires": timedelta(minutes=1), "countdown": 5}
    app = beat_app(
        one={
            "schedule": 60,
            "args": ("a", 1, None, [True, 2.5]),
            "kwargs": {"key": 'it "is" é\n', "at": datetime(2026, 1, 2, tzinfo=UTC)},
            "options": options,
        }
    )
    [entry], _ = entries_of(app)
    assert entry.left_out == ("countdown",)
    kept = {name: entry.trigger[name] for name in ("queue", "priority", "expires")}
    assert kept == {"queue": "slow", "priority": 3, "expires": 60.0}
    assert entry.trigger["args"] == '["a", 1, null, [true, 2.5]]'


def test_interval_is_the_same_wherever_and_whenever_it_is_asked() -> None:
    start = datetime(2026, 3, 28, 10, 0, 17, tzinfo=UTC)
    for text in ("every 90s", "every 7m", "TZ=Europe/Paris every 48h", "every 24h"):
        first = cron.next_after(text, start)
        assert first is not None
        second = cron.next_after(text, first)
        assert second is not None
        for part in (0.0, 0.3, 0.999):
            assert cron.next_after(text, first + (second - first) * part) == second


def test_interval_of_days_begins_at_midnight_over_a_change_of_clocks() -> None:
    tick, zone = datetime(2026, 3, 26, tzinfo=UTC), ZoneInfo("Europe/Paris")
    for _ in range(4):
        following = cron.next_after("TZ=Europe/Paris every 24h", tick)
        assert following is not None
        assert following.astimezone(zone).strftime("%H:%M") == "00:00"
        tick = following


def test_interval_needs_whole_seconds() -> None:
    for text in ("every 0s", "every 1500ms", "every", "every x", "TZ=Nowhere every 1s"):
        with pytest.raises(Invalid):
            cron.validate_of_task(text)
    with pytest.raises(Invalid):
        cron.validate("every 90s")  # an SDK's schedule has five fields


def subsets(least: int, most: int) -> st.SearchStrategy[str]:
    one = st.integers(least, most).map(str)
    step = st.integers(1, most // 2 + 1).map(lambda number: f"*/{number}")
    few = st.lists(one, min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), step, few)


CRONTABS = st.builds(
    lambda minute, hour, day, month, weekday: crontab(
        minute, hour, day_of_month=day, month_of_year=month, day_of_week=weekday
    ),
    subsets(0, 59),
    subsets(0, 23),
    subsets(1, 28),
    subsets(1, 12),
    subsets(0, 6),
)
ZONES = ["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]


def celerys_next(when: crontab, last: datetime, zone: str) -> datetime:
    """Ask Celery when a crontab is due that was due last at a moment."""
    local = last.astimezone(ZoneInfo(zone))
    when.app.conf.timezone = zone
    when.nowfun = lambda: local
    when.__dict__["tz"] = ZoneInfo(zone)
    return (local.astimezone(UTC) + when.remaining_estimate(local)).astimezone(UTC)


def changes_clocks(zone: str, begin: datetime, end: datetime) -> bool:
    """Say whether the zone's offset changes from one moment to another, or a day around them."""
    moment, tz = begin - timedelta(days=1), ZoneInfo(zone)
    first = moment.astimezone(tz).utcoffset()
    while moment < end + timedelta(days=1):
        moment += timedelta(hours=1)
        if moment.astimezone(tz).utcoffset() != first:
            return True
    return False


@given(CRONTABS, st.sampled_from(ZONES), st.integers(1_700_000_000, 1_800_000_000))
def test_next_tick_is_that_of_celery(when: crontab, zone: str, seconds: int) -> None:
    """Changes of clocks are in tests of their own."""
    last = datetime.fromtimestamp(seconds // 60 * 60, UTC)
    text = beat_schedules.Crontab(
        frozenset(when.minute),
        frozenset(when.hour),
        frozenset(when.day_of_month),
        frozenset(when.month_of_year),
        frozenset(when.day_of_week),
    ).schedule(zone)
    ours = cron.next_after(text, last)
    assert ours is not None
    assume((ours - last).days < 60 and not changes_clocks(zone, last, ours))
    assert celerys_next(when, last, zone) == ours


@pytest.mark.parametrize(
    ("text", "when", "begin", "celerys", "own"),
    [
        # the local time is skipped: Celery runs the task an hour later, here it has no tick
        ("30 2 * * *", crontab(30, 2), "2026-03-28T12:00", ["29 03:30", "30 02:30"], ["30 02:30"]),
        # it comes twice: Celery takes the first, here both are ticks
        (
            "30 2 * * *",
            crontab(30, 2),
            "2026-10-24T12:00",
            ["25 02:30", "26 02:30"],
            ["25 02:30", "25 02:30", "26 02:30"],
        ),
        # each hour: Celery leaves out the second of the two
        (
            "0 * * * *",
            crontab(0, "*"),
            "2026-10-24T23:30",
            ["25 02:00", "25 03:00", "25 04:00"],
            ["25 02:00", "25 02:00", "25 03:00", "25 04:00"],
        ),
        # hours that no change of clocks touches are the same
        ("0 1 * * *", crontab(0, 1), "2026-10-24T12:00", ["25 01:00"], ["25 01:00"]),
        ("0 3 * * *", crontab(0, 3), "2026-03-28T12:00", ["29 03:00"], ["29 03:00"]),
    ],
)
def test_ticks_differ_from_celerys_only_while_clocks_change(
    text: str, when: crontab, begin: str, celerys: list[str], own: list[str]
) -> None:
    zone = "Europe/Paris"

    def ticks(following: Any, count: int) -> list[str]:
        found, moment = [], datetime.fromisoformat(f"{begin}:00+00:00")
        for _ in range(count):
            moment = following(moment)
            found.append(moment.astimezone(ZoneInfo(zone)).strftime("%d %H:%M"))
        return found

    assert ticks(lambda last: celerys_next(when, last, zone), len(celerys)) == celerys
    assert ticks(lambda last: cron.next_after(f"TZ={zone} {text}", last), len(own)) == own
