"""Checks of single settings. Each error says how to fix it, and shows no secret."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from urllib.parse import parse_qs, urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from . import ai_prices
from .domain.access import reach, signatures
from .domain.access.roles import Role
from .domain.alerts import receivers
from .domain.alerts.receivers import ReceiverKind
from .domain.errors import Invalid
from .domain.functions import celery_task
from .domain.functions.declared_apps import DeclaredApp
from .domain.runs import retention
from .domain.values import urls

# Drivers of the databases. psycopg2 works with gevent and can send several statements at once.
_DRIVERS = {"sqlite": "pysqlite", "postgresql": "psycopg2"}
# 128 bits in hexadecimal; the length of what `openssl rand -hex 8` makes
ROOT_PATH = "(?:/[A-Za-z0-9._~-]{1,100}){1,5}"
_LEAST_SIGNING_KEY, _LEAST_EVENT_KEY = 32, 16
MOST_CONNECTIONS = 10_000


def port_errors(port: int, metrics_port: int | None) -> list[str]:
    """List the ports that are out of range."""
    found = []
    if not 0 < port < 65536:
        found.append(f"port {port} is not a port: use 1 to 65535 (--port)")
    if metrics_port is not None and not 0 < metrics_port < 65536:
        found.append(
            f"metrics port {metrics_port} is not a port: use 1 to 65535 (INNGEST_METRICS_PORT)"
        )
    return found


def root_path_errors(path: str) -> list[str]:
    """List what is wrong with the path under which the server is."""
    if not path or re.fullmatch(ROOT_PATH, path):
        return []
    return [
        f"the root path {path[:100]!r} must be like /inngest: letters, digits and . _ ~ - after"
        " each slash, and no slash at the end (--root-path)"
    ]


def choice_errors(log_level: str, cron_missed: str, synchronous: str) -> list[str]:
    """List settings whose value is not one of their choices."""
    found = []
    if log_level not in ("debug", "info", "warning", "error"):
        found.append(f"log level {log_level!r} is unknown: use debug, info, warning or error")
    if cron_missed not in ("skip", "once", "all"):
        found.append(
            f"the policy {cron_missed!r} for missed cron ticks is unknown:"
            " use skip, once or all (--cron-missed)"
        )
    if synchronous.upper() not in ("FULL", "NORMAL", "EXTRA"):
        found.append("sqlite synchronous must be FULL, NORMAL or EXTRA")
    return found


def list_errors(settings: Mapping[str, object]) -> list[str]:
    """List the settings with a value that no list in an environment variable could carry.

    There commas part them, and spaces around them do not count.
    """
    return [
        f"{name}: a value may have no comma, no line break and no space at its ends: give several"
        " as a list, and write %2C for a comma in a URL"
        for name, values in settings.items()
        if isinstance(values, tuple)
        and not all(_is_listed_whole(value) for value in values if isinstance(value, str))
    ]


def _is_listed_whole(value: str) -> bool:
    return "," not in value and value == value.strip() and value.isprintable()


def key_errors(key: str | None, fallback: str | None) -> list[str]:
    """List what is wrong with the signing keys, without showing them."""
    found = []
    for given, flag in ((key, "--signing-key"), (fallback, "--signing-key-fallback")):
        if given is not None and not _usable(given):
            found.append(
                "the signing key must be hexadecimal with an even number of digits, with or"
                f" without signkey-<env>- before it ({flag})"
            )
    if fallback is not None and key is None:
        found.append("a fallback needs a signing key beside it (--signing-key)")
    return found


def invoke_key_errors(keys: tuple[str, ...]) -> list[str]:
    """List what is wrong with the keys of /invoke."""
    if not all(key.strip() for key in keys):
        return ["a key of /invoke must not be empty (--invoke-key)"]
    if len(keys) > 1 and any(is_off(key) for key in keys):
        return ["--invoke-key off closes /invoke: leave the other keys out, or off"]
    return []


def is_off(key: str) -> bool:
    """Say whether a key of /invoke is the word that closes it."""
    return key.strip().lower() == "off"


def price_errors(file: str | None) -> list[str]:
    """List what is wrong with the file of models' prices."""
    try:
        ai_prices.load(file)
    except Invalid as error:
        return [f"{error.message} (INNGEST_AI_PRICES)"]
    return []


def key_warnings(
    signing_keys: tuple[str, ...], event_keys: tuple[str, ...], invoke_keys: tuple[str, ...]
) -> list[str]:
    """List the keys that could be guessed, without showing them."""
    found = []
    others = {"an event key": event_keys, "a key of /invoke": invoke_keys}
    if any(len(signatures.strip_prefix(key)) < _LEAST_SIGNING_KEY for key in signing_keys):
        found.append(
            f"a signing key has fewer than {_LEAST_SIGNING_KEY} digits and could be guessed:"
            " make one with: openssl rand -hex 32"
        )
    found += [
        f"{what} has fewer than {_LEAST_EVENT_KEY} characters and could be guessed:"
        " make one with: openssl rand -hex 16"
        for what, keys in others.items()
        if any(len(key.strip()) < _LEAST_EVENT_KEY and not is_off(key) for key in keys)
    ]
    return found


def _usable(key: str) -> bool:
    try:
        signatures.bearer(key)
    except Invalid:
        return False
    return bool(signatures.strip_prefix(key).strip())


def connect_errors(port: int | None, url: str | None, most: int) -> list[str]:
    """List what is wrong with the settings for connected workers."""
    found = []
    if port is not None and not 0 < port < 65536:
        found.append("the port for workers must be 1 to 65535 (--connect-port)")
    if url is not None and not _is_ws(url):
        text = "must be a URL such as wss://example.com/v0/connect (--connect-url)"
        found.append(f"what workers connect to {text}")
    if most < 1:
        found.append("a process must take one connection or more (--connect-max-connections)")
    return found


def _is_ws(url: str) -> bool:
    try:
        return urls.is_connect(urls.normalise(url))
    except Invalid:
        return False


def sdk_url_errors(given: tuple[str, ...]) -> list[str]:
    """List the apps' URLs that are not valid."""
    found = []
    for url in given:
        try:
            urls.serve_endpoint(url)
        except Invalid as error:
            found.append(f"--sdk-url {url[:64]!r}: {error.message}")
    return found


def url_errors(url: str) -> list[str]:
    """Say why a database URL cannot be used, without showing it."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError for a port that is not a number
        return [
            "the database URL cannot be read: use sqlite:///PATH or"
            " postgresql://USER:PASSWORD@HOST/NAME (--database-url)"
        ]
    backend, _, driver = parsed.drivername.partition("+")
    if backend not in _DRIVERS:
        return [f"the database {backend!r} is not supported: use SQLite or PostgreSQL"]
    if driver not in ("", _DRIVERS[backend]):
        return [
            f"the driver {driver!r} is not supported: begin the database URL with"
            f" {backend}:// (--database-url)"
        ]
    return []


def broker_errors(url: str) -> list[str]:
    """Say why a broker's URL cannot be used, without showing it."""
    from kombu.transport import TRANSPORT_ALIASES  # imported late: slow, and few commands need it

    scheme, separator, _ = url.partition("://")
    if not separator or scheme.partition("+")[0] not in TRANSPORT_ALIASES:
        return [
            "the broker's URL names no transport that Celery knows: use"
            " redis://HOST:PORT/NUMBER, amqp://… (--redis-url, --broker-url)"
        ]
    if scheme == "memory":
        return ["the broker memory:// joins no two processes: leave it out to run embedded"]
    return []


def broker_warnings(url: str) -> list[str]:
    """Warn of a broker's URL that works but may surprise."""
    scheme, _, rest = url.partition("://")
    asked = parse_qs(rest.partition("?")[2]).get("ssl_cert_reqs", ["none"])[-1]
    if scheme != "rediss" or not asked.lower().removeprefix("cert_").startswith("none"):
        return []
    return [
        "rediss:// without ssl_cert_reqs=required takes any certificate, so somebody in between"
        " could read the broker's password: add ?ssl_cert_reqs=required, and ssl_ca_certs=FILE for"
        " an authority of your own (--redis-url)"
    ]


def proxy_errors(header: str | None, proxies: tuple[str, ...], role: str) -> list[str]:
    """List what is wrong with the settings of a proxy that says who uses the dashboard."""
    found = []
    if header and not proxies:
        found.append(
            "INNGEST_UI_PROXY_HEADER needs INNGEST_UI_PROXIES (--ui-proxy), the addresses of the"
            " proxies that set it: anybody could send the header"
        )
    for proxy in proxies:
        try:
            ip_network(proxy)
        except ValueError:
            wrong = "is not an address or network such as 10.0.0.0/8"
            found.append(f"{proxy[:64]!r} {wrong} (--ui-proxy, INNGEST_UI_PROXIES)")
    if role not in list(Role):
        known = ", ".join(Role)
        found.append(f"the role {role!r} is unknown: use {known} (INNGEST_UI_PROXY_ROLE)")
    return found


def pool_errors(kept: int | None, most: int | None) -> list[str]:
    """List what is wrong with the numbers of connections of a process.

    With one connection, a slow statement would stop all else that its process does.
    """
    found = []
    if kept is not None and not 1 <= kept <= MOST_CONNECTIONS:
        found.append(f"a pool keeps 1 to {MOST_CONNECTIONS} connections (--db-pool)")
    if most is not None and not 2 <= most <= MOST_CONNECTIONS:
        found.append(f"a process has 2 to {MOST_CONNECTIONS} connections (--db-max)")
    if not found and kept is not None and most is not None and most < kept:
        found.append(
            f"a process that has {most} connections at the most cannot keep {kept}: lower --db-pool"
            " or raise --db-max"
        )
    return found


def keep_errors(age: str, count: int | None, audit: str) -> list[str]:
    """List what is wrong with how long runs and the audit log are kept."""
    found = []
    for read in (partial(retention.parse, age, count), partial(audit_span, audit)):
        try:
            read()
        except Invalid as error:
            found.append(error.message)
    return found


def audit_span(text: str) -> timedelta | None:
    """Read how long the audit log is kept; None is for ever. Raises Invalid."""
    return retention.span(text, "the audit log is", "INNGEST_KEEP_AUDIT")


def reach_errors(entries: tuple[str, ...], sdk_urls: tuple[str, ...], *, dev: bool) -> list[str]:
    """List what is wrong with the hosts that may be called, and apps that may not be called."""
    try:
        found = reach.parse(entries, dev=dev)
    except Invalid as error:
        return [error.message]
    hosts = {urlsplit(url if "://" in url else f"http://{url}").hostname for url in sdk_urls}
    reasons = [found.refusal_of_name(host) for host in sorted(filter(None, hosts))]
    return [f"--sdk-url: {reason}" for reason in reasons if reason is not None]


def celery_app_errors(entries: tuple[str, ...], declared: tuple[DeclaredApp, ...]) -> list[str]:
    """List what is wrong with the Celery apps that are to be connected."""
    found, named = [], set[str]()
    for place, entry in enumerate(entries, start=1):
        try:
            named.add(celery_task.parse_app(entry).name)
        except Invalid as error:
            form = "write NAME=BROKER_URL, or NAME:QUEUE=BROKER_URL (--celery, INNGEST_CELERY_APPS)"
            found.append(f"Celery app number {place}: {error.message}; {form}")
    found += [
        f"{app.file}: {app.path}.broker is missing: write its URL, or ${{NAME}} for a variable that"
        " holds it"
        for app in declared
        if app.broker_url is None and app.name not in named
    ]
    return found


def alert_errors(kinds: Sequence[str], smtp_url: str | None, smtp_from: str) -> list[str]:
    """List what is wrong with the kinds of alerts, and with the server for e-mail.

    The server's URL is not shown, as it may have a password.
    """
    found = []
    try:
        receivers.read_alerts(kinds)
    except Invalid as error:
        found.append(f"{error.message} (INNGEST_ALERT_KINDS)")
    if smtp_url is not None and not _is_smtp(smtp_url):
        found.append(
            "the mail server must be smtp://HOST or smtps://HOST, with USER:PASSWORD@ and :PORT"
            " where it needs them (INNGEST_SMTP_URL)"
        )
    if (smtp_url is None) != (not smtp_from):
        found.append("e-mail needs INNGEST_SMTP_URL and INNGEST_SMTP_FROM: set both, or none")
    if smtp_from:
        try:
            receivers.check_target(ReceiverKind.EMAIL, smtp_from)
        except Invalid:
            found.append("the sender of e-mail must be an address, like a@b.c (INNGEST_SMTP_FROM)")
    return found


def _is_smtp(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
