"""Receivers of alerts: what is accepted as one, and what is shown of it."""

import pytest

from inngest_py.domain.alerts import receivers, rules
from inngest_py.domain.alerts.receivers import ReceiverKind
from inngest_py.domain.alerts.rules import Alert, AlertKind
from inngest_py.domain.errors import Invalid

KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("kind", "target", "shown"),
    [
        ("webhook", "https://ops.example.com/hooks/s3cret?token=s3cret", "ops.example.com"),
        ("webhook", "https://me:s3cret@ops.example.com/", "ops.example.com"),
        ("slack", "https://hooks.slack.com/services/s3cret", "hooks.slack.com"),
        ("pagerduty", KEY, "events.pagerduty.com"),
        (
            "pagerduty",
            f"https://events.eu.pagerduty.com/v2/enqueue#{KEY}",
            "events.eu.pagerduty.com",
        ),
        ("email", "a@example.com,b@example.com", "a@example.com, b@example.com"),
    ],
)
def test_a_target_is_accepted_and_shown_without_what_is_secret(
    kind: str, target: str, shown: str
) -> None:
    read = receivers.read_kind(kind)
    assert receivers.check_target(read, target) == target
    assert receivers.shown_target(read, target) == shown


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("webhook", "ops.example.com"),
        ("webhook", "ftp://ops.example.com"),
        ("slack", ""),
        ("pagerduty", "too-short"),
        ("pagerduty", f"nothing#{KEY}"),
        ("email", ""),
        ("email", "nobody"),
        ("email", "a@example.com\nBcc: x@example.com"),
        ("email", ",".join(f"a{n}@example.com" for n in range(21))),
    ],
)
def test_another_target_is_refused_with_the_fix_but_not_shown(kind: str, target: str) -> None:
    with pytest.raises(Invalid, match=f"this is no target for {kind}: give") as refused:
        receivers.check_target(receivers.read_kind(kind), target)
    assert refused.value.field == "target"
    assert not target or target not in refused.value.message


def test_unknown_kinds_name_those_that_there_are() -> None:
    with pytest.raises(Invalid, match="webhook, slack, email, pagerduty"):
        receivers.read_kind("fax")
    with pytest.raises(Invalid, match="there is no alert 'doom': use failures"):
        receivers.read_alerts(["backlog", "doom"])


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://hooks.slack.com/services/x", ReceiverKind.SLACK),
        ("slack+https://chat.example.com/x", ReceiverKind.SLACK),
        ("https://ops.example.com/x", ReceiverKind.WEBHOOK),
    ],
)
def test_urls_of_the_settings_are_receivers(url: str, kind: ReceiverKind) -> None:
    [one] = receivers.of_settings([url])
    assert (one.kind, one.target) == (kind, url.removeprefix("slack+"))
    assert url not in repr(one)


def test_many_alerts_of_a_moment_are_one_message() -> None:
    many = [Alert(AlertKind.NEW_ERROR, str(n), f"error {n}", f"/errors/{n}") for n in range(40)]
    assert rules.joined(many[:5], "/errors", "new errors") == many[:5]
    [one] = rules.joined(many, "/errors", "new errors")
    assert one.text.startswith("40 new errors: error 0; error 1")
    assert (one.path, one.about["count"]) == ("/errors", 40)
