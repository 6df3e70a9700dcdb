"""`outbox-relay`: send the events of an app's outbox."""

import logging
import signal
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import click
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from .. import logs
from ..domain.errors import Invalid
from ..domain.values import durations


@dataclass(frozen=True, slots=True)
class _Target:
    """The server, as a relay asks for it."""

    event_api_origin: str
    event_key: str | None
    env: str | None


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":  # the driver that is installed with this package
            parsed = parsed.set(drivername="postgresql+psycopg2")
        engine = create_engine(parsed, pool_pre_ping=True)
        if engine.dialect.is_async:
            driver = parsed.drivername
            raise click.UsageError(f"--database-url: {driver} is async: name a blocking driver")
    except (ArgumentError, NoSuchModuleError):
        text = "must be a URL such as postgresql://…, mysql+pymysql://… or sqlite:///PATH"
        raise click.UsageError(f"--database-url: {text}") from None
    except ModuleNotFoundError as error:
        text = f"the driver {error.name} is missing: install it, or name another"
        raise click.UsageError(f"--database-url: {text}, as in mysql+pymysql://…") from None
    return engine


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError("--url must be a server's, such as http://127.0.0.1:8288")
    return url


def _keep(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return durations.to_timedelta(text)
    except Invalid as error:
        raise click.UsageError(f"--keep: {error.message}") from None


@click.command("outbox-relay")
@click.option(
    "--database-url",
    envvar="INNGEST_OUTBOX_DATABASE_URL",
    help="The app's database, which has the outbox.  [INNGEST_OUTBOX_DATABASE_URL]",
)
@click.option(
    "--url",
    envvar="INNGEST_BASE_URL",
    default="http://127.0.0.1:8288",
    show_default=True,
    help="The server.  [INNGEST_BASE_URL]",
)
@click.option("--event-key", envvar="INNGEST_EVENT_KEY", help="[INNGEST_EVENT_KEY]")
@click.option("--env", envvar="INNGEST_ENV", help="The environment of the events.  [INNGEST_ENV]")
@click.option("--keep", help="Keep sent rows for so long: 12h, 7d …  [they are deleted]")
@click.option(
    "--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"])
)
@click.option("--json", "json_logs", is_flag=True, help="Logs as JSON.")
def outbox_relay(
    database_url: str | None,
    url: str,
    event_key: str | None,
    env: str | None,
    keep: str | None,
    log_level: str,
    json_logs: bool,
) -> None:
    """Send the events that an app has written to the outbox in its database.

    It runs until SIGTERM or Ctrl-C. Several may run at the same time.
    """
    if not database_url:
        raise click.UsageError("--database-url is missing: give the URL of the app's database")
    try:
        from ..sdk.outbox.relay import Relay
        from ..sdk.outbox.table import TABLE
    except ModuleNotFoundError as error:
        text = f"outbox-relay needs {error.name}: pip install inngest-py[sdk]"
        raise click.ClickException(text) from None
    logs.set_up(log_level, as_json=json_logs)
    logging.getLogger("inngest_py.outbox").setLevel(log_level.upper())
    engine, target = _engine(database_url), _Target(_check_url(url), event_key, env)
    try:
        relay = Relay(engine, target, keep=_keep(keep))
    except ValueError as error:
        raise click.UsageError(f"--database-url: {error}") from None
    try:
        missing = TABLE.missing_in(engine)
    except DBAPIError as error:
        text = f"{type(error.orig).__name__}: check --database-url"
        raise click.ClickException(f"the database cannot be reached ({text})") from None
    if missing is not None:
        raise click.ClickException(missing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.ask_to_stop())
    shown = engine.url.render_as_string(hide_password=True)
    click.echo(f"sending the events of {shown} to {url}", err=True)
    relay.run()
    click.echo(f"{relay.sent} events were sent, {relay.parked} are parked", err=True)
