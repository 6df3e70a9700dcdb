"""`send` and `runs`: use the REST API from the shell."""

import json
import os
from collections.abc import Iterable
from typing import Any

import click
import requests

from ..domain.access import signatures
from ..domain.access.roles import CLAIM
from ..domain.errors import Invalid
from ..domain.runs.runs import ENDED
from .system_user import user

_TIMEOUT = 30


def url_option(command: Any) -> Any:
    """Add the option that names the server."""
    default = os.environ.get("INNGEST_BASE_URL", "http://127.0.0.1:8288")
    return click.option("--url", default=default, show_default=True, help="The server.")(command)


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
    """Call the REST API; if the server refuses, end the command with the server's error."""
    try:
        for headers in _authorizations():
            headers[CLAIM] = user().encode("ascii", "replace").decode()
            answer = requests.request(method, url, timeout=timeout, headers=headers, **options)
            if answer.status_code != 401:
                break
        if answer.status_code == 401:
            raise click.ClickException(f"{url} refuses this caller (401): {_told(answer)}")
        body = answer.json()
    except requests.RequestException as error:
        raise click.ClickException(_failure(url, error)) from None
    if answer.status_code >= 400:
        raise click.ClickException(str(body.get("error") or body))
    return body


def _told(answer: requests.Response) -> str:
    """Return what the server says of a token, or how to send a key."""
    if answer.headers.get("Content-Type") == "application/json":
        return str(answer.json().get("error"))
    return "set INNGEST_SIGNING_KEY to the server's signing key, or INNGEST_API_TOKEN"


def _failure(url: str, error: requests.RequestException) -> str:
    """Describe why a call has no usable answer, with the fix."""
    kinds = requests.exceptions
    if isinstance(error, kinds.JSONDecodeError):
        return f"{url} answers something else than JSON: is --url this server's?"
    if isinstance(error, kinds.InvalidJSONError):
        return "what is to be sent holds NaN or Infinity, which JSON does not have"
    if isinstance(error, kinds.MissingSchema | kinds.InvalidSchema | kinds.InvalidURL):
        return "--url must be a server's, such as http://127.0.0.1:8288"
    if isinstance(error, kinds.Timeout):
        return f"{url} has not answered in time: try again"
    if isinstance(error, kinds.ConnectionError):
        return f"nothing answers at {url}: start the server, or give --url"
    return f"{url}: {type(error).__name__}"


@click.command()
@click.argument("name")
@click.option("--data", default="{}", help="The event's data, a JSON object.")
@click.option("--id", "event_id", help="An idempotency id.")
@url_option
def send(name: str, data: str, event_id: str | None, url: str) -> None:
    """Send an event."""
    try:
        parsed = json.loads(data)
    except ValueError as error:
        raise click.UsageError(f"--data is not JSON: {error}") from None
    event = {"name": name, "data": parsed} | ({"id": event_id} if event_id else {})
    body = call("POST", f"{url}/api/v1/events", json=event)
    for sent in body["data"]["ids"]:
        click.echo(sent)


def pairs(given: Iterable[str], option: str = "--key") -> dict[str, str]:
    """Read options of the form NAME=VALUE."""
    found = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not (name and sign and value):
            raise click.UsageError(f"{option} must be NAME=VALUE, not {one!r}")
        found[name] = value
    return found


@click.group()
def runs() -> None:
    """Look at runs."""


@runs.command("list")
@click.option("--status", multiple=True)
@click.option("--phase", multiple=True, help="Of runs that have not ended: executing, sleeping …")
@click.option("--function")
@click.option("--key", multiple=True, help="A search key and its value: order_id=A-1001.")
@click.option("--limit", default=20, show_default=True)
@url_option
def list_(
    status: tuple[str, ...],
    phase: tuple[str, ...],
    function: str | None,
    key: tuple[str, ...],
    limit: int,
    url: str,
) -> None:
    """List runs, newest first."""
    query = {"status": list(status), "phase": list(phase), "function": function, "limit": limit}
    query |= {f"key.{name}": value for name, value in pairs(key).items()}
    body = call("GET", f"{url}/api/v1/runs", params=query)
    if not body["data"]:
        click.echo("no runs", err=True)
    for run in body["data"]:
        shown = run["phase"] or run["status"]
        click.echo(f"{run['id']}  {shown:<10} {run['queued_at']}  {run['function']}")


@runs.command()
@click.argument("run_id")
@url_option
def show(run_id: str, url: str) -> None:
    """Show a run."""
    body = call("GET", f"{url}/api/v1/runs/{run_id}")
    click.echo(json.dumps(body["data"], indent=2))


@runs.command()
@click.argument("run_id")
@url_option
def why(run_id: str, url: str) -> None:
    """Say why a run waits, or what ended it."""
    found = call("GET", f"{url}/api/v1/runs/{run_id}/why")["data"]
    click.echo(f"{run_id} is {found['phase'] or found['status']}")
    for reason in found["reasons"]:
        click.echo(f"- {reason['text']}")
    if found["has_more"]:
        click.echo("- and more")


@runs.command()
@click.argument("run_id")
@url_option
def cancel(run_id: str, url: str) -> None:
    """Cancel a run."""
    body = call("DELETE", f"{url}/api/v1/runs/{run_id}")
    was = body["data"]["was"]
    over = was in [status.value for status in ENDED]
    text = f"had ended already: {was}" if over else f"is cancelled, it was {was}"
    click.echo(f"{run_id} {text}")


@runs.command()
@click.argument("run_id")
@click.option("--step", help="Which step, by id or name, if several parts of the run wait.")
@url_option
def skip(run_id: str, step: str | None, url: str) -> None:
    """Let a run of a dev server wait no longer: a sleep or a wait ends, a retry begins."""
    body = {} if step is None else {"step": step}
    skipped = call("POST", f"{url}/dev/runs/{run_id}/skip", json=body)["data"]
    told = f"its {skipped['kind']}, due at {skipped['was_due_at']}, was skipped"
    click.echo(f"{skipped['label']}: {told}")
