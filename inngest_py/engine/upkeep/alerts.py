"""Alerts: one worker looks for what is wrong, every worker sends what is due."""

from datetime import timedelta

from ...domain.access.reach import Reach
from ..admin import alerts
from ..runtime.context import Context
from ..transport.http import Transport


class Alerting:
    """The service, with connections of its own: a slow receiver holds up nothing else.

    The settings name the receivers, so `reach` counts for them only as far as it denies.
    """

    def __init__(self, reach: Reach) -> None:
        self._transport = Transport(connections=1, hosts=4, refusal=reach.for_own().refusal)

    def run_once(self, ctx: Context) -> bool:
        """Look, and send; without receivers do nothing."""
        rules = ctx.tuning.alerts
        if not rules.urls:
            return False
        alerts.look(ctx, rules)
        return alerts.send(ctx, rules, self._transport)


EVERY = timedelta(seconds=5)
