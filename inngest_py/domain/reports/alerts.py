"""Alerts: which conditions operators are told of, and in what words. Pure rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import orjson

from ..values import urls

BACKLOG = "backlog"
FAILURES = "failures"
SLACK = "slack+"  # a URL with this prefix takes Slack's messages
_SLACK_HOSTS = ("hooks.slack.com",)
# A receiver that is away is tried again for about six hours.
MOST_ATTEMPTS = 12
_FIRST_DELAY = timedelta(seconds=10)
_LONGEST_SPAN = timedelta(days=7)
_LONGEST_DELAY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AlertRules:
    """The conditions of alerts, and the URLs that alerts are sent to.

    `failure_rate` is the share of failed runs among a function's runs that ended within `window`,
    if these are at least `least_runs`. `backlog` is the age of the oldest due item. A condition of
    None is not watched. An alert is not sent again within `quiet`.
    """

    urls: tuple[str, ...] = field(default=(), repr=False)
    failure_rate: float | None = 0.5
    least_runs: int = 10
    backlog: timedelta | None = timedelta(minutes=5)
    window: timedelta = timedelta(minutes=15)
    quiet: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that holds now; `key` is the same each time that it is checked."""

    key: str
    text: str
    about: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class EndedRuns:
    """How many runs of a function have ended within the window."""

    function_id: str
    slug: str
    failed: int
    total: int


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
    return found


def failing(rules: AlertRules, ended: Sequence[EndedRuns]) -> list[Alert]:
    """List an alert for each function that fails too often."""
    if rules.failure_rate is None:
        return []
    found = []
    for one in ended:
        if one.total < max(rules.least_runs, 1):
            continue
        rate = one.failed / one.total
        if rate >= rules.failure_rate and one.failed:
            about = {"function": one.slug, "failed": one.failed, "runs": one.total}
            share = f"{one.failed} of {one.total} runs ({rate:.0%})"
            text = f"{one.slug}: {share} failed within {_duration_words(rules.window)}"
            found.append(Alert(f"{FAILURES}:{one.function_id}", text, about))
    return found


def behind(rules: AlertRules, oldest: datetime | None, now: datetime) -> list[Alert]:
    """List an alert if the oldest due item has waited for too long."""
    if rules.backlog is None or oldest is None or now - oldest < rules.backlog:
        return []
    age = now - oldest
    text = f"The oldest item in the queue has been due for {_duration_words(age)}"
    return [Alert(BACKLOG, text, {"oldest_seconds": round(age.total_seconds(), 3)})]


def message(
    alert_key: str, text: str, about: Mapping[str, object], at: datetime, state: str
) -> str:
    """Write the JSON that is sent: `text` as for Slack, and fields for programs."""
    sign = "🔴" if state == "firing" else "🟢 resolved:"
    kind = alert_key.partition(":")[0]
    sent = {"text": f"{sign} {text}", "alert": kind, "state": state, "at": at.isoformat()}
    return orjson.dumps({**sent, **about}).decode()


def request(url: str, body: str) -> tuple[str, bytes]:
    """Return the URL to post to and the body, which for Slack has only `text`."""
    slack = url.startswith(SLACK)
    target = url.removeprefix(SLACK)
    if slack or urlsplit(target).hostname in _SLACK_HOSTS:
        return target, orjson.dumps({"text": orjson.loads(body)["text"]})
    return target, body.encode()


def retry_delay(attempt: int, jitter: float) -> timedelta:
    """Return the delay after a failed attempt, counted from 1; `jitter` is in [0, 1)."""
    longest = min(_FIRST_DELAY * float(2 ** min(attempt - 1, 20)), _LONGEST_DELAY)
    return longest * (0.9 + 0.2 * jitter)


def _duration_words(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
