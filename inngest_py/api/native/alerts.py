"""`/v1/alerts`: what is wrong now, and the receivers that are told of it."""

from typing import TypedDict

from marshmallow import Schema, fields
from sqlalchemy import RowMapping

from ...domain.alerts import receivers as rules
from ...domain.alerts.receivers import Receiver, ReceiverKind
from ...domain.alerts.rules import AlertKind
from ...engine.alerts import receivers, watch
from ...engine.alerts.receivers import Given
from .. import shapes
from ..actors import actor
from ..deps import context
from ..errors import answer
from . import openapi

blueprint = openapi.documented("alerts", "/v1/alerts")
_TARGET = (
    "a URL, for e-mail the addresses with commas between them, for PagerDuty the integration key;"
    " no answer shows it again"
)


class Change(TypedDict, total=False):
    """A body that was read."""

    name: str
    kind: str
    target: str
    alerts: list[str]


class ReceiverChange(openapi.Body):
    """What to change of a receiver; what is left out stays."""

    name = fields.String()
    kind = fields.String(metadata={"enum": list(ReceiverKind)})
    target = fields.String(metadata={"description": _TARGET})
    alerts = fields.List(
        fields.String(metadata={"enum": list(AlertKind)}),
        metadata={"description": "the kinds of alerts that it gets; an empty list means all"},
    )


class ReceiverBody(ReceiverChange):
    """A receiver of alerts."""

    name = fields.String(required=True)
    kind = fields.String(required=True, metadata={"enum": list(ReceiverKind)})
    target = fields.String(required=True, metadata={"description": _TARGET})


class AlertList(Schema):
    """Alerts that are firing, or receivers."""

    data = fields.List(fields.Dict(), required=True)


class AlertAnswer(Schema):
    """An answer with an object."""

    data = fields.Dict(required=True)


@blueprint.get("")
@blueprint.response(200, AlertList)
def list_alerts() -> object:
    """List the alerts that are firing, newest first. They are looked for if there is a receiver."""
    with context().db.reading() as tx:
        found = watch.firing(tx)
    shown = [
        {
            "alert": alert.kind,
            "key": alert.key,
            "text": alert.text,
            "path": alert.path,
            "told_at": shapes.stamp(told_at),
            "about": alert.about,
        }
        for alert, told_at in found
    ]
    return answer({"data": shown})


@blueprint.get("/receivers")
@blueprint.response(200, AlertList)
def list_receivers() -> object:
    """List the receivers, and how the last message to each went; no target is shown whole."""
    with context().db.reading() as tx:
        rows = receivers.added(tx)
    settings = rules.of_settings(context().tuning.alerts.urls)
    shown = [_shown(one, None) for one in settings]
    return answer({"data": shown + [_shown(receivers.read(row), row) for row in rows]})


def _shown(one: Receiver, row: RowMapping | None) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "kind": one.kind,
        "target": rules.shown_target(one.kind, one.target),
        "alerts": sorted(one.alerts),
        "of_settings": row is None,
        "sent_at": shapes.stamp(None if row is None else row["sent_at"]),
        "failed_at": shapes.stamp(None if row is None else row["failed_at"]),
        "error": None if row is None else row["error"],
    }


@blueprint.post("/receivers")
@blueprint.arguments(ReceiverBody)
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(409, schema=openapi.Problem)
@blueprint.response(201, AlertAnswer)
def add_receiver(body: Change) -> object:
    """Add a receiver."""
    return answer({"data": _found(receivers.add(context(), Given(**body), actor()))}, 201)


@blueprint.patch("/receivers/<receiver_id>")
@blueprint.arguments(ReceiverChange)
@blueprint.alt_response(400, schema=openapi.Problem)
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.alt_response(409, schema=openapi.Problem)
@blueprint.response(200, AlertAnswer)
def change_receiver(body: Change, receiver_id: str) -> object:
    """Change a receiver; what is left out stays."""
    receivers.change(context(), receiver_id, Given(**body), actor())
    return answer({"data": _found(receiver_id)})


def _found(receiver_id: str) -> dict[str, object]:
    with context().db.reading() as tx:
        row = receivers.get(tx, receiver_id)
    return _shown(receivers.read(row), row)


@blueprint.delete("/receivers/<receiver_id>")
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, AlertAnswer)
def delete_receiver(receiver_id: str) -> object:
    """Remove a receiver, with the messages that it has not got yet."""
    receivers.remove(context(), receiver_id, actor())
    return answer({"data": {"id": receiver_id}})


@blueprint.post("/receivers/<receiver_id>/test")
@blueprint.alt_response(404, schema=openapi.Problem)
@blueprint.response(200, AlertAnswer)
def test_receiver(receiver_id: str) -> object:
    """Send a test, and say whether the receiver accepted it; waits some ten seconds at most."""
    problem = receivers.test(context(), receiver_id, actor())
    return answer({"data": {"accepted": problem is None, "problem": problem}})
