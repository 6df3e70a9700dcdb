"""Settings: one frozen object, from flags over environment over file, checked at the start."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from .domain import signing
from .domain.errors import Invalid

INPROC = "inproc://"
DEFAULT_PORT = 8288


def state_folder() -> Path:
    """Say where this user's state lives (XDG base directories)."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "inngest-py"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Seconds and milliseconds carry their unit in the name.

    `workers` is the number of Celery worker processes that `start` supervises: None runs the
    worker inside the server (embedded). `retry_interval` None means the protocol's table.
    """

    dev: bool = False
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    database_url: str = ""
    broker_url: str = INPROC
    workers: int | None = None
    concurrency: int = 100
    event_keys: tuple[str, ...] = ()
    signing_key: str | None = None
    sdk_urls: tuple[str, ...] = ()
    discovery: bool = True
    poll: bool = True
    poll_interval: float = 5.0
    retry_interval: float | None = None
    tick_ms: int = 250
    lease_seconds: float = 30.0
    grace_seconds: float = 30.0
    ui: bool = True
    log_level: str = "info"
    json_logs: bool = False
    sqlite_synchronous: str = "FULL"

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
    def kind(self) -> str:
        """What the server calls itself to SDKs (sync.md §1)."""
        return "dev" if self.dev else "cloud"

    def tick(self) -> timedelta:
        """How often upkeep looks for due items at least."""
        return timedelta(milliseconds=self.tick_ms)

    def errors(self) -> list[str]:
        """List what makes these settings unusable, each with its fix."""
        found = []
        if not 0 < self.port < 65536:
            found.append(f"port {self.port} is not a port: use 1 to 65535 (--port)")
        if self.concurrency < 1:
            found.append("concurrency must be 1 or more (--concurrency)")
        if self.workers is not None and self.workers < 0:
            found.append("workers must be 0 or more (--workers)")
        if self.tick_ms < 1:
            found.append("tick must be 1 ms or more (--tick)")
        if self.lease_seconds < 1:
            found.append("the lease must be 1 second or more (INNGEST_LEASE_SECONDS)")
        if self.log_level not in ("debug", "info", "warning", "error"):
            found.append(
                f"log level {self.log_level!r} is unknown: use debug, info, warning or error"
            )
        if self.sqlite_synchronous.upper() not in ("FULL", "NORMAL", "EXTRA"):
            found.append("sqlite synchronous must be FULL, NORMAL or EXTRA")
        found += _url_errors(self.database_url)
        found += _key_errors(self.signing_key)
        if self.workers and self.embedded:
            found.append(
                "--workers needs a broker that other processes reach: give --redis-url or"
                " --broker-url, or leave --workers out to run embedded"
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
        if not self.dev and not self.event_keys:
            found.append("no event key is set: any key is accepted (--event-key)")
        if not self.dev and self.signing_key is None:
            found.append("no signing key is set: requests are not signed (--signing-key)")
        return found


def _key_errors(key: str | None) -> list[str]:
    if key is None:
        return []
    try:
        signing.bearer(key)
    except Invalid:
        return [
            "the signing key must be hexadecimal with an even number of digits, with or without"
            " signkey-<env>- before it (--signing-key)"
        ]
    return []


def _url_errors(url: str) -> list[str]:
    try:
        backend = make_url(url).get_backend_name()
    except ArgumentError:
        return [
            "the database URL cannot be read: use sqlite:///PATH or"
            " postgresql://USER:PASSWORD@HOST/NAME (--database-url)"
        ]
    if backend not in ("sqlite", "postgresql"):
        return [f"the database {backend!r} is not supported: use SQLite or PostgreSQL"]
    return []


def _flag(text: str) -> bool:
    value = text.strip().lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("not a yes or no")


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
    "poll": _flag,
    "poll_interval": float,
    "retry_interval": float,
    "tick_ms": int,
    "lease_seconds": float,
    "grace_seconds": float,
    "ui": _flag,
    "json_logs": _flag,
}
_NAMES = tuple(field.name for field in fields(Settings))
_ENVIRONMENT = {f"INNGEST_{name.upper()}": name for name in _NAMES} | {
    "INNGEST_EVENT_KEY": "event_keys",
    "INNGEST_SDK_URL": "sdk_urls",
    "INNGEST_REDIS_URL": "broker_url",
    "REDIS_URL": "broker_url",
    "DATABASE_URL": "database_url",
}
# INNGEST_DEV is the SDKs' own variable and may hold a URL there: it says nothing to the server.
_ENVIRONMENT.pop("INNGEST_DEV", None)
_FILE_ALIASES = {"event_key": "event_keys", "sdk_url": "sdk_urls", "redis_url": "broker_url"}


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read settings from environment variables. Raises Invalid naming the variable."""
    found: dict[str, Any] = {}
    for variable in sorted(_ENVIRONMENT, key=lambda name: name.startswith("INNGEST_")):
        text = environ.get(variable)
        if text is None or text == "":
            continue
        name = _ENVIRONMENT[variable]
        try:
            found[name] = _READ.get(name, str)(text)
        except ValueError:
            raise Invalid(f"{variable}={text!r} cannot be read as {name}", field=variable) from None
    return found


def from_file(path: Path) -> dict[str, Any]:
    """Read settings from a YAML or TOML file. Raises Invalid naming file and key."""
    try:
        text = path.read_text()
    except OSError as error:
        raise Invalid(f"{path}: cannot be read: {error.strerror}", field="--config") from None
    try:
        loaded = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise Invalid(f"{path}: not valid: {error}", field="--config") from None
    settings = loaded or {}
    if not isinstance(settings, dict):
        raise Invalid(f"{path}: must hold settings by name", field="--config")
    return {_file_key(path, key): _file_value(path, key, value) for key, value in settings.items()}


def _file_key(path: Path, key: object) -> str:
    name = str(key).replace("-", "_").lower()
    name = _FILE_ALIASES.get(name, name)
    if name not in _NAMES:
        raise Invalid(f"{path}: {key!r} is not a setting", field=str(key))
    return name


def _file_value(path: Path, key: object, value: Any) -> Any:
    name = _file_key(path, key)
    try:
        if name in ("event_keys", "sdk_urls"):
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
        if name == "dev" or value is None or value == ():
            continue
        if isinstance(value, tuple):
            value = ",".join(value)
        found[f"INNGEST_{name.upper()}"] = str(value)
    return found
