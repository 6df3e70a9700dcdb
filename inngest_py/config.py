"""The settings of a process: one frozen object that `config_reading` makes, and its checks."""

import os
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

from . import config_checks as checks
from .domain.access import reach as reaching
from .domain.access.reach import Reach
from .domain.alerts import rules as alerts
from .domain.alerts.rules import AlertKind, AlertRules
from .domain.functions.declared_apps import DeclaredApp
from .domain.runs import retention
from .storage.db.pools import PoolSize, pool_size
from .storage.db.server_limits import ServerLimits

INPROC = "inproc://"
DEFAULT_PORT = 8288
CONNECT_PORT = 8289  # of a dev server, as SDKs know it
MOST_API_PROCESSES = 256
_PING_SECONDS = 5.0
_MOST_SECONDS = 86_400


def state_folder() -> Path:
    """Return the folder of this user's state (XDG base directories)."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "inngest-py"


def default_database(dev: bool) -> str:
    """Return the URL of the SQLite file that is used if no database is given."""
    return f"sqlite:///{state_folder() / ('dev.db' if dev else 'inngest.db')}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Names of seconds and milliseconds end in their unit.

    `workers` is the number of Celery worker processes that `start` supervises: None runs the
    worker inside the server (embedded). `api_processes` is how many processes serve the API from
    one port. `retry_interval` None means the protocol's table.
    `invoke_keys` are the bearer tokens that `/invoke` accepts; "off" closes it, and with none it
    accepts the event keys.
    `ai_prices` is a file of models' prices that replaces the package's own.
    `open_gql` lets everybody use GraphQL, as the reference does; else it asks for the bearer key.
    Proxies at the addresses of `ui_proxies` name the user of the dashboard in `ui_proxy_header`.
    People who are named there and are no users here have the role `ui_proxy_role`.
    `metrics_open` lets everybody read `/metrics`; `metrics_port` is where a worker shows its own.
    `keep_runs` is how long finished runs are kept (`30d`), and `keep_count` how many (None: all).
    `celery_patches` off runs plain Celery, without our changes to it that are for speed only.
    `declared_celery_apps` are those that a file gives by name, with settings of their tasks.
    Alerts of `alert_kinds` are sent (none: of all kinds), with links to `dashboard_url`, and e-mail
    by the server `smtp_url` with the sender `smtp_from`.
    A process keeps `database_pool` connections to PostgreSQL, and has `database_max` at the most;
    None: as its calls in flight need.
    `keep_audit` is how long the rows of the audit log are kept.
    Workers connect at `connect_port` (None: 8289 beside a dev server's own port, else the port of
    the API), and are told `connect_url` if there is one, for a server behind a proxy. A process
    takes `connect_max_connections` of them.
    `root_path` is the path under which a proxy serves all of it, such as `/inngest`.
    `poll` None means polling if a `poll_interval` is given, and an interval of 0 means none.
    """

    dev: bool = False
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    root_path: str = ""
    connect_port: int | None = None
    connect_url: str | None = None
    connect_max_connections: int = 5000
    # repr=False: settings that may have a secret stay out of logs and tracebacks
    database_url: str = field(default="", repr=False)
    database_connect_seconds: float = 5.0
    database_network_seconds: float = 10.0
    database_statement_seconds: float = 10.0
    database_lock_seconds: float = 5.0
    database_pool: int | None = None
    database_max: int | None = None
    broker_url: str = field(default=INPROC, repr=False)
    workers: int | None = None
    api_processes: int = 1
    concurrency: int = 100
    celery_patches: bool = True
    event_keys: tuple[str, ...] = field(default=(), repr=False)
    invoke_keys: tuple[str, ...] = field(default=(), repr=False)
    signing_key: str | None = field(default=None, repr=False)
    signing_key_fallback: str | None = field(default=None, repr=False)
    sdk_urls: tuple[str, ...] = ()
    celery_apps: tuple[str, ...] = field(default=(), repr=False)
    declared_celery_apps: tuple[DeclaredApp, ...] = field(default=(), repr=False)
    discovery: bool = True
    test_api: bool = False
    clock: str = "real"
    poll: bool | None = None
    poll_interval: float | None = None
    retry_interval: float | None = None
    tick_ms: int = 250
    lease_seconds: float = 30.0
    grace_seconds: float = 30.0
    drain_delay_seconds: float = 0.0
    ui: bool = True
    open_gql: bool = False
    ui_proxy_header: str | None = None
    ui_proxies: tuple[str, ...] = ()
    ui_proxy_role: str = "viewer"
    log_level: str = "info"
    json_logs: bool = False
    sqlite_synchronous: str = "FULL"
    cron_missed: str = "skip"
    keep_runs: str = "forever"
    keep_count: int | None = None
    keep_audit: str = "365d"
    call_hosts: tuple[str, ...] = ()
    gateway_public_only: bool = False
    ai_prices: str | None = None
    metrics_open: bool = False
    metrics_port: int | None = None
    alert_urls: tuple[str, ...] = field(default=(), repr=False)
    alert_failure_rate: float = 0.5
    alert_least_runs: int = 10
    alert_backlog_seconds: float = 300.0
    alert_window_minutes: float = 15.0
    alert_quiet_minutes: float = 60.0
    alert_kinds: tuple[str, ...] = ()
    dashboard_url: str | None = None
    smtp_url: str | None = field(default=None, repr=False)
    smtp_from: str = ""

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a SQLite file or memory."""
        return self.database_url.startswith("sqlite")

    @property
    def in_memory(self) -> bool:
        """Whether everything is lost when the process ends."""
        return self.database_url in ("sqlite://", "sqlite:///:memory:")

    @property
    def embedded(self) -> bool:
        """Whether broker and worker live in the server's own process."""
        return self.broker_url == INPROC

    @property
    def signing_keys(self) -> tuple[str, ...]:
        """The keys in force: the first signs, each is accepted from callers (auth.md §1)."""
        return tuple(key for key in (self.signing_key, self.signing_key_fallback) if key)

    @property
    def gateway_port(self) -> int | None:
        """The port for connected workers alone; None if they connect at the API's."""
        if self.connect_port is not None:
            return None if self.connect_port == self.port else self.connect_port
        return CONNECT_PORT if self.dev and self.port == DEFAULT_PORT else None

    @property
    def polls(self) -> bool:
        """Whether apps without an error are pinged, too (sync.md §3)."""
        if self.poll_interval == 0:
            return False
        return self.poll_interval is not None if self.poll is None else self.poll

    @property
    def ping_seconds(self) -> float:
        """How long to wait between two rounds of pings."""
        return self.poll_interval or _PING_SECONDS

    @property
    def kind(self) -> str:
        """What the server calls itself to SDKs (sync.md §1)."""
        return "dev" if self.dev else "cloud"

    def alerts(self) -> AlertRules:
        """Return the rules of alerts; a threshold of 0 means no alert of that kind."""
        minutes, backlog = timedelta(minutes=1), self.alert_backlog_seconds
        return AlertRules(
            urls=self.alert_urls,
            failure_rate=self.alert_failure_rate or None,
            least_runs=self.alert_least_runs,
            backlog=timedelta(seconds=backlog) if backlog else None,
            window=self.alert_window_minutes * minutes,
            quiet=self.alert_quiet_minutes * minutes,
            kinds=frozenset(map(AlertKind, self.alert_kinds or AlertKind)),
            dashboard_url=self.dashboard_url or self._own_url(),
            smtp_url=self.smtp_url,
            smtp_from=self.smtp_from,
        )

    def _own_url(self) -> str | None:
        """Return where this machine's dashboard is; that of another machine is not known."""
        own = f"http://127.0.0.1:{self.port}{self.root_path}"
        return own if self.dev and self.embedded else None

    def keep(self) -> retention.Keep:
        """Say which finished runs are kept. Raises Invalid."""
        return retention.parse(self.keep_runs, self.keep_count)

    def audit_kept(self) -> timedelta | None:
        """Say how long rows of the audit log are kept; None is for ever. Raises Invalid."""
        return checks.audit_span(self.keep_audit)

    def reach(self) -> Reach:
        """Say which hosts may be called, for apps and for steps. Raises Invalid."""
        return reaching.parse(self.call_hosts, dev=self.dev)

    def database_limits(self) -> ServerLimits:
        """Return how long to wait for PostgreSQL."""
        return ServerLimits(
            connect=self.database_connect_seconds,
            network=self.database_network_seconds,
            statement=self.database_statement_seconds,
            lock=self.database_lock_seconds,
        )

    def database_pool_size(self, slots: int) -> PoolSize:
        """Return the pool of connections of a process with so many calls in flight."""
        return pool_size(slots, self.database_pool, self.database_max)

    def tick(self) -> timedelta:
        """The longest time between two looks of upkeep for due items."""
        return timedelta(milliseconds=self.tick_ms)

    def errors(self) -> list[str]:
        """List what makes these settings unusable, each with its fix."""
        found = checks.port_errors(self.port, self.metrics_port)
        found += checks.root_path_errors(self.root_path)
        if self.concurrency < 1:
            found.append("concurrency must be 1 or more (--concurrency)")
        if self.workers is not None and self.workers < 0:
            found.append("workers must be 0 or more (--workers)")
        found += self._process_errors()
        for given, what, least in (
            (self.poll_interval, "the poll interval (--poll-interval)", 0.0),
            (self.retry_interval, "the retry interval (--retry-interval)", 0.0),
            (self.grace_seconds, "the grace time (--grace)", 0.0),
            (self.drain_delay_seconds, "the delay of a stop (--drain-delay)", 0.0),
            (self.lease_seconds, "the lease (INNGEST_LEASE_SECONDS)", 1.0),
            *self._database_times(),
        ):
            if given is not None and not least <= given <= _MOST_SECONDS:
                found.append(f"{what} must be {least:g} to {_MOST_SECONDS} seconds")
        found += checks.pool_errors(self.database_pool, self.database_max)
        found += checks.connect_errors(
            self.connect_port, self.connect_url, self.connect_max_connections
        )
        found += checks.list_errors(asdict(self))
        if not all(key.strip() for key in self.event_keys):
            found.append("an event key must not be empty (--event-key)")
        found += checks.invoke_key_errors(self.invoke_keys)
        found += checks.price_errors(self.ai_prices)
        if self.tick_ms < 1:
            found.append("tick must be 1 ms or more (--tick)")
        found += checks.choice_errors(self.log_level, self.cron_missed, self.sqlite_synchronous)
        if self.test_api and not self.dev:
            found.append("the test API is for dev servers only: leave INNGEST_TEST_API out")
        found += self._clock_errors()
        found += checks.proxy_errors(self.ui_proxy_header, self.ui_proxies, self.ui_proxy_role)
        found += checks.url_errors(self.database_url)
        found += [] if self.embedded else checks.broker_errors(self.broker_url)
        found += checks.key_errors(self.signing_key, self.signing_key_fallback)
        unusable = checks.sdk_url_errors(self.sdk_urls)
        apps = () if unusable else self.sdk_urls
        found += checks.celery_app_errors(self.celery_apps, self.declared_celery_apps)
        found += unusable + checks.reach_errors(self.call_hosts, apps, dev=self.dev)
        found += self._alert_errors()
        found += checks.keep_errors(self.keep_runs, self.keep_count, self.keep_audit)
        if self.workers and self.embedded:
            found.append(
                "--workers needs a broker that other processes reach: give --redis-url or"
                " --broker-url, or leave --workers out to run embedded"
            )
        return found

    def _process_errors(self) -> list[str]:
        """List why the API cannot have so many processes."""
        found = []
        flags = "--processes of api, --api-processes of start, INNGEST_API_PROCESSES"
        if not 1 <= self.api_processes <= MOST_API_PROCESSES:
            found.append(f"there can be 1 to {MOST_API_PROCESSES} API processes ({flags})")
        elif self.api_processes > 1 and self.embedded:
            found.append(
                "several API processes need a broker, by which they reach each other and the"
                f" workers: give --redis-url or --broker-url, or leave them out ({flags})"
            )
        elif self.api_processes > 1 and self.in_memory:
            found.append(
                "several API processes need one database: a database in memory is that of its"
                " process alone; use --database-url"
            )
        if self.api_processes > 1 and self.test_api:
            found.append("the test API is for one process: leave INNGEST_API_PROCESSES out")
        return found

    def _clock_errors(self) -> list[str]:
        if self.clock == "real":
            return []
        if self.clock != "virtual":
            return ["the clock must be real or virtual (--clock)"]
        if not self.dev:
            return ["a virtual clock is for dev servers only: leave INNGEST_CLOCK out"]
        if not (self.is_sqlite and self.embedded):
            return [
                "a virtual clock needs a server that is alone on its database: leave out"
                " --database-url, --redis-url and --broker-url, or --clock"
            ]
        return []

    def _database_times(self) -> list[tuple[float, str, float]]:
        return [
            (
                getattr(self, f"database_{what}_seconds"),
                f"INNGEST_DATABASE_{what.upper()}_SECONDS",
                0.0,
            )
            for what in ("connect", "network", "statement", "lock")
        ]

    def _alert_errors(self) -> list[str]:
        spans = (self.alert_backlog_seconds, self.alert_window_minutes, self.alert_quiet_minutes)
        if not all(0 <= span <= _MOST_SECONDS for span in spans):
            return ["the times of alerts must be 0 or more (INNGEST_ALERT_…)"]
        found = checks.alert_errors(self.alert_kinds, self.smtp_url, self.smtp_from)
        return found or alerts.errors(self.alerts())

    def missing_keys(self) -> list[str]:
        """List the missing keys without which a production server or worker must not run.

        Without keys anybody could send events, and apps could not recognise our requests.
        """
        found = []
        if not self.dev and not self.signing_key:
            found.append(
                "a signing key is required: set INNGEST_SIGNING_KEY or --signing-key, to the same"
                f" value as in the apps; make one with: openssl rand -hex 32; {_LOCALLY}"
            )
        if not self.dev and not self.event_keys:
            found.append(
                "an event key is required: set INNGEST_EVENT_KEY or --event-key, to what senders"
                f" of events use; make one with: openssl rand -hex 16; {_LOCALLY}"
            )
        return found

    def warnings(self) -> list[str]:
        """List settings that work but may surprise."""
        found = []
        if self.in_memory:
            found.append("the database is in memory: everything is lost when the server stops")
        if not self.dev and self.is_sqlite and not self.embedded:
            found.append(
                "SQLite serves the processes of one machine only: use --database-url with"
                " PostgreSQL for several machines"
            )
        if self.embedded and not self.is_sqlite:
            found.append(
                "PostgreSQL without a broker is for one process: with several, the others learn"
                " of new work up to two seconds late; give --redis-url or --broker-url"
            )
        if self.dev and (self.event_keys or self.signing_key):
            found.append("keys are set, but a dev server asks callers for none")
        if not self.dev:
            found += checks.key_warnings(self.signing_keys, self.event_keys, self.invoke_keys)
        return found + checks.broker_warnings(self.broker_url)


_LOCALLY = "or run locally without keys: --dev or INNGEST_DEV=1"
