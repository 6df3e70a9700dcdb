"""Receivers of alerts: services and mailboxes, and what each needs to be reached. Pure rules."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.headerregistry import Address
from enum import StrEnum
from urllib.parse import urlsplit

from ..errors import Invalid
from ..values import urls
from .rules import SLACK, AlertKind

MOST_NAME_CHARS = 64
MOST_ADDRESSES = 20
_SLACK_HOSTS = ("hooks.slack.com",)
# https://developer.pagerduty.com/docs/events-api-v2: an integration key has 32 characters
_PAGERDUTY_KEY = re.compile(r"[0-9A-Za-z]{32}")
_PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"


class ReceiverKind(StrEnum):
    """What a receiver is: it decides the shape of messages."""

    WEBHOOK = "webhook"
    SLACK = "slack"
    EMAIL = "email"
    PAGERDUTY = "pagerduty"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where alerts go.

    `target` is a URL, for e-mail the addresses with commas between them, and for PagerDuty an
    integration key, which may stand behind the URL of a service that takes PagerDuty's events
    (`https://HOST/PATH#KEY`). It may be a secret. `alerts` are the kinds that the receiver wants;
    without any it gets all.
    """

    id: str
    name: str
    kind: ReceiverKind
    target: str = field(repr=False)
    alerts: frozenset[AlertKind] = frozenset()

    def wants(self, kind: AlertKind) -> bool:
        """Say whether alerts of a kind go to this receiver."""
        return not self.alerts or kind in self.alerts

    @property
    def addresses(self) -> list[str]:
        """The addresses of a receiver by e-mail."""
        return _addresses(self.target)

    @property
    def pagerduty(self) -> tuple[str, str]:
        """The URL and the integration key of a receiver of PagerDuty's events."""
        url, _, key = self.target.rpartition("#")
        return url or _PAGERDUTY_URL, key


def check_name(name: str) -> str:
    """Return the name of a receiver. Raises Invalid."""
    if not 0 < len(name) <= MOST_NAME_CHARS or not name.isprintable() or name != name.strip():
        raise Invalid(f"a name has 1 to {MOST_NAME_CHARS} printable characters", field="name")
    return name


def read_kind(text: str) -> ReceiverKind:
    """Read a kind of receiver. Raises Invalid."""
    try:
        return ReceiverKind(text)
    except ValueError:
        raise Invalid(f"kind must be one of {', '.join(ReceiverKind)}", field="kind") from None


def read_alerts(kinds: Sequence[str]) -> frozenset[AlertKind]:
    """Read the kinds of alerts that a receiver wants. Raises Invalid."""
    unknown = sorted(set(kinds).difference(AlertKind))
    if unknown:
        known = ", ".join(AlertKind)
        raise Invalid(f"there is no alert {unknown[0][:50]!r}: use {known}", field="alerts")
    return frozenset(AlertKind(kind) for kind in kinds)


def check_target(kind: ReceiverKind, target: str) -> str:
    """Return the target of a receiver. Raises Invalid, which does not show it."""
    checks = {ReceiverKind.EMAIL: _is_mail, ReceiverKind.PAGERDUTY: _is_pagerduty}
    fixes = {
        ReceiverKind.EMAIL: f"give 1 to {MOST_ADDRESSES} addresses with commas between them, like"
        " ops@example.com",
        ReceiverKind.PAGERDUTY: "give the integration key (32 letters and digits) of a service with"
        " the Events API v2",
    }
    if not checks.get(kind, urls.is_http)(target):
        fix = fixes.get(kind, "give a URL like https://HOST/PATH")
        raise Invalid(f"this is no target for {kind}: {fix}", field="target")
    return target


def _is_mail(target: str) -> bool:
    found = _addresses(target)
    return 0 < len(found) <= MOST_ADDRESSES and all(map(_is_address, found))


def _addresses(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _is_address(text: str) -> bool:
    try:
        found = Address(addr_spec=text)
    except (ValueError, IndexError, AttributeError):  # what the standard library's parser raises
        return False
    return bool(found.username and found.domain) and text.isascii() and text.isprintable()


def _is_pagerduty(target: str) -> bool:
    url, _, key = target.rpartition("#")
    return _PAGERDUTY_KEY.fullmatch(key) is not None and (not url or urls.is_http(url))


def shown_target(kind: ReceiverKind, target: str) -> str:
    """Show where a receiver is, without what may be a secret: the path of a URL, or a key."""
    if kind is ReceiverKind.EMAIL:
        return ", ".join(_addresses(target))
    if kind is ReceiverKind.PAGERDUTY:
        target = target.rpartition("#")[0] or _PAGERDUTY_URL
    return urlsplit(target).hostname or ""


def of_settings(alert_urls: Sequence[str]) -> list[Receiver]:
    """Make the receivers whose URLs are in the settings.

    Each has a hash of its URL as its id, as a URL may be a secret.
    """
    return [_of_url(number, url) for number, url in enumerate(alert_urls, start=1)]


def _of_url(number: int, url: str) -> Receiver:
    target = url.removeprefix(SLACK)
    is_slack = target != url or urlsplit(target).hostname in _SLACK_HOSTS
    kind = ReceiverKind.SLACK if is_slack else ReceiverKind.WEBHOOK
    hashed = hashlib.sha256(url.encode()).hexdigest()[:16]
    return Receiver(hashed, f"URL {number} of the settings", kind, target)
