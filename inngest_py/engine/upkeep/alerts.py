"""Alerts: one worker at a time checks what is wrong; every worker sends messages that are due."""

from datetime import timedelta

from ...domain.access.reach import Reach
from ..admin import alerts
from ..runtime.context import Context
from ..transport.http import Transport


class Alerting:
    """The service. It has connections of its own: a slow receiver delays nothing else.

    The settings name the receivers, so only what `reach` denies counts for them.
    """

    def __init__(self, reach: Reach) -> None:
        self._transport = Transport(
            connections=1, hosts=4, refusal=reach.for_configured_hosts().refusal
        )

    def run_once(self, ctx: Context) -> bool:
        """Check for alerts and send messages; without receivers do nothing."""
        rules = ctx.tuning.alerts
        if not rules.urls:
            return False
        alerts.queue_messages(ctx, rules)
        return alerts.send(ctx, rules, self._transport)


EVERY = timedelta(seconds=5)
