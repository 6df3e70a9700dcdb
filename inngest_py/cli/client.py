"""Calls of the REST API from commands, and the options that such commands share."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import click
import requests

from ..domain.access import signatures
from ..domain.access.roles import CLAIM
from ..domain.errors import Invalid
from .system_user import user

_TIMEOUT = 30
# a proxy's answers, and a server's that cannot reach its database, or that stops
_AWAY = (502, 503, 504)

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")


class Unreachable(click.ClickException):
    """The server does not answer, or cannot for now: the same call may succeed later."""


class Refused(click.ClickException):
    """The server answered with an error; `data` is what the answer holds beside it."""

    def __init__(self, message: str, data: object) -> None:
        super().__init__(message)
        self.data = data


def url_option(command: Any) -> Any:
    """Add the option that names the server."""
    return click.option(
        "--url",
        envvar="INNGEST_BASE_URL",
        default="http://127.0.0.1:8288",
        show_default=True,
        callback=lambda _ctx, _option, value: value.rstrip("/"),
        help="The server.  [INNGEST_BASE_URL]",
    )(command)


def print_json(found: object) -> None:
    """Print what the server answered."""
    click.echo(json.dumps(found, indent=2))


def _authorizations() -> list[dict[str, str]]:
    """Make the headers to try one after another: by the API token or the keys, or none."""
    token = os.environ.get("INNGEST_API_TOKEN")
    if token:
        return [{"Authorization": f"Bearer {token.strip()}"}]
    found = []
    for variable in ("INNGEST_SIGNING_KEY", "INNGEST_SIGNING_KEY_FALLBACK"):
        if not (key := os.environ.get(variable)):
            continue
        try:
            found.append({"Authorization": f"Bearer {signatures.bearer(key)}"})
        except Invalid as error:
            raise click.ClickException(f"{variable}: {error.message}") from None
    return found or [{}]


def call(method: str, url: str, *, timeout: float = _TIMEOUT, **options: Any) -> Any:
    """Call the REST API; if the server refuses, end the command with the server's error.

    Raises Unreachable if it does not answer.
    """
    place = _place(url)
    try:
        for headers in _authorizations():
            headers[CLAIM] = user().encode("ascii", "replace").decode()
            answer = requests.request(method, url, timeout=timeout, headers=headers, **options)
            if answer.status_code != 401:
                break
        if answer.status_code == 401:
            raise click.ClickException(f"{place} refuses this caller (401): {_told(answer)}")
        if answer.status_code in _AWAY:
            raise Unreachable(f"{place} cannot answer now ({answer.status_code}): {_told(answer)}")
        body = answer.json()
    except requests.RequestException as error:
        raise _failure(place, error) from None
    if answer.status_code >= 400:
        raise Refused(str(body.get("error") or body), body.get("data"))
    return body


def every_page(url: str, query: Mapping[str, object], limit: int, most: int) -> list[Any]:
    """Read a list page by page, up to `limit` rows; one request gives at most `most`."""
    found: list[Any] = []
    cursor: str | None = None
    while len(found) < limit:
        asked = {**query, "limit": min(limit - len(found), most), "cursor": cursor}
        body = call("GET", url, params=asked)
        found += body["data"]
        if not body["has_more"]:
            break
        cursor = body["cursor"]
    return found


def _place(url: str) -> str:
    """Return the server of a URL, without a password that the URL may hold."""
    try:
        found = urlsplit(url)
    except ValueError:
        return "--url"
    return f"{found.scheme}://{found.netloc.rpartition('@')[2]}"


def _told(answer: requests.Response) -> str:
    """Return what the server says of a refusal, or what to do."""
    if answer.headers.get("Content-Type") == "application/json":
        return str(answer.json().get("error"))
    if answer.status_code in _AWAY:
        return "try again"
    return "set INNGEST_SIGNING_KEY to the server's signing key, or INNGEST_API_TOKEN"


def _failure(place: str, error: requests.RequestException) -> click.ClickException:
    """Describe why a call has no usable answer, with the fix."""
    kinds = requests.exceptions
    if isinstance(error, kinds.JSONDecodeError):
        told = f"{place} answers something else than JSON: is --url this server's?"
    elif isinstance(error, kinds.InvalidJSONError):
        told = "what is to be sent holds NaN or Infinity, which JSON does not have"
    elif isinstance(error, kinds.MissingSchema | kinds.InvalidSchema | kinds.InvalidURL):
        told = "--url must be a server's, such as http://127.0.0.1:8288"
    elif isinstance(error, kinds.Timeout):
        return Unreachable(f"{place} has not answered in time: try again")
    elif isinstance(error, kinds.ConnectionError):
        why = _cause(error)
        return Unreachable(f"nothing answers at {place} ({why}): start the server, or give --url")
    else:
        told = f"{place}: {type(error).__name__}"
    return click.ClickException(told)


def _cause(error: BaseException) -> str:
    """Return what the system said of a connection, such as `Connection refused`."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        first = inner.args[0] if inner.args else None
        wrapped = first if isinstance(first, BaseException) else None
        inner = inner.__cause__ or inner.__context__ or wrapped
    return "the connection was closed"


def pairs(given: Iterable[str], option: str = "--key") -> dict[str, str]:
    """Read options of the form NAME=VALUE."""
    found = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not (name and sign and value):
            raise click.UsageError(f"{option} must be NAME=VALUE, not {one!r}")
        found[name] = value
    return found
