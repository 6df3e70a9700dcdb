"""Alerts: one worker at a time checks what is wrong; every worker sends messages that are due."""

import time
from collections.abc import Sequence
from datetime import timedelta

from ...domain.access.reach import Reach
from ...domain.alerts.receivers import Receiver
from ..alerts import receivers, send, watch
from ..runtime.context import Context
from ..transport.http import Transport

EVERY = timedelta(seconds=5)
_READ_SECONDS = 15.0


class Alerting:
    """The service. It has connections of its own: a slow receiver delays nothing else.

    Only admins and the settings name receivers, so only what `reach` denies counts for them.
    """

    def __init__(self, reach: Reach) -> None:
        self._transport = Transport(
            connections=1, hosts=4, refusal=reach.for_configured_hosts().refusal
        )
        self._to: Sequence[Receiver] = ()
        self._read_at = 0.0

    def run_once(self, ctx: Context) -> bool:
        """Check for alerts and send messages; without receivers only look for new ones."""
        rules = ctx.tuning.alerts
        if time.monotonic() >= self._read_at:
            self._to = receivers.known(ctx, rules)
            self._read_at = time.monotonic() + _READ_SECONDS
        if not self._to:
            return False
        watch.queue_messages(ctx, rules, self._to)
        return send.send_due(ctx, rules, self._to, self._transport)
