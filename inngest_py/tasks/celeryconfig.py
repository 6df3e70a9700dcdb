"""Celery's settings for inngest_py, each with its reason. Edit here; there is no logic.

The database holds the work; a message only hints that queue items are due. So a lost message
costs a moment until upkeep hints again, and a duplicate costs one failed claim. These settings
follow from that: cheap messages, early acknowledgement, no results.

The same file ships inside the package (inngest_py/tasks/celeryconfig.py). The package's file is
used if there is no celeryconfig.py on the path, or if the one there has no mark (below): other
users of Celery have files of that name.
"""

# The mark of a file that is for inngest_py. A file without it is ignored, with a warning.
configures = "inngest_py"

# --- the wire -------------------------------------------------------------------------------
# The broker's URL comes from REDIS_URL, INNGEST_BROKER_URL or --broker-url.

# JSON only: a message is a list of item ids, and pickled ones could run code.
task_serializer = "json"
accept_content = ["json"]

# A broker that is away must never delay an API request or a finished step: one try, and short
# time-outs below. The row is committed, and upkeep finds it.
task_publish_retry = False
broker_connection_timeout = 2.0

# Workers wait for the broker without end, at their start and later. So the broker may start last.
broker_connection_retry = True
broker_connection_retry_on_startup = True
broker_connection_max_retries = None

# Options for any broker, passed on unchanged: Sentinel's `master_name`, SQS's `region` and
# `queue_name_prefix` … With Redis they override those below.
broker_transport_options: dict[str, object] = {}

# Options for Redis, with Sentinel or without.
# kombu delivers an unacknowledged message again after the visibility time-out. Messages are
# acknowledged early, and under gevent they need no acknowledgement. So the time-out only matters
# for a worker of another pool that died between taking a message and acknowledging it.
# The socket time-outs bound how long a publish may block.
redis_transport_options = {
    "visibility_timeout": 3600,
    "socket_timeout": 5.0,
    "socket_connect_timeout": 2.0,
    "socket_keepalive": True,
    "retry_on_timeout": False,
}

# AMQP: a broker that sends nothing for so many seconds counts as away.
broker_heartbeat = 10

# --- queues ---------------------------------------------------------------------------------
# One queue per kind of item, so that an operator can watch or consume each by itself
# (celery -A inngest_py worker -Q start,edge).
task_queues: dict[str, dict[str, str]] = {
    "start": {},
    "edge": {},
    "sleep": {},
    "timeout": {},
    "cancel": {},
    "gateway": {},
    "pause": {},
    "event": {},
    "debounce": {},
    "batch": {},
    "throttle": {},
    "replace": {},
    "task": {},
}
task_routes = {
    "inngest.start": {"queue": "start"},
    "inngest.edge": {"queue": "edge"},
    "inngest.sleep": {"queue": "sleep"},
    "inngest.timeout": {"queue": "timeout"},
    "inngest.cancel": {"queue": "cancel"},
    "inngest.gateway": {"queue": "gateway"},
    "inngest.pause": {"queue": "pause"},
    "inngest.event": {"queue": "event"},
    "inngest.debounce": {"queue": "debounce"},
    "inngest.batch": {"queue": "batch"},
    "inngest.throttle": {"queue": "throttle"},
    "inngest.replace": {"queue": "replace"},
    "inngest.task": {"queue": "task"},
}
task_default_queue = "edge"

# --- receiving and acknowledging -------------------------------------------------------------
# Early: the lease in the database guards the work, and a call may last two hours, longer than
# any visibility time-out.
task_acks_late = False
task_reject_on_worker_lost = False

# Read few messages ahead: an idle worker could run the item of a hint that a busy worker keeps.
worker_prefetch_multiplier = 1

# Results are rows of steps and runs; nothing reads Celery's own.
task_ignore_result = True
result_backend = None

# --- retry and back-off for infrastructure errors ---------------------------------------------
# A function's own retries are rows with a due time. These are for a worker that cannot reach its
# row at all, because the database is away or restarting.
infrastructure_retry = {
    "max_retries": 5,
    "retry_backoff": 1,  # seconds: 1, 2, 4 …
    "retry_backoff_max": 30,
    "retry_jitter": True,
}

# --- time limits ------------------------------------------------------------------------------
# None: the call itself is bounded (two hours), and to the task's run a killed task would look like
# a crash.
task_time_limit = None
task_soft_time_limit = None

# --- what Flower and `celery inspect` see ------------------------------------------------------
worker_send_task_events = True
task_send_sent_event = False  # one more message for every hint
task_track_started = True

# --- the worker process ------------------------------------------------------------------------
# inngest_py sets up logging, for workers and the server.
worker_hijack_root_logger = False
worker_cancel_long_running_tasks_on_connection_loss = False
timezone = "UTC"
enable_utc = True
