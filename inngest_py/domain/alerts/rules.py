"""Alerts: which conditions operators are told of, and in what words. Pure rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from ..values import urls

SLACK = "slack+"  # a URL with this prefix takes Slack's messages
_LONGEST_SPAN = timedelta(days=7)
# of what happens at the same moment, so many have messages of their own
_MOST_AT_ONCE = 5
_MOST_NAMED = 20
_MOST_TEXT_CHARS = 500
# An app must be down, and a backlog must grow, for so long: a deploy or a burst alerts nobody.
_DOWN_FOR = timedelta(seconds=30)
GROWS_FOR = timedelta(minutes=3)
_GROWS_FROM = 100  # due items
_OLD_FROM = timedelta(seconds=60)


class AlertKind(StrEnum):
    """The kinds of alerts."""

    FAILURES = "failures"
    BACKLOG = "backlog"
    GROWING_BACKLOG = "growing_backlog"
    APP_DOWN = "app_down"
    NEW_ERROR = "new_error"
    MISSED_TICK = "missed_tick"


# These happen at a moment: they are told once, and are never over.
MOMENTS = frozenset({AlertKind.NEW_ERROR, AlertKind.MISSED_TICK})


@dataclass(frozen=True, slots=True)
class AlertRules:
    """The conditions of alerts, and how alerts are sent.

    `failure_rate` is the share of failed runs among a function's runs that ended within `window`,
    if these are at least `least_runs`. `backlog` is the age of the oldest due item. A condition of
    None is not watched, and of the other ones those of `kinds` are. An alert is not sent again
    within `quiet`. `urls` are receivers beside those in the database. `dashboard_url` is where
    people find the dashboard: without it messages have no links. `smtp_url` is the server for
    receivers by e-mail, and `smtp_from` the sender.
    """

    urls: tuple[str, ...] = field(default=(), repr=False)
    failure_rate: float | None = 0.5
    least_runs: int = 10
    backlog: timedelta | None = timedelta(minutes=5)
    window: timedelta = timedelta(minutes=15)
    quiet: timedelta = timedelta(hours=1)
    kinds: frozenset[AlertKind] = frozenset(AlertKind)
    dashboard_url: str | None = None
    smtp_url: str | None = field(default=None, repr=False)
    smtp_from: str = ""

    def watches(self, kind: AlertKind) -> bool:
        """Say whether alerts of a kind are looked for."""
        if kind is AlertKind.FAILURES and self.failure_rate is None:
            return False
        if kind is AlertKind.BACKLOG and self.backlog is None:
            return False
        return kind in self.kinds


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that holds now, or something that happened.

    `subject` is what it is about, as an id, if there can be several of the kind: the alert has the
    same `key` each time that it is found. `path` is the page of the dashboard to look at.
    """

    kind: AlertKind
    subject: str
    text: str
    path: str
    about: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The alert's name in the database, and for receivers that join messages."""
        return f"{self.kind}:{self.subject}" if self.subject else str(self.kind)


@dataclass(frozen=True, slots=True)
class EndedRuns:
    """How many runs of a function have ended within the window."""

    function_id: str
    slug: str
    failed: int
    total: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What was due at a moment: how many items, and for how long the oldest one.

    `is_bound` says that there may be more: the count stops there.
    """

    at: datetime
    count: int
    age: timedelta
    is_bound: bool = False


@dataclass(frozen=True, slots=True)
class DownApp:
    """An app that does not answer."""

    app_id: str
    name: str
    since: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class MissedTick:
    """The first of the ticks that a function's schedule has missed, and when that was seen."""

    function_id: str
    slug: str
    expression: str
    tick: datetime


@dataclass(frozen=True, slots=True)
class NewError:
    """An error group that runs failed for the first time, or again after it was resolved.

    `at` is when that was, and `is_regression` that it was resolved. `step` is None if the function
    failed outside of its steps.
    """

    error_id: str
    slug: str
    step: str | None
    name: str
    message: str
    at: datetime
    is_regression: bool


def errors(rules: AlertRules) -> list[str]:
    """List what is wrong with rules, and the fixes. URLs are not shown, as they may be secret."""
    found = []
    for number, url in enumerate(rules.urls, start=1):
        if not urls.is_http(url.removeprefix(SLACK)):
            found.append(
                f"alert URL {number} is not one: use https://HOST/PATH, or slack+https://HOST/PATH"
                " for services that take Slack's messages (INNGEST_ALERT_URLS)"
            )
    if rules.failure_rate is not None and not 0 < rules.failure_rate <= 1:
        found.append(
            "the failure rate must be over 0 and up to 1; 0 is off (INNGEST_ALERT_FAILURE_RATE)"
        )
    if rules.least_runs < 1:
        found.append("the least number of runs must be 1 or more (INNGEST_ALERT_LEAST_RUNS)")
    for span, name in (
        (rules.backlog, "INNGEST_ALERT_BACKLOG_SECONDS"),
        (rules.window, "INNGEST_ALERT_WINDOW_MINUTES"),
        (rules.quiet, "INNGEST_ALERT_QUIET_MINUTES"),
    ):
        if span is not None and not timedelta(seconds=1) <= span <= _LONGEST_SPAN:
            found.append(f"{name} must be a second to 7 days")
    if rules.dashboard_url is not None and not urls.is_http(rules.dashboard_url):
        found.append("the dashboard's URL must be http(s)://HOST[/PATH] (INNGEST_DASHBOARD_URL)")
    return found


def failing(rules: AlertRules, ended: Sequence[EndedRuns]) -> list[Alert]:
    """List an alert for each function that fails too often."""
    found = []
    for one in ended:
        if one.total < max(rules.least_runs, 1) or rules.failure_rate is None:
            continue
        rate = one.failed / one.total
        if rate >= rules.failure_rate and one.failed:
            about = {"function": one.slug, "failed": one.failed, "runs": one.total}
            share = f"{one.failed} of {one.total} runs ({rate:.0%})"
            text = f"{one.slug}: {share} failed within {_duration_words(rules.window)}"
            path = f"/functions/{one.function_id}"
            found.append(Alert(AlertKind.FAILURES, one.function_id, text, path, about))
    return found


def behind(rules: AlertRules, now: Backlog) -> list[Alert]:
    """List an alert if the oldest due item has waited for too long."""
    if rules.backlog is None or not now.count or now.age < rules.backlog:
        return []
    text = f"The oldest item in the queue has been due for {_duration_words(now.age)}"
    about = {"oldest_seconds": round(now.age.total_seconds(), 3)}
    return [Alert(AlertKind.BACKLOG, "", text, "/queues", about)]


def growing(seen: Sequence[Backlog]) -> list[Alert]:
    """List an alert if what is due will not be drained at the present rate.

    `seen` are looks at the queue, oldest first. The oldest item gets older only if less is taken
    than arrives; the count alone says nothing where it stops at its bound.
    """
    if not seen:
        return []
    last = seen[-1]
    span = [one for one in seen if one.at >= last.at - GROWS_FOR]
    first = span[0]
    is_seen_for_long = any(one.at <= last.at - GROWS_FOR for one in seen)
    is_large = all(one.count >= _GROWS_FROM for one in span) and last.age >= _OLD_FROM
    has_grown = last.age > first.age and (last.is_bound or last.count >= first.count)
    if not (is_seen_for_long and is_large and has_grown):
        return []
    if last.is_bound:
        due = f"more than {last.count:,} items are due"
    else:
        span_words = _duration_words(last.at - first.at)
        due = (
            f"{last.count:,} items are due, {last.count - first.count:,} more than {span_words} ago"
        )
    oldest = f"the oldest for {_duration_words(last.age)}"
    text = f"The queue will not be drained at the present rate: {due}, {oldest}"
    about = {"due": last.count, "oldest_seconds": round(last.age.total_seconds(), 3)}
    return [Alert(AlertKind.GROWING_BACKLOG, "", text, "/queues", about)]


def recent(seen: Sequence[Backlog], now: datetime) -> list[Backlog]:
    """Return the looks that growing() needs: those of its span, and the one before it."""
    older = [one for one in seen if one.at <= now - GROWS_FOR]
    return older[-1:] + [one for one in seen if one.at > now - GROWS_FOR]


def down(apps: Sequence[DownApp], now: datetime) -> list[Alert]:
    """List an alert for each app that has been down for a while."""
    found = []
    for app in apps:
        if now - app.since < _DOWN_FOR:
            continue
        at = f"{app.since:%Y-%m-%d %H:%M:%S} UTC"
        text = _cut(f"The app {app.name} has not been reached since {at}: {app.cause}")
        about = {"app": app.name, "since": app.since.isoformat(), "cause": app.cause}
        found.append(Alert(AlertKind.APP_DOWN, app.app_id, text, "/apps", about))
    return found


def missed(ticks: Sequence[MissedTick]) -> list[Alert]:
    """List an alert for each tick that a schedule has missed."""
    found = []
    for one in ticks:
        tick = f"{one.tick:%Y-%m-%d %H:%M} UTC"
        text = f"{one.slug}: the cron {one.expression} missed its tick of {tick}"
        about = {"function": one.slug, "cron": one.expression, "tick": one.tick.isoformat()}
        subject = f"{one.function_id}:{one.expression}:{one.tick:%Y%m%dT%H%M}"
        path = f"/functions/{one.function_id}"
        found.append(Alert(AlertKind.MISSED_TICK, subject, text, path, about))
    return found


def new_errors(found: Sequence[NewError]) -> list[Alert]:
    """List an alert for each error that is new, or back."""
    alerts = []
    for one in found:
        where = one.slug if one.step is None else f"{one.slug}, step {one.step}"
        what = "An error is back" if one.is_regression else "A new error"
        text = _cut(f"{what} in {where}: {': '.join(filter(None, (one.name, one.message)))}")
        about = {
            "error": one.error_id,
            "function": one.slug,
            "step": one.step,
            "regression": one.is_regression,
            "seen_at": one.at.isoformat(),
        }
        # an error that comes back once more is another alert
        subject = f"{one.error_id}:{one.at:%Y%m%dT%H%M%S}" if one.is_regression else one.error_id
        alerts.append(Alert(AlertKind.NEW_ERROR, subject, text, f"/errors/{one.error_id}", about))
    return alerts


def joined(found: Sequence[Alert], path: str, what: str) -> list[Alert]:
    """Make one alert of many of a kind that are found together, so that nobody gets fifty.

    `what` names them, like "new errors", and `path` is the page that lists them.
    """
    if len(found) <= _MOST_AT_ONCE:
        return list(found)
    text = _cut(f"{len(found)} {what}: {'; '.join(one.text for one in found[:_MOST_AT_ONCE])}")
    about = {"alerts": [dict(one.about) for one in found[:_MOST_NAMED]], "count": len(found)}
    return [Alert(found[0].kind, found[0].subject, text, path, about)]


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT_CHARS else f"{text[: _MOST_TEXT_CHARS - 1]}…"


def _duration_words(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
