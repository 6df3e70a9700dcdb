"""The page of alerts: what is wrong now, and who is told of it.

A receiver's target may be a secret: no page shows it whole.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from flask import Response, request
from sqlalchemy import Connection, RowMapping
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.alerts import receivers as rules
from ...domain.alerts.receivers import ReceiverKind
from ...domain.alerts.rules import Alert, AlertKind
from ...domain.errors import Conflict, Invalid
from ...engine.alerts import receivers, watch
from ...engine.alerts.receivers import Given
from ..deps import context, read
from ..parts.notices import leave
from ..rendering import page, url
from ..routes import route
from .audit import actor

_KINDS = {
    AlertKind.FAILURES: "Too many runs of a function fail",
    AlertKind.BACKLOG: "The oldest due item is too old",
    AlertKind.GROWING_BACKLOG: "The queue will not be drained",
    AlertKind.APP_DOWN: "An app is down",
    AlertKind.NEW_ERROR: "A new error",
    AlertKind.MISSED_TICK: "A cron missed its tick",
}
_RECEIVERS = {
    ReceiverKind.WEBHOOK: "Webhook",
    ReceiverKind.SLACK: "Slack",
    ReceiverKind.EMAIL: "E-mail",
    ReceiverKind.PAGERDUTY: "PagerDuty",
}


class Shown(NamedTuple):
    """A receiver as the page shows it; `id` is None for one of the settings."""

    id: str | None
    name: str
    kind: str
    target: str
    alerts: list[str]
    sent_at: datetime | None
    failed_at: datetime | None
    error: str | None


@route("/alerts", Role.VIEWER)
def alerts() -> Response:
    """Show the alerts that are firing, and the receivers."""
    return _show()


def _show(
    problem: str | None = None, status: int = 200, *, wrong: Mapping[str, str] | None = None
) -> Response:
    """Make the page; `wrong` says by field what was wrong with the form."""

    def load(tx: Connection) -> tuple[list[tuple[Alert, datetime]], Sequence[RowMapping]]:
        return watch.firing(tx), receivers.added(tx)

    firing, rows = read(load)
    wanted = context().tuning.alerts
    return page(
        "alerts.html",
        status,
        firing=firing,
        receivers=_of_settings(wanted.urls) + [_shown(row) for row in rows],
        words=_KINDS,
        kinds=[(kind, text) for kind, text in _KINDS.items() if wanted.watches(kind)],
        receiver_kinds=_RECEIVERS,
        has_links=wanted.dashboard_url is not None,
        problem=problem,
        given=request.form if wrong is not None else {},
        chosen=request.form.getlist("alerts") if wrong is not None else [],
        wrong=wrong or {},
    )


def _of_settings(alert_urls: Sequence[str]) -> list[Shown]:
    return [
        Shown(
            None,
            one.name,
            _RECEIVERS[one.kind],
            rules.shown_target(one.kind, one.target),
            [],
            None,
            None,
            None,
        )
        for one in rules.of_settings(alert_urls)
    ]


def _shown(row: RowMapping) -> Shown:
    one = receivers.read(row)
    return Shown(
        one.id,
        one.name,
        _RECEIVERS[one.kind],
        rules.shown_target(one.kind, one.target),
        [_KINDS[kind] for kind in AlertKind if kind in one.alerts],
        row["sent_at"],
        row["failed_at"],
        row["error"],
    )


@route("/alerts/receivers", Role.ADMIN, methods=("POST",))
def receiver_add() -> AnyResponse:
    """Add a receiver."""
    given = Given(
        name=request.form.get("name", "").strip(),
        kind=request.form.get("kind", ""),
        target=request.form.get("target", "").strip(),
        alerts=request.form.getlist("alerts"),
    )
    try:
        receivers.add(context(), given, actor())
    except Invalid as error:
        return _show(None, 400, wrong={error.field or "name": error.message})
    except Conflict as error:
        return _show(None, 409, wrong={"name": error.message})
    return leave(url("alerts"), "receiver-added")


@route("/alerts/receivers/<receiver_id>/test", Role.ADMIN, methods=("POST",))
def receiver_test(receiver_id: str) -> AnyResponse:
    """Send a test to a receiver, and say how it went."""
    problem = receivers.test(context(), receiver_id, actor())
    if problem is not None:
        return _show(f"The receiver did not accept the test: {problem}", 502)
    return leave(url("alerts"), "receiver-tried")


@route("/alerts/receivers/<receiver_id>/remove", Role.ADMIN, methods=("POST",))
def receiver_remove(receiver_id: str) -> AnyResponse:
    """Remove a receiver."""
    receivers.remove(context(), receiver_id, actor())
    return leave(url("alerts"), "receiver-removed")
