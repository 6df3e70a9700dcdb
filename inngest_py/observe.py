"""What happens in the server, told to whoever listens.

`event()` is for operators: one subscriber words it as a log line. The blinker signals are for
other packages: each is sent after the commit that made it true, with keyword arguments only.
A subscriber that raises is logged and never disturbs the run.
"""

import logging
from typing import Any

from blinker import NamedSignal, Namespace

_signals = Namespace()
_log = logging.getLogger("inngest_py")

run_queued: NamedSignal = _signals.signal("run-queued")
"""A run was created: `run_id`, `function_id`, `event_id`."""
run_started: NamedSignal = _signals.signal("run-started")
"""A run's first request goes out: `run_id`, `function_id`."""
step_finished: NamedSignal = _signals.signal("step-finished")
"""A step has a stored result: `run_id`, `function_id`, `step`, `name`, `failed`."""
attempt_failed: NamedSignal = _signals.signal("attempt-failed")
"""An attempt failed and will be made again: `run_id`, `function_id`, `step`, `attempt`, `error`."""
run_finished: NamedSignal = _signals.signal("run-finished")
"""A run has ended: `run_id`, `function_id`, `status`, `output` (JSON text or None)."""


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log a named event with its fields."""
    if _log.isEnabledFor(level):
        _log.log(level, name, extra={"event": name, "fields": fields})


def tell(signal: NamedSignal, **fields: Any) -> None:
    """Send a lifecycle signal; a subscriber's exception is logged."""
    if not signal.receivers:
        return
    for receiver in list(signal.receivers_for(None)):
        try:
            receiver(None, **fields)
        except Exception:
            _log.exception("listener.failed", extra={"event": "listener.failed", "fields": {}})
