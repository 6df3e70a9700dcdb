"""Settings: one frozen object, from flags over environment over file, checked at the start."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from . import config_checks as checks
from .domain import alerts, retention
from .domain.alerts import Rules
from .domain.errors import Invalid

INPROC = "inproc://"
DEFAULT_PORT = 8288
_PING_SECONDS = 5.0
_MOST_SECONDS = 86_400


def state_folder() -> Path:
    """Say where this user's state lives (XDG base directories)."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "inngest-py"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Seconds and milliseconds carry their unit in the name.

    `workers` is the number of Celery worker processes that `start` supervises: None runs the
    worker inside the server (embedded). `retry_interval` None means the protocol's table.
    `open_gql` lets everybody use GraphQL, as the reference does; else it asks for the bearer key.
    Proxies at the addresses of `ui_proxies` say in `ui_proxy_header` who uses the dashboard; who is
    not a user of ours has the role `ui_proxy_role`.
    `metrics_open` lets everybody read `/metrics`; `metrics_port` is where a worker shows its own.
    `keep_runs` is how long finished runs are kept (`30d`), `keep_count` how many, None for any.
    `poll` None means polling when a `poll_interval` is given, and an interval of 0 means none.
    """

    dev: bool = False
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    # what may hold a secret is kept out of repr(), and so out of logs and tracebacks
    database_url: str = field(default="", repr=False)
    broker_url: str = field(default=INPROC, repr=False)
    workers: int | None = None
    concurrency: int = 100
    event_keys: tuple[str, ...] = field(default=(), repr=False)
    signing_key: str | None = field(default=None, repr=False)
    signing_key_fallback: str | None = field(default=None, repr=False)
    sdk_urls: tuple[str, ...] = ()
    discovery: bool = True
    test_api: bool = False
    poll: bool | None = None
    poll_interval: float | None = None
    retry_interval: float | None = None
    tick_ms: int = 250
    lease_seconds: float = 30.0
    grace_seconds: float = 30.0
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
    gateway_public_only: bool = False
    metrics_open: bool = False
    metrics_port: int | None = None
    alert_urls: tuple[str, ...] = field(default=(), repr=False)
    alert_failure_rate: float = 0.5
    alert_least_runs: int = 10
    alert_backlog_seconds: float = 300.0
    alert_window_minutes: float = 15.0
    alert_quiet_minutes: float = 60.0

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

    def alerts(self) -> Rules:
        """Say what operators are told of; a threshold of 0 is none."""
        minutes, backlog = timedelta(minutes=1), self.alert_backlog_seconds
        return Rules(
            urls=self.alert_urls,
            failure_rate=self.alert_failure_rate or None,
            least_runs=self.alert_least_runs,
            backlog=timedelta(seconds=backlog) if backlog else None,
            window=self.alert_window_minutes * minutes,
            quiet=self.alert_quiet_minutes * minutes,
        )

    def keep(self) -> retention.Keep:
        """Say which finished runs are kept. Raises Invalid."""
        return retention.parse(self.keep_runs, self.keep_count)

    def tick(self) -> timedelta:
        """How often upkeep looks for due items at least."""
        return timedelta(milliseconds=self.tick_ms)

    def errors(self) -> list[str]:
        """List what makes these settings unusable, each with its fix."""
        found = checks.port_errors(self.port, self.metrics_port)
        if self.concurrency < 1:
            found.append("concurrency must be 1 or more (--concurrency)")
        if self.workers is not None and self.workers < 0:
            found.append("workers must be 0 or more (--workers)")
        for given, what, least in (
            (self.poll_interval, "the poll interval (--poll-interval)", 0.0),
            (self.retry_interval, "the retry interval (--retry-interval)", 0.0),
            (self.grace_seconds, "the grace time (--grace)", 0.0),
            (self.lease_seconds, "the lease (INNGEST_LEASE_SECONDS)", 1.0),
        ):
            if given is not None and not least <= given <= _MOST_SECONDS:
                found.append(f"{what} must be {least:g} to {_MOST_SECONDS} seconds")
        if not all(key.strip() for key in self.event_keys):
            found.append("an event key must not be empty (--event-key)")
        if self.tick_ms < 1:
            found.append("tick must be 1 ms or more (--tick)")
        found += checks.choice_errors(self.log_level, self.cron_missed, self.sqlite_synchronous)
        if self.test_api and not self.dev:
            found.append("the test API is for dev servers only: leave INNGEST_TEST_API out")
        found += checks.proxy_errors(self.ui_proxy_header, self.ui_proxies, self.ui_proxy_role)
        found += checks.url_errors(self.database_url)
        found += [] if self.embedded else checks.broker_errors(self.broker_url)
        found += checks.key_errors(self.signing_key, self.signing_key_fallback)
        found += checks.sdk_url_errors(self.sdk_urls)
        found += self._alert_errors()
        found += checks.keep_errors(self.keep_runs, self.keep_count)
        if self.workers and self.embedded:
            found.append(
                "--workers needs a broker that other processes reach: give --redis-url or"
                " --broker-url, or leave --workers out to run embedded"
            )
        return found

    def _alert_errors(self) -> list[str]:
        spans = (self.alert_backlog_seconds, self.alert_window_minutes, self.alert_quiet_minutes)
        if not all(0 <= span <= _MOST_SECONDS for span in spans):
            return ["the times of alerts must be 0 or more (INNGEST_ALERT_…)"]
        return alerts.errors(self.alerts())

    def missing_keys(self) -> list[str]:
        """List the keys without which a production server or worker must not run.

        Callers could send anything, and apps could not tell our requests from a stranger's.
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
        """List what will work but may surprise."""
        found = []
        if self.in_memory:
            found.append("the database is in memory: everything is lost when the server stops")
        if not self.dev and self.is_sqlite and not self.embedded:
            found.append(
                "SQLite serves the processes of one machine only: use --database-url with"
                " PostgreSQL for several machines"
            )
        if self.dev and (self.event_keys or self.signing_key):
            found.append("keys are set, but a dev server asks callers for none")
        return found


_LOCALLY = "or run locally without keys: --dev or INNGEST_DEV=1"


def _flag(text: str) -> bool:
    value = text.strip().lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("not a yes or no")


def _is_flag(text: str) -> bool:
    try:
        _flag(text)
    except ValueError:
        return False
    return True


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_READ: dict[str, Any] = {
    "dev": _flag,
    "port": int,
    "workers": int,
    "concurrency": int,
    "event_keys": _list,
    "sdk_urls": _list,
    "discovery": _flag,
    "test_api": _flag,
    "poll": _flag,
    "poll_interval": float,
    "retry_interval": float,
    "tick_ms": int,
    "lease_seconds": float,
    "grace_seconds": float,
    "ui": _flag,
    "open_gql": _flag,
    "ui_proxies": _list,
    "json_logs": _flag,
    "gateway_public_only": _flag,
    "metrics_open": _flag,
    "keep_count": int,
    "metrics_port": int,
    "alert_urls": _list,
    "alert_failure_rate": float,
    "alert_least_runs": int,
    "alert_backlog_seconds": float,
    "alert_window_minutes": float,
    "alert_quiet_minutes": float,
}
_NAMES = tuple(field.name for field in fields(Settings))
_ENVIRONMENT = {f"INNGEST_{name.upper()}": name for name in _NAMES} | {
    "INNGEST_EVENT_KEY": "event_keys",
    "INNGEST_SDK_URL": "sdk_urls",
    "INNGEST_REDIS_URL": "broker_url",
    "REDIS_URL": "broker_url",
    "DATABASE_URL": "database_url",
}
_KEYS = ("event_keys", "signing_key", "signing_key_fallback")
_FILE_ALIASES = {"event_key": "event_keys", "sdk_url": "sdk_urls", "redis_url": "broker_url"}


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read settings from environment variables. Raises Invalid naming the variable."""
    found: dict[str, Any] = {}
    for variable in sorted(_ENVIRONMENT, key=lambda name: name.startswith("INNGEST_")):
        text = environ.get(variable)
        if text is None or text == "":
            continue
        name = _ENVIRONMENT[variable]
        if variable == "INNGEST_DEV" and not _is_flag(text):
            continue  # the SDKs' variable may hold a server's URL, which says nothing to ours
        try:
            found[name] = _READ.get(name, str)(text)
        except ValueError:
            raise Invalid(f"{variable}={text!r} cannot be read as {name}", field=variable) from None
    return found


def from_file(path: Path) -> dict[str, Any]:
    """Read settings from a YAML or TOML file. Raises Invalid naming file and key."""
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        raise Invalid(f"{path}: not valid: it is not text in UTF-8", field="--config") from None
    except OSError as error:
        raise Invalid(f"{path}: cannot be read: {error.strerror}", field="--config") from None
    try:
        loaded = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise Invalid(f"{path}: not valid: {_syntax(error)}", field="--config") from None
    settings = loaded or {}
    if not isinstance(settings, dict):
        raise Invalid(f"{path}: must hold settings by name", field="--config")
    return {_file_key(path, key): _file_value(path, key, value) for key, value in settings.items()}


def _syntax(error: Exception) -> str:
    """Say where a file is wrong without quoting it: the line may hold a key."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error).splitlines()[0]
    mark = error.problem_mark
    where = f" in line {mark.line + 1}" if mark is not None else ""
    return f"{error.problem or 'YAML cannot be read'}{where}"


def _file_key(path: Path, key: object) -> str:
    name = str(key).replace("-", "_").lower()
    name = _FILE_ALIASES.get(name, name)
    if name not in _NAMES:
        raise Invalid(f"{path}: {key!r} is not a setting", field=str(key))
    return name


def _file_value(path: Path, key: object, value: Any) -> Any:
    name = _file_key(path, key)
    given = value if isinstance(value, list) else [value]
    if name in _KEYS and not all(isinstance(item, str) for item in given):
        # YAML reads 0123 as a number in base 8
        raise Invalid(f"{path}: {key} must be text: put it in quotes", field=str(key))
    try:
        if name in ("event_keys", "sdk_urls", "ui_proxies", "alert_urls"):
            listed = value if isinstance(value, list) else _list(str(value))
            return tuple(str(item) for item in listed)
        return _READ.get(name, str)(str(value))
    except ValueError:
        raise Invalid(f"{path}: {key} = {value!r} cannot be read", field=str(key)) from None


def load(
    flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None, **defaults: Any
) -> Settings:
    """Join flags over environment over file over defaults; None among flags means not given."""
    if file is None and environ.get("INNGEST_CONFIG"):
        file = Path(environ["INNGEST_CONFIG"])
    values: dict[str, Any] = dict(defaults)
    if file is not None:
        values |= from_file(file)
    values |= from_environment(environ)
    values |= {name: value for name, value in flags.items() if value is not None}
    settings = replace(Settings(), **values)
    if not settings.database_url:
        settings = replace(settings, database_url=default_database(settings.dev))
    return replace(settings, database_url=_driver(settings.database_url))


def default_database(dev: bool) -> str:
    """Name the SQLite file that is used when no database is given."""
    return f"sqlite:///{state_folder() / ('dev.db' if dev else 'inngest.db')}"


def _driver(url: str) -> str:
    return "postgresql" + url.removeprefix("postgres") if url.startswith("postgres://") else url


def to_environment(settings: Settings) -> dict[str, str]:
    """Write settings as the environment of a child process; from_environment() reads them back."""
    found = {}
    for name in _NAMES:
        value = getattr(settings, name)
        if value is None or value == ():
            continue
        if isinstance(value, tuple):
            value = ",".join(value)
        found[f"INNGEST_{name.upper()}"] = str(value)
    return found
