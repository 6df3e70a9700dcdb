"""Every table, imported: what migrations and `create_all` must know."""

from .attempts import Attempt
from .base import Base
from .events import Event, RunKey
from .functions import App, Function, Meta
from .queue import QueueItem
from .runs import RunRow
from .steps import Step
from .workers import Worker

__all__ = [
    "App",
    "Attempt",
    "Base",
    "Event",
    "Function",
    "Meta",
    "QueueItem",
    "RunKey",
    "RunRow",
    "Step",
    "Worker",
]
