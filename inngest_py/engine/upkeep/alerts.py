"""Alerts: one worker looks for what is wrong, every worker sends what is due."""

from datetime import timedelta

from .. import alerts
from ..context import Context
from ..transport.http import Transport


class Alerting:
    """The service, with connections of its own: a slow receiver holds up nothing else."""

    def __init__(self) -> None:
        self._transport = Transport(connections=1, hosts=4)

    def run_once(self, ctx: Context) -> bool:
        """Look, and send; without receivers do nothing."""
        rules = ctx.tuning.alerts
        if not rules.urls:
            return False
        alerts.look(ctx, rules)
        return alerts.send(ctx, rules, self._transport)


EVERY = timedelta(seconds=5)
