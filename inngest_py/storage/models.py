"""Every table, imported: what migrations and `create_all` must know."""

from .alerts import AlertMessage, AlertRow
from .attempts import Attempt
from .base import Base
from .batches import BatchBucket, BatchEvent
from .buckets import Bucket
from .cancellations import Cancellation
from .crons import Cron
from .debounces import Debounce
from .defers import DeferRow
from .events import Event, RunKey
from .functions import App, Function
from .meta import Meta
from .metadata import RunMetadata
from .operators import AuditRow, Operator, OperatorSession
from .pauses import Pause
from .queue import QueueItem
from .runs import RunRow
from .singletons import SingletonLock
from .steps import Step
from .workers import Worker

__all__ = [
    "AlertMessage",
    "AlertRow",
    "App",
    "Attempt",
    "AuditRow",
    "Base",
    "BatchBucket",
    "BatchEvent",
    "Bucket",
    "Cancellation",
    "Cron",
    "Debounce",
    "DeferRow",
    "Event",
    "Function",
    "Meta",
    "Operator",
    "OperatorSession",
    "Pause",
    "QueueItem",
    "RunKey",
    "RunMetadata",
    "RunRow",
    "SingletonLock",
    "Step",
    "Worker",
]
