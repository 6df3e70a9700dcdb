"""Steps that the Python SDK lacks, as functions of the context that a function is given.

Each works in blocking functions, and in async ones, where its result must be awaited. `step_id`
names the step as in the SDK: the same id again is another step. See docs/python.md.
"""

from ..json_values import NotJson
from ..transactions import transaction
from .compensating import Compensation, compensate
from .deferring import Deferred, defer, deferred_trigger
from .fetching import Fetched, fetch
from .mapping import map
from .metadata import metadata
from .racing import Winner, race
from .sleeping import sleep
from .waiting import Signal, wait_for_event, wait_for_signal

__all__ = [
    "Compensation",
    "Deferred",
    "Fetched",
    "NotJson",
    "Signal",
    "Winner",
    "compensate",
    "defer",
    "deferred_trigger",
    "fetch",
    "map",
    "metadata",
    "race",
    "sleep",
    "transaction",
    "wait_for_event",
    "wait_for_signal",
]
