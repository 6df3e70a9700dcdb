"""Imports every table, so that migrations and `create_all` know them all."""

from ..catalog.celery_apps import CeleryApp
from ..catalog.connections import ConnectionRow, WorkerGroup
from ..catalog.crons import Cron
from ..catalog.functions import App, FunctionRow
from ..catalog.gateways import Gateway
from ..catalog.search_keys import SearchKey
from ..db.columns import Base
from ..db.meta import Meta
from ..events.events import EventRow, RunKey
from ..flow.buckets import Bucket
from ..flow.debounces import DebounceRow
from ..flow.event_batches import BatchBucket, BatchEvent
from ..flow.singletons import SingletonLock
from ..operations.alert_receivers import AlertReceiver
from ..operations.alerts import AlertMessage, AlertRow
from ..operations.api_tokens import ApiTokenRow
from ..operations.bulk_cancellations import BulkCancellationRow
from ..operations.error_groups import ErrorGroup, ErrorHour, ErrorVersion
from ..operations.operations import OperationItemRow, OperationRow
from ..operations.operators import AuditRow, Operator, OperatorSession
from ..operations.realtime import RealtimeMessage
from ..operations.saved_views import SavedView
from ..operations.workers import Worker
from ..queue.queue_items import QueueItem
from ..queue.sent_tasks import TaskFailure, TaskRevocation
from ..queue.task_executions import TaskExecution
from ..runs.attempts import Attempt
from ..runs.defers import DeferRow
from ..runs.failed_runs import FailedRun
from ..runs.function_hours import FunctionHour
from ..runs.metadata import RunMetadata
from ..runs.run_search_keys import RunSearchKey
from ..runs.runs import RunRow
from ..runs.steps import Step
from ..runs.workflows import WorkflowRow

__all__ = [
    "AlertMessage",
    "AlertReceiver",
    "AlertRow",
    "ApiTokenRow",
    "App",
    "Attempt",
    "AuditRow",
    "Base",
    "BatchBucket",
    "BatchEvent",
    "Bucket",
    "BulkCancellationRow",
    "CeleryApp",
    "ConnectionRow",
    "Cron",
    "DebounceRow",
    "DeferRow",
    "ErrorGroup",
    "ErrorHour",
    "ErrorVersion",
    "EventRow",
    "FailedRun",
    "FunctionHour",
    "FunctionRow",
    "Gateway",
    "Meta",
    "OperationItemRow",
    "OperationRow",
    "Operator",
    "OperatorSession",
    "QueueItem",
    "RealtimeMessage",
    "RunKey",
    "RunMetadata",
    "RunRow",
    "RunSearchKey",
    "SavedView",
    "SearchKey",
    "SingletonLock",
    "Step",
    "TaskExecution",
    "TaskFailure",
    "TaskRevocation",
    "Worker",
    "WorkerGroup",
    "WorkflowRow",
]
